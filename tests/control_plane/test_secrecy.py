"""Nothing confidential reaches logs, Events or conditions, at the most talkative log level."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from unit.operator.models import model
from unit.operator.trial import FAST
from unit.predictor.support import free_port

from riskpredictor_operator.core.api import (
    ANNOTATION_LAST_APPLIED,
    CHILDREN,
    CONFIG_MAP,
    EVENT,
)
from riskpredictor_operator.kube import Key
from support import operator as operators
from support.api import DEPLOYMENT, RISKPREDICTOR, SERVICE, Api, Body, eventually
from support.cluster import LocalCluster
from support.counting_pods import CountingPods
from support.pod_server import copy_of, declared, lead_to, serving, until
from support.predictors import Predictors

V2 = model("v2")


@pytest.mark.parametrize("form", ["human", "json"])
def test_what_is_confidential_stays_where_it_is(
    cluster: LocalCluster,
    api: Api,
    operator_config: Path,
    predictors: Predictors,
    tmp_path: Path,
    form: str,
) -> None:
    token = yaml.safe_load(operator_config.read_text())["users"][0]["user"]["token"]
    sentinels = {
        where: f"{where}-{secrets.token_hex(12)}"
        for where in (
            "secret",
            "annotation",
            "template",
            "pods",
            "environment",
            "store",
            "ca",
            "patient",
        )
    }
    namespace, key = predictors.namespace, Key(predictors.namespace, "risk")
    _secret(api, namespace, sentinels["secret"])
    _of_the_store(api, namespace, sentinels["store"], sentinels["ca"])
    log = tmp_path / "operator.log"
    metrics = free_port()
    process = operators.OperatorProcess(
        operator_config, log, "--log-level=debug", f"--log-format={form}", "--evidence-seconds=1",
        f"--http-port={metrics}", "--http-host=127.0.0.1",
        environment={"PREDICTOR_PASSWORD": sentinels["environment"]},
    )  # fmt: skip
    try:
        process.wait_for("listed ")
        manifest = {
            "apiVersion": RISKPREDICTOR.api_version,
            "kind": RISKPREDICTOR.kind,
            "metadata": {
                "name": "risk",
                "namespace": namespace,
                # kubectl adds its copy of the whole object.
                "annotations": {"example.com/patient": sentinels["annotation"]},
            },
            "spec": {
                "modelVersion": "v1",
                "minReplicas": 1,
                "image": {"pullSecrets": [{"name": "registry"}]},
                "podTemplate": {"annotations": {"example.com/token": sentinels["template"]}},
            },
        }
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
        predictors.wait(key)
        template = api.need(DEPLOYMENT, key)["spec"]["template"]
        assert template["metadata"]["annotations"]["example.com/token"] == sentinels["template"]
        _through_everything(api, predictors, key, sentinels["pods"])
        _through_a_store(api, predictors, key)
        _through_a_trial(api, predictors, key, sentinels["patient"])
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=30) as answer:
            exposed = answer.read().decode()
    finally:
        process.stop()
    told = {
        "log": log.read_text(),
        "Events": json.dumps(api.items(EVENT, namespace)),
        "metrics": exposed,
        "status": json.dumps([b["status"] for b in api.items(RISKPREDICTOR, namespace)]),
        "children": json.dumps([_metadata(api.need(r, key)) for r in CHILDREN]),
        "the record": json.dumps(api.need(DEPLOYMENT, key)["metadata"]).replace(
            sentinels["template"], ""
        ),
        "the copy": json.dumps(copy_of(api, key, V2)),
    }
    assert f"{key}: Ready" in told["log"]
    assert "ApplyRefused" in told["Events"]
    assert "keeps a copy of the model" in told["log"]
    assert "StepReached" in told["Events"]
    assert "riskpredictor_operator" in told["metrics"]
    confidential = {**sentinels, "token": token, "signature": token.rpartition(".")[2]}
    leaks = [
        f"{what} in {where}"
        for where, text in told.items()
        for what, value in confidential.items()
        if value in text
    ]
    assert not leaks


def _metadata(child: Body) -> Body:
    """A child's metadata without the record of what was applied, which its spec has beside it."""
    annotations = {**child["metadata"]["annotations"]}
    del annotations[ANNOTATION_LAST_APPLIED]
    return {**child["metadata"], "annotations": annotations}


