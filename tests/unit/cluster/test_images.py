"""Image names, image archives and what pip inside a build gets to know."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from localcluster import build, cli, images
from localcluster.console import ClusterError
from localcluster.images import aliases, full_name


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("web", "docker.io/library/web:latest"),
        ("web:v1", "docker.io/library/web:v1"),
        ("team/web:v1", "docker.io/team/web:v1"),
        ("localhost/web:v1", "localhost/web:v1"),
        ("localhost:5000/web", "localhost:5000/web:latest"),
        ("registry.example/team/web:v1", "registry.example/team/web:v1"),
        ("web@sha256:00", "docker.io/library/web@sha256:00"),
    ],
)
def test_names_are_spelled_out_as_the_kubelet_does(reference: str, full: str) -> None:
    assert full_name(reference) == full
    assert full_name(full) == full


@pytest.mark.parametrize(
    ("imported", "known_as"),
    [
        ("docker.io/library/web:v1", ["docker.io/library/web:v1"]),
        ("localhost/web:v1", ["localhost/web:v1", "docker.io/library/web:v1"]),
        ("web:v1", ["docker.io/library/web:v1"]),
    ],
)
def test_an_image_is_found_by_the_short_name_of_a_manifest(
    imported: str, known_as: list[str]
) -> None:
    assert aliases(imported) == known_as


def test_an_image_archive_has_config_and_layer_of_the_program(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"binary")
    data = images.image_archive(program, "docker.io/library/x:1")
    assert data == images.image_archive(program, "docker.io/library/x:1")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {m.name: _read(archive, m) for m in archive.getmembers()}
    (manifest,) = json.loads(files["manifest.json"])
    assert manifest["RepoTags"] == ["docker.io/library/x:1"]
    config = json.loads(files[manifest["Config"]])
    assert config["config"]["Entrypoint"] == ["/pause"]
    with tarfile.open(fileobj=io.BytesIO(files["layer.tar"])) as layer:
        (member,) = layer.getmembers()
        assert (member.name, member.mode) == ("pause", 0o755)
        assert _read(layer, member) == b"binary"


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    handle = archive.extractfile(member)
    assert handle is not None
    return handle.read()


def test_the_environment_wins_over_pip_s_files_and_only_sources_are_forwarded(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("[global]\nindex-url = one\ntimeout = 5\ntarget = /host\n")
    second.write_text("[global]\nindex-url = two\n[install]\nno-index = true\n")
    environment = {"PIP_TIMEOUT": "9", "PIP_CACHE_DIR": "/host", "PIP_FIND_LINKS": "/w", "X": "y"}
    assert build.pip_settings([first, second, tmp_path / "absent"], environment) == {
        "index-url": "two",
        "no-index": "true",
        "find-links": "/w",
        "timeout": "9",
    }


def test_a_build_gets_pip_s_settings_and_local_folders_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = scheme://user:p%40ss@host\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path} {tmp_path}/absent scheme://host/x")
    with build._pip_access() as volumes:
        mounts = dict(volume.removeprefix("--volume=").split(":")[:2] for volume in volumes)
        (source,) = (source for source, target in mounts.items() if target == "/etc/pip.conf")
        assert "index-url = scheme://user:p%40ss@host\n" in Path(source).read_text()
    assert mounts[str(tmp_path)] == str(tmp_path)
    assert f"{tmp_path}/absent" not in mounts


def test_stripping_the_base_image_removes_content_and_keeps_folders(tmp_path: Path) -> None:
    (tmp_path / "usr/share/doc/python3").mkdir(parents=True)
    (tmp_path / "var/lib/apt/lists").mkdir(parents=True)
    (tmp_path / "var/lib/apt/lists/x").touch()
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/python3").touch()
    build.strip(tmp_path)
    assert list((tmp_path / "usr/share/doc").iterdir()) == []
    assert list((tmp_path / "var/lib/apt/lists").iterdir()) == []
    assert (tmp_path / "usr/bin/python3").exists()


def test_a_missing_dockerfile_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"there is no file .*/Dockerfile\.x"):
        build.build("buildah", tmp_path / "Dockerfile.x", tmp_path, "x:1", {})


def test_an_image_that_is_nowhere_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    refused = pytest.raises(ClusterError, match="nope:1 is neither a file nor an image")
    with refused as raised, images.archive_of("nope:1"):
        pass
    assert "build-image --tag nope:1" in raised.value.hint


def test_build_arguments_may_hold_equals_signs_and_need_a_name() -> None:
    assert cli.key_value("A=b=c") == ("A", "b=c")
    assert cli.key_value("A=") == ("A", "")
    for bad in ("A", "=b", ""):
        with pytest.raises(ClusterError, match="is not KEY=VALUE"):
            cli.key_value(bad)
