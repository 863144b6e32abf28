"""The files of deploy/gitops agree with each other and with what they repeat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from support.cluster import ROOT

GITOPS = ROOT / "deploy" / "gitops"
EXAMPLE = GITOPS / "example"
ENVIRONMENTS = ("dev", "prod")


def _yaml(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load(path.read_text())
    return body


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_flux_asks_for_health_in_the_example_as_in_the_shipped_kustomization(
    environment: str,
) -> None:
    example = _yaml(EXAMPLE / "flux" / f"{environment}.yaml")["spec"]
    shipped = _yaml(GITOPS / "flux" / "kustomization.yaml")["spec"]
    for field in ("healthCheckExprs", "wait", "prune"):
        assert example[field] == shipped[field]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_tools_deploy_the_environment_of_their_name(environment: str) -> None:
    application = _yaml(EXAMPLE / "argocd" / f"{environment}.yaml")
    kustomization = _yaml(EXAMPLE / "flux" / f"{environment}.yaml")
    folder = _yaml(EXAMPLE / environment / "kustomization.yaml")
    assert application["spec"]["source"]["path"] == environment
    assert kustomization["spec"]["path"] == f"./{environment}"
    assert application["spec"]["destination"]["namespace"] == folder["namespace"]
    source = _yaml(EXAMPLE / "flux" / "source.yaml")
    assert application["spec"]["source"]["repoURL"] == source["spec"]["url"]
    assert kustomization["spec"]["sourceRef"] == {
        "kind": source["kind"],
        "name": source["metadata"]["name"],
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_one_line_of_an_environment_names_the_version(environment: str) -> None:
    lines = [
        line
        for path in (EXAMPLE / environment).iterdir()
        for line in path.read_text().splitlines()
        if "modelVersion" in line
    ]
    assert len(lines) == 1
    assert "modelVersion" not in _yaml(EXAMPLE / "base" / "health-predictor.yaml")["spec"]


def test_git_leaves_the_number_of_pods_to_the_autoscaler() -> None:
    for path in EXAMPLE.rglob("health-predictor.yaml"):
        assert "replicas" not in _yaml(path)["spec"]


def test_the_network_policy_is_the_shipped_one() -> None:
    shipped = _yaml(ROOT / "deploy" / "policies" / "predictors.yaml")
    assert _yaml(EXAMPLE / "base" / "network-policy.yaml") == shipped