def _secret(api: Api, namespace: str, value: str) -> None:
    """Credentials of a registry, as image.pullSecrets names them."""
    auths = {"auths": {"registry.example.com": {"username": "robot", "password": value}}}
    body = {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "registry", "namespace": namespace},
        "stringData": {".dockerconfigjson": json.dumps(auths)},
    }  # fmt: skip
    api.request("POST", f"/api/v1/namespaces/{namespace}/secrets", body)


def _of_the_store(api: Api, namespace: str, password: str, ca: str) -> None:
    """What spec.model names: credentials, and certificates that are nobody else's business."""
    metadata = {"name": "model-store", "namespace": namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata,
              "stringData": {"AWS_SECRET_ACCESS_KEY": password}}  # fmt: skip
    api.request("POST", f"/api/v1/namespaces/{namespace}/secrets", secret)
    bundle = {"metadata": {**metadata, "name": "private-ca"}, "data": {"ca.crt": ca}}
    api.create(CONFIG_MAP, bundle)


def _through_a_store(api: Api, predictors: Predictors, key: Key) -> None:
    """A model from a store, and the copy of it."""
    whole = declared(V2)
    whole["model"] |= {
        "credentialsSecret": {"name": "model-store"},
        "caBundle": {"configMap": "private-ca", "key": "ca.crt"},
    }
    predictors.patch(key, **whole)
    predictors.wait(key)
    with serving(V2) as server:
        lead_to(api, key, server)
        until(api, key, "Kept")


def _through_a_trial(api: Api, predictors: Predictors, key: Key, patient: str) -> None:
    """A model on trial, whose pods say more of a patient than they are asked for: first in what
    cannot be used, then beside what can."""
    with CountingPods(api, key.namespace, hundreds=20) as pods:
        pods.more = {"matrix": [[patient]], "instance": {"subject": patient}}
        predictors.patch(key, modelVersion="v3", model=None, rollout=FAST)

        def refused() -> bool:
            said: str = predictors.condition(key)["message"]
            return "what pods tell of their counts cannot be used" in said

        eventually(refused, within=90, what="reports are refused")
        pods.more = {"subject": patient, "records": [{"heart_rate": patient}]}
        predictors.wait(key)
        assert api.need(RISKPREDICTOR, key)["status"]["servingVersion"] == "v3"


def _through_everything(api: Api, predictors: Predictors, key: Key, sentinel: str) -> None:
    """What makes an operator talk: refusals, conflicts, drift, pods that do not come up, junk."""
    predictors.patch(key, podTemplate={"affinity": {"nodeAffinity": {"wrong": [sentinel]}}})
    predictors.wait(key, "False", "ApplyRefused")
    predictors.patch(key, podTemplate={"affinity": None, "nodeSelector": {"no": "node"}})
    predictors.wait(key, "False", "Unschedulable")
    for pod in _pods(api, key):
        note = {"metadata": {"annotations": {"example.com/patient": sentinel}}}
        path = f"/api/v1/namespaces/{key.namespace}/pods/{pod}"
        api.request("PATCH", path, note, "application/merge-patch+json")
    predictors.patch(key, podTemplate={"nodeSelector": None})
    predictors.wait(key)
    api.patch(SERVICE, key, {"metadata": {"labels": {"app": sentinel}}})
    eventually(lambda: api.need(SERVICE, key)["metadata"]["labels"]["app"] == key.name)
    api.delete(SERVICE, key)
    eventually(lambda: api.get(SERVICE, key) is not None)
    predictors.wait(key)
    time.sleep(0.5)


def _pods(api: Api, key: Key) -> list[str]:
    path = f"/api/v1/namespaces/{key.namespace}/pods"
    return [pod["metadata"]["name"] for pod in api.request("GET", path)["items"]]
