"""Builds, fetches and installs whatever the tests run: ``make programs``, minutes the first time.

Each is needed by somebody's fixture, too, which finds it ready then. Here all come in a row, before
layers that run at the same time would wait for each other's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from localcluster import gobuild, prerequisites
from localcluster.console import ClusterError
from localcluster.record import Cluster
from riskdemo.install import OPERATOR_IMAGE, VERSIONS
from support import argocd, debian, flux, fronts, helm, kinds, prometheus
from support.cluster import ROOT, build_image
from support.stores import azure, gcs, oci, s3

RUNTIME_IMAGE = "health-predictor:runtime"
"""The server without a model, for models from a store."""


def images() -> tuple[str, ...]:
    """Build the product's images; unchanged ones come from the builder's cache."""
    build_image(OPERATOR_IMAGE, ROOT / "Dockerfile.operator")
    for version in VERSIONS:
        build_image(f"health-predictor:{version}", ROOT / "Dockerfile.predictor",
                    f"MODEL_VERSION={version}")  # fmt: skip
    build_image(RUNTIME_IMAGE, ROOT / "Dockerfile.predictor", target="server")
    versions = (f"health-predictor:{version}" for version in VERSIONS)
    return (OPERATOR_IMAGE, *versions, RUNTIME_IMAGE)


AS_ROOT = os.geteuid() == 0
PROGRAMS: dict[str, Callable[[], object]] = {
    "Kubernetes": lambda: prerequisites.ensure(
        Cluster("any", "node" if AS_ROOT else "control-plane", index=0, kwok_nodes=1)
    ),
    "Helm": lambda: gobuild.ensure(helm.MODULE, ["helm"]),
    "Flux's kustomize-controller": lambda: gobuild.ensure(
        flux.CONTROLLER, ["kustomize-controller"]
    ),
    "Argo CD": lambda: (gobuild.ensure(argocd.PROGRAMS, ["argocd"]), argocd.redis()),
    "Flux's CRDs": kinds.FLUX_SOURCES.folder,
    "Prometheus": lambda: prometheus.program("prometheus"),
    "Lua": lambda: debian.ensure("lua5.4"),
    "npm": lambda: debian.ensure("npm"),
    "faketime": lambda: debian.file_of("libfaketime", "libfaketimeMT.so.1"),
    "Versity's S3 gateway": lambda: gobuild.ensure(s3.PROGRAM, ["versitygw"]),
    "fake-gcs-server": lambda: gobuild.ensure(gcs.PROGRAM, ["fake-gcs-server"]),
    "Azurite": azure.program,
    "docker-registry": oci.registry_program,
    "oras": lambda: gobuild.ensure(oci.ORAS, ["oras"]),
    "nginx": fronts.nginx_program,
    "HAProxy": lambda: debian.ensure("haproxy"),
    "Java": lambda: debian.ensure("java", "default-jdk-headless"),
    "Chromium": lambda: debian.ensure("chromium"),
    **({"images": images} if AS_ROOT else {}),
}


def main() -> int:
    """Make all ready; what fails is tried a second time, for a download's failure often passes."""
    missing = []
    for name, make in PROGRAMS.items():
        for _ in range(2):
            try:
                make()
                break
            except (AssertionError, ClusterError) as error:
                print(f"{name}: {error}", flush=True)
        else:
            missing.append(name)
    print(f"missing: {', '.join(missing)}" if missing else "all is there")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
