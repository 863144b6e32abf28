"""Specification of the operator's picture of the cluster."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.builders import KEY, Object, changed, manifests, predictor
from unit.operator.live import SCALING_ACTIVE, condition, live

from riskpredictor_operator.core import api
from riskpredictor_operator.core.observed import owns_replicas
from riskpredictor_operator.runtime.cache import Cache, trim


def service(version: int, *, uid: str = "one", **spec: Any) -> Object:
    body = live(api.SERVICE, manifests(predictor())[api.SERVICE], uid=uid, version=version)
    return {**body, "spec": {**body["spec"], **spec}}


def autoscaler(version: int, status: Object) -> Object:
    body = live(api.AUTOSCALER, manifests(predictor())[api.AUTOSCALER], version=version)
    return {**body, "status": status}


@pytest.fixture
def cache() -> Cache:
    return Cache()


def version(cache: Cache) -> str:
    known = cache.get(api.SERVICE, KEY)
    return "" if known is None else str(known["metadata"]["resourceVersion"])


def test_a_new_object_is_a_change(cache: Cache) -> None:
    assert cache.put(api.SERVICE, service(5))
    assert (version(cache), cache.count(api.SERVICE)) == ("5", 1)
    assert list(cache.keys(api.SERVICE)) == [KEY]
    assert set(cache.versions(api.SERVICE)) == {"one"}


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        pytest.param(5, 9, "9", id="newer"),
        pytest.param(9, 10, "10", id="newer by number, not by text"),
        pytest.param(9, 5, "9", id="older"),
        pytest.param(9, 9, "9", id="the same"),
    ],
)
def test_the_newest_state_wins(cache: Cache, first: int, second: int, kept: str) -> None:
    cache.put(api.SERVICE, service(first))
    assert cache.put(api.SERVICE, service(second, type="NodePort")) == (second > first)
    assert version(cache) == kept


def test_a_newer_state_without_a_difference_is_no_change(cache: Cache) -> None:
    cache.put(api.SERVICE, service(5))
    assert not cache.put(api.SERVICE, service(6))
    assert version(cache) == "6"


def test_kinds_do_not_mix(cache: Cache) -> None:
    cache.put(api.SERVICE, service(5))
    assert cache.get(api.DEPLOYMENT, KEY) is None


class TestDrop:
    def test_a_deleted_object_is_forgotten(self, cache: Cache) -> None:
        cache.put(api.SERVICE, service(5))
        assert cache.drop(api.SERVICE, service(6))
        assert cache.get(api.SERVICE, KEY) is None

    def test_the_deletion_of_an_earlier_namesake_is_not_its_own(self, cache: Cache) -> None:
        cache.put(api.SERVICE, service(9, uid="two"))
        assert not cache.drop(api.SERVICE, service(7, uid="one"))
        assert version(cache) == "9"

    def test_an_unknown_object_is_no_change(self, cache: Cache) -> None:
        assert not cache.drop(api.SERVICE, service(5))


class TestPrune:
    def test_what_a_list_does_not_show_is_forgotten(self, cache: Cache) -> None:
        cache.put(api.SERVICE, service(5))
        assert cache.prune(api.SERVICE, [], {"one"}) == [KEY]
        assert cache.get(api.SERVICE, KEY) is None

    def test_what_it_shows_stays(self, cache: Cache) -> None:
        cache.put(api.SERVICE, service(5))
        assert cache.prune(api.SERVICE, ["one"], {"one"}) == []
        assert version(cache) == "5"

    def test_what_came_after_it_was_asked_for_is_spared(self, cache: Cache) -> None:
        cache.put(api.SERVICE, service(5, uid="two"))
        assert cache.prune(api.SERVICE, [], {"one"}) == []
        assert version(cache) == "5"


class TestTrim:
    def test_who_owns_replicas_survives_and_the_rest_of_managed_fields_does_not(self) -> None:
        fixed = live(api.DEPLOYMENT, manifests(predictor(replicas=3))[api.DEPLOYMENT])
        fixed["metadata"]["managedFields"].append({"manager": "kubectl", "operation": "Update"})
        trimmed = trim(api.DEPLOYMENT, fixed)
        assert owns_replicas(trimmed)
        assert len(trimmed["metadata"]["managedFields"]) == 1

    def test_managed_fields_go_where_the_operator_does_not_own_replicas(self) -> None:
        body = live(api.DEPLOYMENT, manifests(predictor())[api.DEPLOYMENT])
        assert "managedFields" not in trim(api.DEPLOYMENT, body)["metadata"]

    def test_letting_go_of_replicas_is_a_change(self, cache: Cache) -> None:
        body = live(api.DEPLOYMENT, manifests(predictor(replicas=3))[api.DEPLOYMENT])
        cache.put(api.DEPLOYMENT, body)
        let_go = changed(changed(body, [], "metadata", "managedFields"), "201", "metadata",
                         "resourceVersion")  # fmt: skip
        assert cache.put(api.DEPLOYMENT, let_go)

    def test_an_autoscalers_metrics_are_no_change(self, cache: Cache) -> None:
        cache.put(api.AUTOSCALER, autoscaler(5, SCALING_ACTIVE))
        metric = {"resource": {"current": {"averageUtilization": 83}}}
        moved = {**SCALING_ACTIVE, "currentMetrics": [metric], "currentReplicas": 4}
        times = [{**c, "lastTransitionTime": "now"} for c in SCALING_ACTIVE["conditions"]]
        assert not cache.put(api.AUTOSCALER, autoscaler(6, moved))
        assert not cache.put(api.AUTOSCALER, autoscaler(7, {**moved, "conditions": times}))

    def test_an_autoscalers_condition_is_one(self, cache: Cache) -> None:
        cache.put(api.AUTOSCALER, autoscaler(5, SCALING_ACTIVE))
        failing = [condition("ScalingActive", "False", "FailedGetResourceMetric")]
        assert cache.put(
            api.AUTOSCALER, autoscaler(6, {"currentMetrics": [], "conditions": failing})
        )

    def test_of_a_predictors_annotations_nothing_is_kept(self) -> None:
        body = predictor()
        body["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied": "everything"}
        assert "annotations" not in trim(api.RISKPREDICTOR, body)["metadata"]

    def test_of_a_childs_annotations_all_are(self) -> None:
        manifest = manifests(predictor())[api.SERVICE]
        trimmed = trim(api.SERVICE, live(api.SERVICE, manifest))
        assert trimmed["metadata"]["annotations"] == manifest["metadata"]["annotations"]

    def test_the_original_is_left_as_it_was(self) -> None:
        body = predictor()
        body["metadata"]["annotations"] = {"a": "b"}
        trim(api.RISKPREDICTOR, body)
        assert body["metadata"]["annotations"] == {"a": "b"}


class TestDeletion:
    def test_a_late_answer_does_not_bring_the_object_back(self, cache: Cache) -> None:
        """A write was answered, then the object deleted; the watch was quicker than the answer."""
        cache.put(api.SERVICE, service(5))
        cache.drop(api.SERVICE, service(7))
        assert not cache.put(api.SERVICE, service(6))
        assert version(cache) == ""

    def test_not_even_one_that_was_never_known(self, cache: Cache) -> None:
        cache.drop(api.SERVICE, service(7))
        assert not cache.put(api.SERVICE, service(6))

    @pytest.mark.parametrize("version_then", [7, 8], ids=["read as it left", "given back"])
    def test_one_that_only_lost_its_label_can_come_back(
        self, cache: Cache, version_then: int
    ) -> None:
        cache.put(api.SERVICE, service(5))
        cache.drop(api.SERVICE, service(7))
        assert cache.put(api.SERVICE, service(version_then))

    def test_a_new_object_of_the_name_is_another(self, cache: Cache) -> None:
        cache.drop(api.SERVICE, service(7))
        assert cache.put(api.SERVICE, service(6, uid="two"))

    def test_what_is_remembered_of_deletions_is_bounded(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("riskpredictor_operator.runtime.cache.REMEMBERED_DELETIONS", 3)
        for number in range(10):
            cache.drop(api.SERVICE, service(7, uid=str(number)))
        assert list(cache._gone) == ["7", "8", "9"]
