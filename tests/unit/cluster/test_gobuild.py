"""Binaries are kept by what they were built from, and appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster import gobuild
from localcluster.console import ClusterError
from localcluster.gobuild import GoModule
from localcluster.paths import cache_root

MODULES = [gobuild.KUBERNETES, gobuild.METRICS_SERVER, gobuild.KWOK, gobuild.PAUSE]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoModule:
    """A Go program of our own without dependencies."""
    monkeypatch.setattr(gobuild, "TOOLS_DIR", tmp_path)
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/go.mod").write_text("module riskpredictor.local/hello\n\ngo 1.24\n")
    (tmp_path / "hello/main.go").write_text("package main\n\nfunc main() {}\n")
    return GoModule("hello", "", "riskpredictor.local/")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.folder)
def test_every_pinned_module_names_its_version_and_has_checksums(module: GoModule) -> None:
    if module.pins:
        assert module.version().startswith("v")
        assert f"{module.pins} {module.version()} h1:" in (module.path / "go.sum").read_text()


def test_kubernetes_and_its_staging_modules_are_of_one_release() -> None:
    text = (gobuild.KUBERNETES.path / "go.mod").read_text()
    minor_and_patch = gobuild.KUBERNETES.version().removeprefix("v1.")
    replaced = [line.split()[-1] for line in text.splitlines() if "=>" in line]
    assert len(replaced) == 29
    assert set(replaced) == {f"v0.{minor_and_patch}"}


def test_the_version_is_stamped_so_that_kubectl_accepts_the_server() -> None:
    flags = gobuild.KUBERNETES.linker_flags()
    version = gobuild.KUBERNETES.version()
    _, minor, _ = version.split(".")
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert f"-X {package}.gitVersion={version}" in flags
        assert f"-X {package}.gitMajor=1" in flags
        assert f"-X {package}.gitMinor={minor}" in flags


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go"])
def test_another_source_has_another_place_in_the_cache(module: GoModule, changed: str) -> None:
    before = module.bin_dir()
    assert before.parent == cache_root() / "bin"
    assert module.bin_dir() == before
    (module.path / changed).write_text("changed")
    assert module.bin_dir() != before


def test_what_is_there_is_not_built_again(
    module: GoModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.bin_dir().mkdir(parents=True)
    (module.bin_dir() / "hello").touch()
    monkeypatch.setenv("PATH", "")
    assert gobuild.ensure(module, ["hello"]) == module.bin_dir()


def test_without_go_the_message_names_the_alternatives(
    module: GoModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ClusterError, match="`go` is needed") as raised:
        gobuild.ensure(module, ["hello"])
    assert "CLUSTER=kind" in raised.value.hint


def test_a_failed_build_leaves_nothing_and_shows_the_compiler(
    module: GoModule, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    go = fake / "go"
    go.write_text("#!/bin/sh\necho main.go:3: no such thing\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:/usr/bin:/bin")
    with pytest.raises(ClusterError, match=r"exit code 1[\s\S]*main.go:3: no such thing"):
        gobuild.ensure(module, ["hello"])
    assert list(module.bin_dir().parent.rglob("*")) == [module.bin_dir()]
