"""An existing cluster is used only by name, and never a context that was not asked for."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from localcluster import provider
from localcluster.console import ClusterError
from localcluster.record import Options

KUBECTL = """#!/usr/bin/env python3
import json, os, sys
arguments = sys.argv[1:]
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
if "get-contexts" in arguments:
    print("prod\\nstaging")
elif "view" in arguments:
    (name,) = [a.split("=")[1] for a in arguments if a.startswith("--context=")]
    print(json.dumps({"contexts": [{"name": name}], "current-context": "prod"}))
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl that knows the contexts prod (current) and staging and notes its calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").write_text(KUBECTL)
    (folder / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def _choose(source: str, context: str = "", options: Options | None = None) -> provider.Provider:
    return provider.choose(source, "dev", context, options or Options())


def test_current_without_a_context_deploys_nothing(calls: Path) -> None:
    with pytest.raises(ClusterError, match="nothing is deployed unasked") as raised:
        _choose("current").up()
    assert raised.value.hint == "CONTEXT=name, one of: prod, staging"


def test_an_unknown_context_is_named_with_those_that_exist(calls: Path) -> None:
    with pytest.raises(ClusterError, match="no context 'stagign'") as raised:
        _choose("current", "stagign").up()
    assert "one of: prod, staging" in raised.value.hint


def test_the_kubeconfig_holds_the_asked_context_and_no_other(calls: Path) -> None:
    current = _choose("current", "staging")
    current.up()
    file = current.kubeconfig()
    assert json.loads(file.read_text()) == {
        "contexts": [{"name": "staging"}],
        "current-context": "staging",
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for call in map(json.loads, calls.read_text().splitlines()):
        is_local_question = call[0] == "config"
        assert is_local_question or call[0] == f"--kubeconfig={file}", call


def test_down_forgets_the_access_and_leaves_the_cluster(calls: Path) -> None:
    current = _choose("current", "staging")
    current.up()
    before = calls.read_text()
    current.down()
    assert calls.read_text() == before
    with pytest.raises(ClusterError, match="was not prepared"):
        current.kubeconfig()


def test_images_cannot_be_loaded_into_somebody_s_cluster() -> None:
    with pytest.raises(ClusterError, match="web:v1") as raised:
        _choose("current", "staging").load_image(["web:v1"])
    assert "IMAGE_REPOSITORY" in raised.value.hint


@pytest.mark.parametrize("source", ["local", "kind"])
def test_a_context_without_current_is_a_mistake(source: str) -> None:
    with pytest.raises(ClusterError, match="a context \\(prod\\) was given") as raised:
        _choose(source, "prod")
    assert "CLUSTER=current" in raised.value.hint


def test_kind_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ClusterError, match="CLUSTER=kind needs `docker`"):
        _choose("kind").up()


def test_an_unknown_source_is_named_with_those_that_exist() -> None:
    with pytest.raises(ClusterError, match="'minikube'") as raised:
        _choose("minikube")
    assert raised.value.hint == "one of: local, kind, current"


@pytest.mark.parametrize("source", ["kind", "current"])
@pytest.mark.parametrize(
    "options",
    [
        Options(kwok_nodes=3),
        Options(nodes=2),
        Options(ip_family="ipv6"),
        Options(assigned_users=True),
    ],
    ids=["fake nodes", "nodes", "address family", "assigned users"],
)
def test_what_a_cluster_is_made_of_is_asked_of_the_local_one_only(
    source: str, options: Options
) -> None:
    with pytest.raises(ClusterError, match="CLUSTER=local only"):
        _choose(source, options=options)
