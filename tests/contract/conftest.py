"""Programs that tests here run. They come the first time, which no test's time limit is for."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from localcluster.gobuild import KUBERNETES, ensure
from localcluster.run import file_lock
from support import prometheus
from support.cluster import ROOT
from support.helm import MODULE, Helm


@pytest.fixture(scope="session")
def promtool() -> None:
    """Fetched; what a download fails of has often passed at a second attempt."""
    with suppress(AssertionError):
        prometheus.program("promtool")
        return
    prometheus.program("promtool")


@pytest.fixture(scope="session")
def renderers() -> None:
    """kubectl and Helm, built; the first time that takes minutes."""
    ensure(KUBERNETES, ["kubectl"])
    ensure(MODULE, ["helm"])


@pytest.fixture(scope="session")
def helm(renderers: None, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm.built(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def audit_tools() -> None:
    """The tools of make audit and make sbom, installed."""
    _made("audit")


def _made(environment: str) -> Path:
    """The folder of an environment of its own, set up by one of the processes that run tests."""
    folder = ROOT / "build" / environment
    with file_lock(folder.with_suffix(".lock"), f"the set-up of {folder}"):
        subprocess.run(
            ["make", "--silent", f"{folder.relative_to(ROOT)}/.ready"], cwd=ROOT, check=True
        )
    return folder


@pytest.fixture(scope="session")
def kserve_python() -> Path:
    """The Python that has KServe's client, installed."""
    return _made("kserve") / "bin" / "python"


@pytest.fixture(scope="session")
def savvi_python() -> Path:
    """The Python that has a published confidence sequence, installed."""
    return _made("savvi") / "bin" / "python"
