"""From one RiskPredictor to its children, and nothing left when it goes."""

from __future__ import annotations

import time

import pytest

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key, Resource
from support import foreign
from support.api import (
    DEPLOYMENT,
    RISKPREDICTOR,
    SERVICE,
    Api,
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


def test_a_service_account_can_be_given_and_taken_away(api: Api, predictors: Predictors) -> None:
    """The API server keeps it under two names; both have to go."""
    key = predictors.create(podTemplate={"serviceAccountName": "robot"})

    def account() -> str:
        template = (api.get(DEPLOYMENT, key) or {}).get("spec", {}).get("template", {})
        return str(template.get("spec", {}).get("serviceAccountName", ""))

    eventually(lambda: account() == "robot")
    predictors.patch(key, podTemplate=None)
    eventually(lambda: account() == "")


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
    theirs = foreign.create(api, resource, key)
    predictors.create()
    body = predictors.wait(key, status="False", reason="NotOwned")
    stalled = predictors.condition(key, "Stalled")
    assert resource.kind in stalled["message"]
    assert "delete or rename it" in stalled["message"]
    assert body["status"]["observedGeneration"] == 1
    assert foreign.essence(api.need(resource, key)) == foreign.essence(theirs)

    api.delete(resource, key)
    predictors.patch(key, minReplicas=1)
    predictors.wait(key)
    assert api.need(resource, key)["metadata"]["uid"] != theirs["metadata"]["uid"]


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
