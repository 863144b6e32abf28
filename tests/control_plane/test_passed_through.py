"""Fields that reach the children, through a real API server: set, changed, removed, and never a
write too many."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from riskpredictor_operator.core.api import CHILDREN, DISRUPTION_BUDGET
from riskpredictor_operator.kube import Key
from support.api import AUTOSCALER, DEPLOYMENT, SERVICE, Api, eventually
from support.cluster import ROOT
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")


def service_of(api: Api, key: Key) -> dict[str, Any]:
    spec: dict[str, Any] = api.need(SERVICE, key)["spec"]
    return spec


def test_every_field_of_the_full_sample_is_admitted_and_settles(
    api: Api, predictors: Predictors
) -> None:
    """As rendered, so as read back: otherwise the operator would write for ever."""
    spec = yaml.safe_load((ROOT / "deploy/samples/full.yaml").read_text())["spec"]
    # The cluster has no such priority class and nodes, and gives a port to one Service.
    for field in ("priorityClassName", "affinity", "topologySpreadConstraints"):
        spec["podTemplate"].pop(field, None)
    del spec["service"]["nodePort"]
    key = predictors.create(**spec)
    predictors.wait(key)
    version = api.need(SERVICE, key)["metadata"]["resourceVersion"]
    generation = api.need(DEPLOYMENT, key)["metadata"]["generation"]
    predictors.patch(key, scaleDownStabilizationSeconds=301)
    eventually(
        lambda: (
            api.need(AUTOSCALER, key)["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"]
            == 301
        )
    )
    predictors.wait(key)
    assert api.need(DEPLOYMENT, key)["metadata"]["generation"] == generation
    assert api.need(SERVICE, key)["metadata"]["resourceVersion"] == version


def test_a_service_takes_its_fields_and_loses_them_with_the_spec(
    api: Api, predictors: Predictors
) -> None:
    annotations = {"example.com/scheme": "internal"}
    fields = {
        "loadBalancerClass": "example.com/internal",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "externalTrafficPolicy": "Local",
        "ipFamilyPolicy": "PreferDualStack",
    }
    key = predictors.create(service={"type": "LoadBalancer", "annotations": annotations, **fields})
    predictors.wait(key)
    service = api.need(SERVICE, key)
    assert service["metadata"]["annotations"].items() >= annotations.items()
    assert service["spec"].items() >= fields.items()
    address = service["spec"]["clusterIP"]

    empty = dict.fromkeys(("annotations", *fields))
    predictors.patch(key, service={"type": "ClusterIP", **empty})
    eventually(lambda: service_of(api, key)["type"] == "ClusterIP")
    predictors.wait(key)
    service = api.need(SERVICE, key)
    assert service["spec"]["clusterIP"] == address
    left = {"loadBalancerClass", "loadBalancerSourceRanges", "externalTrafficPolicy"}
    assert not left & set(service["spec"])
    assert "example.com/scheme" not in service["metadata"]["annotations"]

    predictors.patch(key, service={"type": "LoadBalancer", "loadBalancerClass": "other"})
    eventually(lambda: service_of(api, key).get("loadBalancerClass") == "other")
    predictors.wait(key)


def test_metadata_for_the_children_comes_and_goes_without_a_new_pod(
    api: Api, predictors: Predictors
) -> None:
    key = predictors.create()
    predictors.wait(key)
    before = api.need(DEPLOYMENT, key)["spec"]

    def found() -> list[bool]:
        bodies = [api.need(kind, key)["metadata"] for kind in CHILDREN]
        return [
            body["labels"].get("team") == "a" and body["annotations"].get("owner") == "b"
            for body in bodies
        ]

    predictors.patch(key, childMetadata={"labels": {"team": "a"}, "annotations": {"owner": "b"}})
    eventually(lambda: all(found()))
    predictors.patch(key, childMetadata=None)
    eventually(lambda: not any(found()))
    predictors.wait(key)
    assert api.need(DEPLOYMENT, key)["spec"] == before


def test_variables_from_every_source_are_admitted_and_settle(
    api: Api, predictors: Predictors
) -> None:
    sources: dict[str, Any] = {
        "A": {"fieldRef": {"fieldPath": "metadata.labels['team']"}},
        "B": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
        "C": {"configMapKeyRef": {"name": "c", "key": "d", "optional": True}},
        "D": {"secretKeyRef": {"name": "e", "key": "f", "optional": True}},
    }
    env = [{"name": name, "valueFrom": source} for name, source in sources.items()]
    key = predictors.create(podTemplate={"env": [*env, {"name": "E", "value": ""}, {"name": "F"}]})
    predictors.wait(key)
    before = api.need(DEPLOYMENT, key)
    (container,) = before["spec"]["template"]["spec"]["containers"]
    assert [entry["name"] for entry in container["env"]] == ["POD_NAME", *"ABCDEF"]
    predictors.patch(key, minReplicas=1)
    eventually(lambda: api.need(AUTOSCALER, key)["spec"]["minReplicas"] == 1)
    predictors.wait(key)
    assert api.need(DEPLOYMENT, key)["metadata"]["generation"] == before["metadata"]["generation"]


def test_the_disruption_budget_comes_and_goes(api: Api, predictors: Predictors) -> None:
    key = predictors.create()
    predictors.wait(key)
    assert api.need(DISRUPTION_BUDGET, key)["spec"]["maxUnavailable"] == 1
    predictors.patch(key, disruptionBudget="Disabled")
    eventually(lambda: api.get(DISRUPTION_BUDGET, key) is None)
    predictors.patch(key, disruptionBudget="Enabled", replicas=2)
    eventually(lambda: api.get(DISRUPTION_BUDGET, key))
    predictors.patch(key, replicas=1)
    eventually(lambda: api.get(DISRUPTION_BUDGET, key) is None)
