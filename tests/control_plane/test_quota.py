"""A ResourceQuota on the children themselves; one on pods is met in tests/chaos."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

import pytest

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key, Resource
from support.api import DEPLOYMENT, NAMESPACE, SERVICE, Api, eventually
from support.audit import Mark
from support.cluster import LocalCluster
from support.endstate import await_order
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")


def test_children_for_which_there_is_no_quota(
    cluster: LocalCluster, api: Api, predictors: Predictors
) -> None:
    """Each kind in a namespace of its own, all at the same time: they wait for half a minute."""
    homes = {
        resource: Predictors(api, f"{predictors.namespace}-{resource.plural}")
        for resource in CHILDREN
    }
    try:
        for resource, home in homes.items():
            api.create(NAMESPACE, {"metadata": {"name": home.namespace}})
            api.limit(home.namespace, **{_count(resource): "1"})
            home.wait(home.create("first", minReplicas=1))
        keys = {home: home.create("second", minReplicas=1) for home in homes.values()}
        for resource, home in homes.items():
            _is_told(api, home, keys[home], resource)
        # The pods of the other children come up meanwhile, and each news is a reason to try.
        calm = partial(_at_most_one_try_each, cluster, homes.values(), seconds=20.0)
        eventually(calm, within=90, what="it does not insist")
        for resource, home in homes.items():
            api.limit(home.namespace, **{_count(resource): "2"})
        for home in homes.values():
            # Nobody tells that a quota has room again: it looks every half minute.
            home.wait(keys[home], within=60)
            home.wait(Key(home.namespace, "first"))
    finally:
        for home in homes.values():
            api.delete(NAMESPACE, Key("", home.namespace))


def _is_told(api: Api, home: Predictors, key: Key, resource: Resource) -> None:
    home.wait(key, "False", "QuotaExceeded")
    message = home.condition(key, "Reconciling")["message"]
    assert f"{resource.kind} {key}" in message
    assert "exceeded quota: full" in message, "which quota"
    assert _count(resource) in message
    assert api.get(resource, key) is None
    others = [each for each in CHILDREN if each != resource]
    eventually(lambda: all(api.get(each, key) is not None for each in others))


def _at_most_one_try_each(
    cluster: LocalCluster, homes: Iterable[Predictors], seconds: float
) -> bool:
    """Whether within that time no child was tried twice: one look every half minute may fall in."""
    mark = Mark(cluster)
    time.sleep(seconds)
    return all(len(mark.writes(home.namespace)) <= 1 for home in homes)


def _count(resource: Resource) -> str:
    return f"count/{resource.plural}" + (f".{resource.group}" if resource.group else "")


def test_a_quota_that_others_filled_keeps_what_serves(api: Api, predictors: Predictors) -> None:
    """A repair is no new object, so it needs no room."""
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    api.limit(predictors.namespace, **{"count/deployments.apps": "0", "count/services": "0"})
    predictors.patch(key, modelVersion="v2")
    assert predictors.wait(key)["status"]["servingVersion"] == "v2"


@pytest.mark.parametrize("resource", [DEPLOYMENT, SERVICE], ids=lambda resource: resource.kind)
def test_a_child_that_is_made_anew_has_its_place_in_a_full_quota(
    api: Api, predictors: Predictors, resource: Resource
) -> None:
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    api.limit(predictors.namespace, **{_count(resource): "1"})
    predictors.break_beyond_update(key, resource)
    spec = {"modelVersion": "v1", "minReplicas": 1}
    await_order(api, key.namespace, {key.name: spec}, within=8)
