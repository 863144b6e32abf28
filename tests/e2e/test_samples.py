"""Every file in deploy/samples does on a cluster what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import urllib3
import yaml

from riskdemo.shell import Kubectl
from riskdemo.stage import PATIENTS
from riskpredictor_operator.kube import Key
from support.api import AUTOSCALER, DEPLOYMENT, Api, Body, eventually
from support.cluster import ROOT, LocalCluster
from support.predictors import Predictors

SAMPLES = {path.stem: path for path in sorted((ROOT / "deploy" / "samples").glob("*.yaml"))}
OF_A_STORE = "model-from-a-store"
"""Its store is nobody's; models from real ones are in test_model_from_a_store.py."""
VALID = sorted(set(SAMPLES) - {"invalid", OF_A_STORE})


def _declared(path: Path) -> Body:
    body: Body = yaml.safe_load(path.read_text())
    return body


@pytest.fixture(scope="module")
def applied(
    kubectl: Kubectl, home: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Key]:
    """The valid samples, all at once; without the digest of an image that is not to be had."""
    names = (*VALID, OF_A_STORE)
    for name in names:
        body = _declared(SAMPLES[name])
        body["spec"].get("image", {}).pop("digest", None)
        path = tmp_path_factory.mktemp(name) / "sample.yaml"
        path.write_text(yaml.safe_dump(body))
        kubectl("apply", "-f", str(path))
    return {name: Key(home, _declared(SAMPLES[name])["metadata"]["name"]) for name in names}


def test_a_model_from_a_store_waits_for_what_its_sample_names(
    predictors: Predictors, applied: dict[str, Key]
) -> None:
    body = predictors.wait(applied[OF_A_STORE], "False", "PodsBlocked", within=120)
    (ready,) = [each for each in body["status"]["conditions"] if each["type"] == "Ready"]
    assert "Secret model-store (spec.model.credentialsSecret)" in ready["message"]


@pytest.mark.parametrize("name", VALID)
def test_a_valid_sample_becomes_ready(
    api: Api, predictors: Predictors, applied: dict[str, Key], name: str
) -> None:
    body = predictors.wait(applied[name], within=120)
    assert body["status"]["servingVersion"] == _declared(SAMPLES[name])["spec"]["modelVersion"]
    assert api.need(DEPLOYMENT, applied[name])["status"]["availableReplicas"] >= 2


def test_the_fixed_size_has_three_pods_and_no_autoscaler(
    api: Api, predictors: Predictors, applied: dict[str, Key]
) -> None:
    key = applied["fixed-size"]
    assert predictors.wait(key, within=120)["status"]["readyReplicas"] == 3
    assert api.get(AUTOSCALER, key) is None


def test_the_full_one_answers_on_the_nodes_own_address(
    cluster: LocalCluster, predictors: Predictors, applied: dict[str, Key]
) -> None:
    predictors.wait(applied["full"], within=120)
    url = f"http://{cluster.node_address}:30080/predict"
    with urllib3.PoolManager() as http:
        answer = eventually(lambda: _post(http, url), within=10, what=url)
    assert answer is not None
    assert answer.json()["model_version"] == "v2"


def _post(http: urllib3.PoolManager, url: str) -> urllib3.BaseHTTPResponse | None:
    """The answer; None while the node's packet filter does not know the port yet."""
    try:
        return http.request("POST", url, json=PATIENTS["a healthy adult"], timeout=5, retries=False)
    except urllib3.exceptions.HTTPError:
        return None
