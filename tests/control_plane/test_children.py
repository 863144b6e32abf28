"""From one RiskPredictor to its children, and nothing left when it goes."""

from __future__ import annotations

import time

import pytest

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key, Resource
from support.api import (
    AUTOSCALER,
    DEPLOYMENT,
    NAMESPACE,
    RISKPREDICTOR,
    SERVICE,
    Api,
    Body,
    eventually,
)
from support.cluster import LocalCluster
from support.operator import OperatorProcess
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")


def test_three_children_carry_its_name_and_owner(api: Api, predictors: Predictors) -> None:
    key = predictors.create()
    predictors.wait(key)
    owner = api.need(RISKPREDICTOR, key)
    for resource in CHILDREN:
        child = api.need(resource, key)
        assert child["metadata"]["labels"]["app"] == key.name
        assert child["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "healthtech.dev/v1alpha1",
                "kind": "RiskPredictor",
                "name": key.name,
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]


def test_defaults_reach_the_children(api: Api, predictors: Predictors) -> None:
    key = predictors.create()
    predictors.wait(key)
    deployment, service = api.need(DEPLOYMENT, key), api.need(SERVICE, key)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert deployment["spec"]["replicas"] == 2
    assert container["image"] == "health-predictor:v1"
    assert container["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "200m", "memory": "256Mi"},
    }
    assert [(p["port"], p["targetPort"]) for p in service["spec"]["ports"]] == [(80, 5000)]
    autoscaler = api.need(AUTOSCALER, key)["spec"]
    assert (autoscaler["minReplicas"], autoscaler["maxReplicas"]) == (2, 5)
    assert autoscaler["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    assert autoscaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_a_new_version_reaches_the_pods_and_the_status(api: Api, predictors: Predictors) -> None:
    key = predictors.create()
    predictors.wait(key)
    predictors.patch(key, modelVersion="v2")
    status = predictors.wait(key)["status"]
    assert status["servingVersion"] == "v2"
    assert status["image"] == "health-predictor:v2"
    template = api.need(DEPLOYMENT, key)["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "health-predictor:v2"


def test_a_service_account_can_be_given_and_taken_away(api: Api, predictors: Predictors) -> None:
    """The API server keeps it under two names; both have to go."""
    key = predictors.create(podTemplate={"serviceAccountName": "robot"})

    def account() -> str:
        template = (api.get(DEPLOYMENT, key) or {}).get("spec", {}).get("template", {})
        return str(template.get("spec", {}).get("serviceAccountName", ""))

    eventually(lambda: account() == "robot")
    predictors.patch(key, podTemplate=None)
    eventually(lambda: account() == "")


def test_status_says_where_and_how_many(predictors: Predictors) -> None:
    key = predictors.create(service={"port": 8080})
    status = predictors.wait(key)["status"]
    assert status["url"] == f"http://risk.{key.namespace}.svc:8080"
    assert status["selector"] == "healthtech.dev/riskpredictor=risk"
    assert (status["replicas"], status["readyReplicas"]) == (2, 2)


def test_deleting_it_leaves_nothing(api: Api, predictors: Predictors) -> None:
    key = predictors.create()
    predictors.wait(key)
    api.delete(RISKPREDICTOR, key)
    # The garbage collector looks for new kinds every 30 s; the CRD may be younger.
    eventually(lambda: all(api.get(resource, key) is None for resource in CHILDREN), within=90)
    time.sleep(1.0)
    assert all(api.get(resource, key) is None for resource in CHILDREN), "a child came back"


def test_recreated_at_once_it_waits_for_its_forerunners_children(
    api: Api, predictors: Predictors
) -> None:
    key = predictors.create()
    first = predictors.wait(key)["metadata"]["uid"]
    api.delete(RISKPREDICTOR, key)
    predictors.create(modelVersion="v2")
    # The garbage collector, again.
    status = predictors.wait(key, within=90)
    assert status["metadata"]["uid"] != first
    for resource in CHILDREN:
        owner = api.need(resource, key)["metadata"]["ownerReferences"][0]
        assert owner["uid"] == status["metadata"]["uid"]


def test_orphaned_children_are_taken_back(api: Api, predictors: Predictors) -> None:
    key = predictors.create()
    predictors.wait(key)
    before = {resource: api.need(resource, key)["metadata"]["uid"] for resource in CHILDREN}
    api.delete(RISKPREDICTOR, key, policy="Orphan")
    # Orphaning, too, is the garbage collector's.
    eventually(lambda: api.get(RISKPREDICTOR, key) is None, within=90)
    predictors.create()
    predictors.wait(key)
    after = {resource: api.need(resource, key)["metadata"]["uid"] for resource in CHILDREN}
    assert after == before


@pytest.mark.parametrize("resource", CHILDREN, ids=lambda r: r.kind)
def test_a_foreign_object_is_never_touched(
    api: Api, predictors: Predictors, namespace: str, resource: Resource
) -> None:
    key = Key(namespace, "risk")
    api.create(resource, _foreign(resource, key))
    before = api.need(resource, key)
    predictors.create()
    body = predictors.wait(key, status="False", reason="NotOwned")
    stalled = predictors.condition(key, "Stalled")
    assert resource.kind in stalled["message"]
    assert "delete or rename it" in stalled["message"]
    assert body["status"]["observedGeneration"] == 1
    after = api.need(resource, key)
    assert _without_controllers(after) == _without_controllers(before)

    api.delete(resource, key)
    predictors.patch(key, minReplicas=1)
    predictors.wait(key)
    assert api.need(resource, key)["metadata"]["uid"] != before["metadata"]["uid"]


def _foreign(resource: Resource, key: Key) -> Body:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": key.name}
    spec = {
        DEPLOYMENT: {
            "replicas": 1,
            "selector": {"matchLabels": {"mine": "yes"}},
            "template": {
                "metadata": {"labels": {"mine": "yes"}},
                "spec": {"containers": [{"name": "own", "image": "own:1"}]},
            },
        },
        SERVICE: {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"mine": "yes"}},
        AUTOSCALER: {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 5},
    }[resource]
    return {"metadata": {"name": key.name, "namespace": key.namespace}, "spec": spec}


def _without_controllers(body: Body) -> Body:
    """Without what Kubernetes' own controllers write meanwhile."""
    metadata = {
        name: value
        for name, value in body["metadata"].items()
        if name not in ("resourceVersion", "managedFields", "annotations")
    }
    return {**body, "metadata": metadata, "status": None}


def test_suspended_it_leaves_the_children_alone(api: Api, predictors: Predictors) -> None:
    key = predictors.create()
    predictors.wait(key)
    predictors.patch(key, suspend=True)
    predictors.wait(key, status="False", reason="Suspended")
    api.patch(SERVICE, key, {"metadata": {"labels": {"app": "other"}}})
    time.sleep(1.0)
    assert api.need(SERVICE, key)["metadata"]["labels"]["app"] == "other"
    predictors.patch(key, suspend=False)
    predictors.wait(key)
    assert api.need(SERVICE, key)["metadata"]["labels"]["app"] == "risk"


def test_events_tell_the_transitions_once(
    cluster: LocalCluster, operator: OperatorProcess, predictors: Predictors
) -> None:
    key = predictors.create()
    predictors.wait(key)

    def told() -> int:
        text = cluster.kubectl("-n", key.namespace, "describe", "riskpredictor", key.name)
        return text.count("v1 is served by 2 of 2 pods")

    # The Event comes after the status.
    eventually(lambda: told() == 2, what="once as condition, once as Event")
    assert f"{key}: Ready" in operator.says()


def test_a_namespace_goes_with_what_is_in_it(
    api: Api, predictors: Predictors, unique_name: str
) -> None:
    key = predictors.create()
    predictors.wait(key)
    api.create(NAMESPACE, {"metadata": {"name": f"{unique_name}-x"}})
    other = Key(f"{unique_name}-x", "risk")
    api.create(
        RISKPREDICTOR,
        {
            "metadata": {"name": "risk", "namespace": other.namespace},
            "spec": {"modelVersion": "v1"},
        },
    )
    predictors.wait(other)
    api.delete(NAMESPACE, Key("", other.namespace))
    eventually(lambda: api.get(NAMESPACE, Key("", other.namespace)) is None, within=60)
    assert api.get(RISKPREDICTOR, key) is not None
