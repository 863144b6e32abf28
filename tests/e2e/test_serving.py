"""From the smallest RiskPredictor to a prediction, as the README shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from riskdemo.shell import Kubectl
from riskdemo.stage import PATIENTS
from riskpredictor_kubectl.forward import forwarding
from riskpredictor_operator.core.api import Key
from support.api import RISKPREDICTOR, Api
from support.predictors import Predictors

EXAMPLE = (
    "curl -X POST localhost:8080/predict -H 'Content-Type: application/json' "
    """-d '{"heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97}'"""
)


@pytest.fixture(scope="module", params=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def keys(predictors: Predictors) -> dict[str, Key]:
    """One RiskPredictor of each version."""
    return {v: predictors.create(f"predictor-{v}", modelVersion=v) for v in ("v1", "v2")}


@pytest.fixture(scope="module")
def key(version: str, keys: dict[str, Key], predictors: Predictors) -> Key:
    predictors.wait(keys[version], within=90)
    return keys[version]


@pytest.fixture(scope="module")
def url(key: Key, kubectl: Kubectl) -> Iterator[str]:
    """Its Service, forwarded to a free port of this machine."""
    with forwarding(kubectl.client(), key.name) as forward:
        yield forward.url


def _ask(method: str, url: str, body: Any = None) -> urllib3.BaseHTTPResponse:
    # A manager of its own: a connection kept open would outlive the port-forward.
    with urllib3.PoolManager() as http:
        return http.request(method, url, json=body, timeout=10)


def test_a_minimal_one_serves_what_it_declares(api: Api, key: Key, version: str) -> None:
    body = api.need(RISKPREDICTOR, key)
    assert body["spec"]["modelVersion"] == version
    status = body["status"]
    assert status["servingVersion"] == version
    assert status["image"] == f"health-predictor:{version}"
    assert (status["replicas"], status["readyReplicas"]) == (2, 2)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example is a curl command")
def test_the_example_of_the_readme_answers(url: str, version: str) -> None:
    command = EXAMPLE.replace("localhost:8080", f"localhost:{urlsplit(url).port}")
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, check=False, env={"NO_PROXY": "localhost"}
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["risk_level"] == "Low"
    assert answer["confidence"] == max(answer["probabilities"].values())
    assert answer["model_version"] == version


def test_a_very_sick_patient_is_at_high_risk(url: str) -> None:
    answer = _ask("POST", f"{url}/predict", PATIENTS["a very sick one"]).json()
    assert answer["risk_level"] == "High"


def test_a_wrong_vital_sign_is_named(url: str) -> None:
    answer = _ask("POST", f"{url}/predict", PATIENTS["a healthy adult"] | {"oxygen_level": "97 %"})
    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "oxygen_level" in answer.data.decode()


def test_health_readiness_model_and_metrics_answer(url: str, version: str) -> None:
    assert _ask("GET", f"{url}/health").json()["status"] == "alive"
    assert _ask("GET", f"{url}/ready").json() == {"status": "ready", "model_version": version}
    assert _ask("GET", f"{url}/model").json()["model_version"] == version
    metrics = _ask("GET", f"{url}/metrics").data.decode()
    assert re.search(rf'riskpredictor_model_info{{[^}}]*model_version="{version}"', metrics)


def test_the_web_page_comes_with_all_its_parts(url: str) -> None:
    page = _ask("GET", url)
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    parts = re.findall(r'(?:src|href)="(static/[^"]+)"', page.data.decode())
    assert parts
    assert {part: _ask("GET", f"{url}/{part}").status for part in parts} == dict.fromkeys(
        parts, 200
    )


def test_the_two_versions_are_two_models(
    predictors: Predictors, keys: dict[str, Key], kubectl: Kubectl
) -> None:
    answers = {}
    for version, key in keys.items():
        predictors.wait(key, within=90)
        with forwarding(kubectl.client(), key.name) as forward:
            answers[version] = _ask(
                "POST", f"{forward.url}/predict", PATIENTS["a healthy adult"]
            ).json()
    assert {v: a["model_version"] for v, a in answers.items()} == {"v1": "v1", "v2": "v2"}
    assert answers["v1"]["probabilities"] != answers["v2"]["probabilities"]
