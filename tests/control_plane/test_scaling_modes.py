"""Fixed size and autoscaling, and the way from one to the other without losing a pod."""

from __future__ import annotations

import pytest

from riskpredictor_operator.kube import Key, Resource, path_of
from support.api import AUTOSCALER, DEPLOYMENT, RISKPREDICTOR, Api, Refused, eventually
from support.cluster import LocalCluster
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")


def _replicas(api: Api, key: Key) -> int:
    return int(api.need(DEPLOYMENT, key)["spec"]["replicas"])


def test_kubectl_scale_fixes_the_size(
    cluster: LocalCluster, api: Api, predictors: Predictors
) -> None:
    key = predictors.create()
    predictors.wait(key)
    assert "replicas" not in api.need(RISKPREDICTOR, key)["spec"]
    cluster.kubectl("-n", key.namespace, "scale", "rp/risk", "--replicas=4")
    predictors.wait(key)
    assert _replicas(api, key) == 4
    assert api.get(AUTOSCALER, key) is None
    assert predictors.condition(key, "Autoscaling")["reason"] == "FixedSize"
    scale = api.request(
        "GET", f"/apis/healthtech.dev/v1alpha1/namespaces/{key.namespace}/riskpredictors/risk/scale"
    )
    assert scale["status"] == {
        "replicas": 4, "selector": "healthtech.dev/riskpredictor=risk",
    }  # fmt: skip


def _scale(api: Api, key: Key, replicas: int, target: Resource = DEPLOYMENT) -> None:
    """What an autoscaler does: write the scale subresource of its target."""
    path = f"{path_of(target, key)}/scale"
    api.request("PATCH", path, {"spec": {"replicas": replicas}}, "application/merge-patch+json")


def _numbers_during(
    api: Api, predictors: Predictors, key: Key, **change: str | int | None
) -> list[int]:
    """How many pods the Deployment asks for while a change of the spec is carried out."""
    predictors.wait(key)
    with api.watching(DEPLOYMENT, key) as states:
        predictors.patch(key, **change)
        predictors.wait(key)
        if change.get("replicas", 0) is None:
            eventually(lambda: api.get(AUTOSCALER, key))
    return [state["spec"]["replicas"] for state in states]


def test_back_to_autoscaling_keeps_the_running_pods(api: Api, predictors: Predictors) -> None:
    key = predictors.create(replicas=4)
    assert min(_numbers_during(api, predictors, key, replicas=None)) == 4


def test_a_new_version_right_after_creation_keeps_the_pods(
    api: Api, predictors: Predictors
) -> None:
    """The operator still owns the number it started with; it hands it over before letting go."""
    key = predictors.create(minReplicas=3)
    assert set(_numbers_during(api, predictors, key, modelVersion="v2")) == {3}


def test_a_number_that_the_autoscaler_chose_survives_a_new_version(
    api: Api, predictors: Predictors
) -> None:
    key = predictors.create()
    predictors.wait(key)
    _scale(api, key, 5)
    assert set(_numbers_during(api, predictors, key, modelVersion="v2")) == {5}


def test_from_autoscaling_to_a_larger_fixed_size_never_dips(
    api: Api, predictors: Predictors
) -> None:
    numbers = _numbers_during(api, predictors, predictors.create(), replicas=5)
    assert numbers == sorted(numbers)
    assert numbers[-1] == 5


def test_bounds_follow_the_spec(api: Api, predictors: Predictors) -> None:
    key = predictors.create()
    predictors.wait(key)
    predictors.patch(key, minReplicas=3, maxReplicas=7)
    predictors.wait(key)
    spec = api.need(AUTOSCALER, key)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 7)
    assert _replicas(api, key) == 3, "Ready must wait until the autoscaler obeyed"


class TestExternalAutoscaler:
    def test_its_number_is_respected_also_zero_and_beyond_the_bounds(
        self, api: Api, predictors: Predictors
    ) -> None:
        key = predictors.create(autoscaler="External")
        predictors.wait(key)
        assert (_replicas(api, key), api.get(AUTOSCALER, key)) == (2, None)
        for number, version in ((7, "v2"), (0, "v3"), (1, "v4")):
            _scale(api, key, number)
            predictors.patch(key, modelVersion=version)
            predictors.wait(key)
            assert _replicas(api, key) == number

    def test_the_way_there_keeps_the_running_pods(self, api: Api, predictors: Predictors) -> None:
        key = predictors.create()
        predictors.wait(key)
        _scale(api, key, 4)
        with api.watching(DEPLOYMENT, key) as states:
            predictors.patch(key, autoscaler="External")
            eventually(lambda: api.get(AUTOSCALER, key) is None)
            predictors.wait(key)
        assert {state["spec"]["replicas"] for state in states} <= {4}
        assert _replicas(api, key) == 4

    def test_the_way_back_keeps_the_running_pods_within_the_bounds(
        self, api: Api, predictors: Predictors
    ) -> None:
        key = predictors.create(autoscaler="External")
        predictors.wait(key)
        _scale(api, key, 4)
        predictors.patch(key, autoscaler="Managed")
        eventually(lambda: api.get(AUTOSCALER, key))
        predictors.wait(key)
        assert _replicas(api, key) == 4

    def test_one_that_aims_at_the_riskpredictor_fixes_the_size(
        self, api: Api, predictors: Predictors
    ) -> None:
        """Which it cannot read while no size is set: the API server's answer (docs/FAQ.md)."""
        key = predictors.create(autoscaler="External", replicas=1)
        predictors.wait(key)
        _scale(api, key, 3, RISKPREDICTOR)
        predictors.wait(key)
        assert _replicas(api, key) == 3
        predictors.patch(key, replicas=None)
        predictors.wait(key)
        scale = f"{path_of(RISKPREDICTOR, key)}/scale"
        with pytest.raises(Refused, match=r"500: .*spec\.replicas"):
            api.request("GET", scale)
