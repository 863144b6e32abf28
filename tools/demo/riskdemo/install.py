"""Installs images and operator into the cluster of a demonstration."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from riskdemo.shell import REPOSITORY, DemoCluster, DemoError, Kubectl, cluster_tool

OPERATOR_IMAGE = "riskpredictor-operator:0.1.0"
PREDICTOR_REPOSITORY = "health-predictor"
VERSIONS = ("v1", "v2")
RUNTIME_IMAGE = f"{PREDICTOR_REPOSITORY}:runtime"
"""Of the predictor without a model; it fetches models from a store."""
SYSTEM_NAMESPACE = "riskpredictor-system"
DEMO_NAMESPACE = "riskpredictor-demo"
OPERATOR = "deployment/riskpredictor-operator"


@dataclass(frozen=True)
class Installation:
    """How to install into a cluster, which depends on where the cluster comes from."""

    cluster: DemoCluster
    repository: str
    """Registry and path of the images, for ``current``; else empty."""

    @classmethod
    def of(cls, cluster: DemoCluster) -> Installation:
        """The installation that CLUSTER and IMAGE_REPOSITORY ask for.

        Raises:
            DemoError: the cluster pulls its images, and no registry is named.
        """
        repository = os.environ.get("IMAGE_REPOSITORY", "").rstrip("/")
        if cluster.source == "current" and not repository:
            raise DemoError(
                "CLUSTER=current pulls its images: push riskpredictor-operator:0.1.0 and "
                "health-predictor:v1, :v2, :runtime to a registry that it can reach\n"
                "  next: IMAGE_REPOSITORY=registry/path CLUSTER=current CONTEXT=name make demo"
            )
        return cls(cluster, repository if cluster.source == "current" else "")

    def images(self) -> None:
        """Build the images and load them into the nodes, unless a registry has them."""
        if self.repository:
            return
        builder = ("--builder", "docker") if self.cluster.source == "kind" else ()
        _build(OPERATOR_IMAGE, "Dockerfile.operator", *builder)
        tags = [OPERATOR_IMAGE]
        for version in VERSIONS:
            tags.append(f"{PREDICTOR_REPOSITORY}:{version}")
            argument = ("--build-arg", f"MODEL_VERSION={version}")
            _build(tags[-1], "Dockerfile.predictor", *argument, *builder)
        tags.append(RUNTIME_IMAGE)
        _build(RUNTIME_IMAGE, "Dockerfile.predictor", "--target", "server", *builder)
        self.cluster.tool("load-image", *tags)

    def image(self, version: str) -> str:
        """The predictor's image with a model version."""
        return self._named(f"{PREDICTOR_REPOSITORY}:{version}")

    def kubectl(self, namespace: str) -> Kubectl:
        """kubectl for a namespace, which is created if it is missing.

        The namespace enforces the ``restricted`` Pod Security Standard.
        """
        tool = self.cluster.kubectl(namespace)
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        manifest = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": labels},
        }
        tool("apply", "-f", "-", stdin=json.dumps(manifest))
        return tool

    def operator(self, tool: Kubectl) -> None:
        """Install CRD and operator, and wait until the operator is ready."""
        tool.inside("")("apply", "-k", "deploy/operator")
        system = tool.inside(SYSTEM_NAMESPACE)
        if self.repository:
            system("set", "image", OPERATOR, f"operator={self._named(OPERATOR_IMAGE)}")
            names = {
                "RISKPREDICTOR_IMAGE_REPOSITORY": self._named(PREDICTOR_REPOSITORY),
                "RISKPREDICTOR_RUNTIME_IMAGE": self._named(RUNTIME_IMAGE),
            }
            system("set", "env", OPERATOR, *(f"{name}={image}" for name, image in names.items()))
        else:
            # The image may be newer under the same tag, so pods of an earlier run are replaced.
            system("rollout", "restart", OPERATOR)
        system("rollout", "status", OPERATOR, "--timeout=180s")

    def _named(self, image: str) -> str:
        return f"{self.repository}/{image}" if self.repository else image


def _build(tag: str, dockerfile: str, *options: str) -> None:
    cluster_tool("build-image", "--file", dockerfile, "--tag", tag, *options)


def text(path: str) -> str:
    """A file of the repository, without its leading comments."""
    lines = (REPOSITORY / path).read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))
