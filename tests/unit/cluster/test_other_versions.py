"""Another version of Kubernetes is derived from its own go.mod, not from a list kept by hand."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster import gobuild
from localcluster.paths import TOOLS_DIR

SCRIPT = TOOLS_DIR.parent / "make_kubernetes.py"
UPSTREAM = """\
module k8s.io/kubernetes

go {go}

require k8s.io/api v0.0.0

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/kubectl => ./staging/src/k8s.io/kubectl
)
"""


def module(version: str, go: str) -> str:
    """What the script makes of a release's go.mod."""
    made: str = runpy.run_path(str(SCRIPT))["module"](version, UPSTREAM.format(go=go))
    return made


def test_staging_modules_are_the_published_ones_of_the_release() -> None:
    made = module("v1.30.14", "1.22.0")
    assert "require k8s.io/kubernetes v1.30.14\n" in made
    assert re.findall(r"^\t(\S+) => (\S+) (\S+)$", made, re.MULTILINE) == [
        ("k8s.io/api", "k8s.io/api", "v0.30.14"),
        ("k8s.io/kubectl", "k8s.io/kubectl", "v0.30.14"),
    ]


@pytest.mark.parametrize(
    ("upstream", "wanted"), [("1.22.0", "1.24.0"), ("1.26.0", "1.26.0"), ("1.100.0", "1.100.0")]
)
def test_the_go_version_is_the_releases_but_one_that_knows_tools(
    upstream: str, wanted: str
) -> None:
    assert f"\ngo {wanted}\n" in module("v1.36.3", upstream)


def test_an_unexpected_go_mod_is_not_guessed_about() -> None:
    with pytest.raises(ValueError, match=r"Kubernetes v1\.30\.14 is not as"):
        runpy.run_path(str(SCRIPT))["module"]("v1.30.14", "module k8s.io/kubernetes\n\ngo 1.22.0\n")


def test_it_explains_itself_when_it_is_called_wrongly(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "1.30", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'1.30' is no release; write v1.MINOR.PATCH" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_environment_chooses_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubernetes").mkdir()
    (tmp_path / "kubernetes/go.mod").write_text(module("v1.30.14", "1.22.0"))
    monkeypatch.setenv(gobuild.OTHER_KUBERNETES, str(tmp_path))
    assert gobuild.kubernetes().version() == "v1.30.14"
    assert gobuild.kubernetes().bin_dir() != gobuild.KUBERNETES.bin_dir()
