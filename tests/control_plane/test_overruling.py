"""Webhooks and other managers that change an owned field again and again: no write war, and one
sentence in the status that names field, values and who it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

import kstatus
from riskpredictor_operator.core.api import POD
from riskpredictor_operator.kube import Key
from support.api import DEPLOYMENT, RISKPREDICTOR, SERVICE, Api, Body, eventually
from support.audit import Mark
from support.cluster import LocalCluster
from support.predictors import Predictors
from support.webhook import Mutation, mutating

pytestmark = pytest.mark.usefixtures("operator")

IMAGE = "/spec/template/spec/containers/0/image"
WATCHED_SECONDS = 15.0
WRITES = 6
"""At most as many in that time: a handful at once, then pauses of 5, 10 and more seconds."""


def constant(_: int, __: Body) -> list[Body]:
    return [{"op": "replace", "path": IMAGE, "value": "mirror/predictor:1"}]


def varying(number: int, _: Body) -> list[Body]:
    return [{"op": "replace", "path": IMAGE, "value": f"mirror/predictor:{number}"}]


@pytest.fixture
def key(predictors: Predictors) -> Key:
    key = predictors.create(minReplicas=1, maxReplicas=1)
    predictors.wait(key)
    return key


def deployment_writes(mark: Mark, key: Key) -> int:
    """Those that were made: one that meets another version is refused and tried again."""
    return sum(
        entry["verb"] == "patch" and entry["responseStatus"]["code"] < 300
        for entry in mark.requests()
        if entry["objectRef"]["resource"] == "deployments"
        and entry["objectRef"].get("namespace") == key.namespace
    )


@pytest.mark.parametrize("mutation", [constant, varying], ids=lambda f: f.__name__)
def test_a_webhook_that_changes_an_owned_field_is_told_and_not_fought(
    cluster: LocalCluster,
    api: Api,
    predictors: Predictors,
    key: Key,
    mutation: Mutation,
    tmp_path: Path,
) -> None:
    pods: set[str] = set()
    mark = Mark(cluster)
    with (
        api.following(POD, key.namespace, lambda _, pod: pods.add(pod["metadata"]["uid"])),
        mutating(api, tmp_path, key.namespace, DEPLOYMENT, mutation),
    ):
        time.sleep(1.0)  # until the API server knows the webhook
        predictors.patch(key, modelVersion="v2")
        body = predictors.wait(key, "False", "FieldOverruled")
        assert predictors.condition(key, "Stalled")["status"] == "True"
        assert kstatus.violations(body) == []
        message = predictors.condition(key)["message"]
        for part in (
            f"Deployment {key}: spec.template.spec.containers[predictor].image",
            'should be "health-predictor:v2"', "admission", '"mirror/predictor:',
        ):  # fmt: skip
            assert part in message
        time.sleep(WATCHED_SECONDS)
        assert deployment_writes(mark, key) <= WRITES
        assert len(pods) <= 2 * WRITES
        # Another field of the same child is repaired at once all the same.
        api.patch(DEPLOYMENT, key, {"metadata": {"labels": {"app": "other"}}})
        eventually(
            lambda: api.need(DEPLOYMENT, key)["metadata"]["labels"]["app"] == "risk", within=3
        )
    assert predictors.wait(key, within=60)["status"]["servingVersion"] == "v2"


def test_a_webhook_that_only_adds_is_no_war(
    cluster: LocalCluster, api: Api, predictors: Predictors, key: Key, tmp_path: Path
) -> None:
    """As policies do: tolerations, pull secrets, labels, limits of a security context."""

    def adds(number: int, body: Body) -> list[Body]:
        pod = body["spec"]["template"]["spec"]
        path = "/spec/template/spec"
        return [
            {"op": "add", "path": f"{path}/tolerations", "value": [
                *pod.get("tolerations", []), {"key": "pool", "operator": "Exists"},
            ][:2]},
            {"op": "add", "path": f"{path}/imagePullSecrets", "value": [{"name": "mirror"}]},
            {"op": "add", "path": f"{path}/nodeSelector", "value": {
                **pod.get("nodeSelector", {}), "type": "kwok",
            }},
            {"op": "add", "path": f"{path}/securityContext/fsGroup", "value": 2000},
            {"op": "add", "path": "/spec/template/metadata/labels/policy", "value": "checked"},
        ]  # fmt: skip

    with mutating(api, tmp_path, key.namespace, DEPLOYMENT, adds):
        time.sleep(1.0)
        predictors.patch(key, modelVersion="v2", podTemplate={"tolerations": [
            {"key": "gpu", "operator": "Exists"}
        ]})  # fmt: skip
        predictors.wait(key, reason="Ready")
        mark = Mark(cluster)
        time.sleep(3.0)
        assert deployment_writes(mark, key) == 0
        added = api.need(DEPLOYMENT, key)["spec"]["template"]["spec"]
        assert len(added["tolerations"]) == 2
        # An edit goes, and what admission adds stays.
        pool = {"spec": {"template": {"spec": {"nodeSelector": {"pool": "theirs"}}}}}
        api.patch(DEPLOYMENT, key, pool)
        eventually(lambda: api.need(DEPLOYMENT, key)["spec"]["template"]["spec"] == added, within=2)
        time.sleep(1.0)
        assert deployment_writes(mark, key) == 1
        predictors.wait(key, reason="Ready")


def apply_old_yaml(cluster: LocalCluster, api: Api, key: Key) -> None:
    body = f"""
apiVersion: v1
kind: Service
metadata: {{name: risk, namespace: {key.namespace}}}
spec: {{type: ClusterIP, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
"""
    cluster.try_kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-",
        stdin=body,
    )  # fmt: skip


def resize(cluster: LocalCluster, api: Api, key: Key) -> None:
    path = f"/apis/apps/v1/namespaces/{key.namespace}/deployments/{key.name}?fieldManager=resizer"
    container = {"name": "predictor", "resources": {"requests": {"cpu": "123m"}}}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    api.request("PATCH", path, patch, "application/strategic-merge-patch+json")


@pytest.mark.parametrize(
    ("act", "field", "who"),
    [
        pytest.param(apply_old_yaml, "spec.ports[80/TCP].targetPort", "gitops", id="GitOps"),
        pytest.param(
            resize, "containers[predictor].resources.requests.cpu", "resizer", id="resizer"
        ),
    ],
)
def test_another_manager_that_insists_is_named(
    cluster: LocalCluster,
    api: Api,
    predictors: Predictors,
    key: Key,
    act: Callable[[LocalCluster, Api, Key], None],
    field: str,
    who: str,
) -> None:
    ended = Event()

    def insist() -> None:
        while not ended.wait(0.5):
            act(cluster, api, key)

    mark = Mark(cluster)
    thread = Thread(target=insist)
    thread.start()
    try:
        predictors.wait(key, "False", "FieldOverruled", within=30)
        message = predictors.condition(key)["message"]
        assert field in message
        assert who in message
        time.sleep(WATCHED_SECONDS)
        repairs = [
            w for w in mark.writes(key.namespace) if w.startswith(("patch dep", "patch serv"))
        ]
        assert len(repairs) <= WRITES + 3
        assert predictors.condition(key)["reason"] == "FieldOverruled"
    finally:
        ended.set()
        thread.join()
    predictors.wait(key, within=90)
    assert api.need(SERVICE, key)["spec"]["ports"][0]["targetPort"] == 5000
    assert api.need(RISKPREDICTOR, key)["status"]["servingVersion"] == "v1"
