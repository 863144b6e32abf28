"""From the smallest RiskPredictor to a prediction, through its Service."""

from __future__ import annotations

import re

import pytest
import urllib3

from riskdemo.shell import Kubectl
from riskdemo.stage import PATIENTS
from riskpredictor_kubectl.forward import forwarding
from riskpredictor_operator.kube import Key
from support.predictors import Predictors

VERSIONS = ("v1", "v2")


@pytest.fixture(scope="module")
def keys(predictors: Predictors) -> dict[str, Key]:
    """One RiskPredictor of each version."""
    return {v: predictors.create(f"predictor-{v}", modelVersion=v) for v in VERSIONS}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_minimal_one_serves_what_it_declares(
    predictors: Predictors, keys: dict[str, Key], kubectl: Kubectl, version: str
) -> None:
    status = predictors.wait(keys[version], within=90)["status"]
    assert status["servingVersion"] == version
    assert status["image"] == f"health-predictor:{version}"
    assert (status["replicas"], status["readyReplicas"]) == (2, 2)
    # A manager of its own: a connection kept open would outlive the port-forward.
    with forwarding(kubectl.client(), keys[version].name) as forward, urllib3.PoolManager() as http:
        url = forward.url
        answer = http.request("POST", f"{url}/predict", json=PATIENTS["a healthy adult"]).json()
        assert (answer["risk_level"], answer["model_version"]) == ("Low", version)
        assert http.request("GET", f"{url}/model").json()["model_version"] == version
        metrics = http.request("GET", f"{url}/metrics").data.decode()
        assert re.search(rf'riskpredictor_model_info{{[^}}]*model_version="{version}"', metrics)
        page = http.request("GET", url).data.decode()
        parts = re.findall(r'(?:src|href)="(static/[^"]+)"', page)
        assert parts
        assert {http.request("GET", f"{url}/{part}").status for part in parts} == {200}


def test_the_two_versions_are_two_models(
    predictors: Predictors, keys: dict[str, Key], kubectl: Kubectl
) -> None:
    answers = {}
    for version, key in keys.items():
        predictors.wait(key, within=90)
        with forwarding(kubectl.client(), key.name) as forward, urllib3.PoolManager() as http:
            asked = http.request("POST", f"{forward.url}/predict", json=PATIENTS["a healthy adult"])
            answers[version] = asked.json()["probabilities"]
    assert answers["v1"] != answers["v2"]
