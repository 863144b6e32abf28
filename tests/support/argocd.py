"""Argo CD's CRDs, so that the API server can judge what is shipped for it."""

from __future__ import annotations

from support import crds
from support.cluster import LocalCluster
from support.gomodule import Downloaded

ARGO_CD = Downloaded(
    "github.com/argoproj/argo-cd/v3", "v3.3.19", "h1:jVmtyRAQo1zBMxIIx+MtI99q1FA53IMtF+yRc78XvoY="
)


def install_kinds(cluster: LocalCluster) -> None:
    """The CRD of Applications."""
    bases = ARGO_CD.folder() / "manifests" / "crds"
    crds.install(cluster, bases / "application-crd.yaml", "applications.argoproj.io")
