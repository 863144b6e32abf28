"""A ResourceQuota on the children themselves; one on pods is met in tests/chaos."""

from __future__ import annotations

import time

import pytest

from riskpredictor_operator.core.api import CHILDREN, Resource
from support.api import Api, eventually
from support.audit import Mark
from support.cluster import LocalCluster
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")


@pytest.mark.parametrize("resource", CHILDREN, ids=lambda r: r.kind)
def test_a_child_for_which_there_is_no_quota(
    cluster: LocalCluster, api: Api, predictors: Predictors, resource: Resource
) -> None:
    name = f"count/{resource.plural}" + (f".{resource.group}" if resource.group else "")
    path = f"/api/v1/namespaces/{predictors.namespace}/resourcequotas"
    quota = {"metadata": {"name": "children"}, "spec": {"hard": {name: "1"}}}
    api.request("POST", path, {"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    eventually(lambda: api.request("GET", f"{path}/children").get("status", {}).get("used"))
    first = predictors.create("first", minReplicas=1)
    predictors.wait(first)

    second = predictors.create("second", minReplicas=1)
    predictors.wait(second, "False", "QuotaExceeded")
    message = predictors.condition(second, "Stalled")["message"]
    assert f"{resource.kind} {second}" in message
    assert "children" in message, "which quota"
    assert name in message
    assert api.get(resource, second) is None
    others = [each for each in CHILDREN if each != resource]
    eventually(lambda: all(api.get(each, second) is not None for each in others))
    mark = Mark(cluster)
    time.sleep(3.0)
    assert len(mark.writes(predictors.namespace)) < 6, "it does not insist"

    raised = {"spec": {"hard": {name: "2"}}}
    api.request("PATCH", f"{path}/children", raised, "application/merge-patch+json")
    # Nobody tells that a quota has room again: it looks every half minute.
    predictors.wait(second, within=60)
    predictors.wait(first)


def test_a_quota_that_others_filled_keeps_what_serves(api: Api, predictors: Predictors) -> None:
    """A repair is no new object, so it needs no room."""
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    path = f"/api/v1/namespaces/{predictors.namespace}/resourcequotas"
    hard = {"count/deployments.apps": "0", "count/services": "0"}
    quota = {"metadata": {"name": "children"}, "spec": {"hard": hard}}
    api.request("POST", path, {"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    eventually(lambda: api.request("GET", f"{path}/children").get("status", {}).get("used"))
    predictors.patch(key, modelVersion="v2")
    assert predictors.wait(key)["status"]["servingVersion"] == "v2"
