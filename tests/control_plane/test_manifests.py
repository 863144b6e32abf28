"""Every way to install, against a real API server: it knows every field and admits every object."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from support.cluster import LocalCluster
from support.guide import block
from support.helm import Helm, kustomize

FOLDERS = ["deploy/operator", "deploy/operator/overlays/namespaced"]
VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "those of the guide": yaml.safe_load(block("Install with Helm", "yaml")),
    "a narrow policy": yaml.safe_load(block("Network policies", "yaml")),
    "one namespace": {"watchNamespace": "default"},
    "all options of the pod": {
        "priorityClassName": "system-cluster-critical",
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "nodeSelector": {"a": "b"},
        "podAnnotations": {"a": "b"},
        "podLabels": {"a": "b"},
        "image": {"pullSecrets": [{"name": "a"}]},
    },
    "policies and dashboard": {
        "networkPolicy": {"predictors": {"namespaces": ["default"]}},
        "monitoring": {"dashboard": {"enabled": True}},
    },
}


def admit(cluster: LocalCluster, manifests: str) -> str:
    """What the API server would do with them, down to fields that it does not know."""
    return cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict",
        "--filename", "-", stdin=manifests,
    )  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize(cluster: LocalCluster, folder: str) -> None:
    assert "deployment.apps/riskpredictor-operator" in admit(cluster, kustomize(folder))


@pytest.mark.parametrize("values", VALUES)
def test_the_chart(
    cluster: LocalCluster, values: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    helm = Helm.built(tmp_path_factory.mktemp("helm"), cluster.kubeconfig)
    objects = helm.template(VALUES[values])
    said = admit(cluster, yaml.safe_dump_all(objects))
    assert len(said.splitlines()) == len(objects)


def test_a_field_that_does_not_exist_would_be_noticed(cluster: LocalCluster) -> None:
    wrong = kustomize("deploy/operator").replace("maxSurge:", "maxSurges:")
    with pytest.raises(AssertionError, match="maxSurges"):
        admit(cluster, wrong)
