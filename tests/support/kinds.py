"""Kinds of others: CRDs in Go modules of which tests need these files and no program."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.api import eventually
from support.cluster import LocalCluster


@dataclass(frozen=True)
class Module:
    """One version of a module. Nothing of it is built, so its checksum is here and in no go.sum."""

    name: str
    version: str
    sum: str

    def folder(self) -> Path:
        """Where its files are; downloads them into Go's own cache the first time."""
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"{self.name}@{self.version}"],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert found["Sum"] == self.sum, f"{self.name} {self.version} is not what was looked at"
        return Path(found["Dir"])


ARGO_CD = Module(
    "github.com/argoproj/argo-cd/v3", "v3.3.19", "h1:jVmtyRAQo1zBMxIIx+MtI99q1FA53IMtF+yRc78XvoY="
)
FLUX_SOURCES = Module(
    "github.com/fluxcd/source-controller",
    "v1.7.2",
    "h1:PQLzvgHNEYsstl8uATBZg/70b/i0tj63e0IqnYDeJyg=",
)


def install(cluster: LocalCluster, path: Path, name: str) -> None:
    """Apply a file or folder of CRDs, and wait until the named one is served."""
    cluster.kubectl("apply", "--server-side", "--filename", str(path))
    # kubectl takes a CRD that has no conditions yet for an error, so it is asked again.
    wait = ("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
    eventually(lambda: cluster.try_kubectl(*wait).returncode == 0, within=30)


def install_argo_cd(cluster: LocalCluster) -> None:
    """The CRD of Applications."""
    crds = ARGO_CD.folder() / "manifests" / "crds"
    install(cluster, crds / "application-crd.yaml", "applications.argoproj.io")
