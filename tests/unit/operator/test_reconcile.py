"""Specification of a pass: what is written, what is said, and when to look again."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from prometheus_client import REGISTRY
from unit.operator.builders import KEY, NOW, Object, manifests, predictor
from unit.operator.fake_cluster import Call
from unit.operator.harness import Harness
from unit.operator.live_objects import deployment_status, live, pod, waiting

from kstatus import health, violations
from riskpredictor_operator.core import api, reasons
from riskpredictor_operator.status_writer import PROGRESS_SECONDS

CREATE = [f"apply {resource.kind}" for resource in api.CHILDREN]
STATUS = "patch_status RiskPredictor"


@pytest.fixture
def harness() -> Harness:
    return Harness()


async def test_a_new_predictor_costs_an_apply_a_child_and_one_status(harness: Harness) -> None:
    harness.declare()
    await harness.synced_pass()
    assert harness.take_writes() == [*CREATE, STATUS]
    assert harness.reason() == reasons.ROLLING_OUT
    assert harness.live(api.DEPLOYMENT)["spec"]["replicas"] == 2
    await harness.reconcile()
    assert harness.take_writes() == [], "the second pass writes nothing"


async def test_a_settled_predictor_is_ready_and_asks_for_no_further_look(harness: Harness) -> None:
    harness.declare()
    await harness.settle()
    assert await harness.reconcile() is None
    assert harness.take_writes() == []
    body = harness.live(api.RISKPREDICTOR)
    assert (health(body), violations(body)) == ("Current", [])
    assert harness.status["servingVersion"] == "v1"


@pytest.mark.parametrize("spec", [{}, {"replicas": 3}, {"suspend": True}], ids=repr)
async def test_a_restart_of_a_settled_cluster_writes_nothing(
    harness: Harness, spec: Object
) -> None:
    harness.declare()
    await harness.settle()
    harness.declare(**spec)
    await harness.settle(spec.get("replicas", 2))
    harness.restart()
    assert await harness.synced_pass() is None
    assert harness.take_writes() == []


async def test_a_port_that_somebody_renumbered_is_mended(harness: Harness) -> None:
    harness.declare()
    await harness.settle()
    harness.edit(api.SERVICE, lambda body: body["spec"]["ports"][0].update(port=81))
    await harness.synced_pass()
    assert harness.take_writes() == ["change Service"]
    assert [port["port"] for port in harness.live(api.SERVICE)["spec"]["ports"]] == [80]


class TestNumberOfPods:
    """What test_plan.py plans, carried out on a Deployment whose fields have owners."""

    async def test_the_autoscaler_scales_in_mid_switch(self, harness: Harness) -> None:
        """Its number wins: the hand-over conflicts, and the next pass starts from it."""
        harness.declare()
        await harness.settle()
        harness.declare(modelVersion="v2")
        await harness.sync()

        def scale(call: Call) -> None:
            if call.manager == api.HANDOVER_MANAGER:
                harness.cluster.on_call = lambda _: None
                harness.cluster.scale(KEY, 5)

        harness.cluster.on_call = scale
        with pytest.raises(Exception, match="Conflict"):
            await harness.reconcile()
        await harness.reconcile()
        assert harness.live(api.DEPLOYMENT)["spec"]["replicas"] == 5

    async def test_zero_pods_are_repaired(self, harness: Harness) -> None:
        harness.declare(minReplicas=3)
        await harness.settle(3)
        harness.cluster.scale(KEY, 0)
        await harness.synced_pass()
        assert "apply Deployment for hand-over" in harness.take_writes()
        assert harness.live(api.DEPLOYMENT)["spec"]["replicas"] == 3


class TestGone:
    async def test_an_unknown_predictor_is_nothing_to_do(self, harness: Harness) -> None:
        assert await harness.reconcile() is None
        assert harness.cluster.calls == []

    async def test_a_predictor_in_deletion_gets_no_writes(self, harness: Harness) -> None:
        harness.declare()
        harness.edit(api.RISKPREDICTOR, lambda b: b["metadata"].update(deletionTimestamp=NOW))
        assert await harness.synced_pass() is None
        assert harness.take_writes() == []

    @pytest.mark.parametrize("begun", [False, True], ids=["is over", "has begun"])
    async def test_no_child_is_made_for_one_whose_deletion_was_missed(
        self, harness: Harness, begun: bool
    ) -> None:
        harness.declare()
        await harness.sync()
        if begun:
            harness.edit(api.RISKPREDICTOR, lambda b: b["metadata"].update(deletionTimestamp=NOW))
        else:
            harness.cluster.remove(api.RISKPREDICTOR, KEY)
        await harness.reconcile()
        assert harness.take_writes() == []
        assert begun or harness.cache.get(api.RISKPREDICTOR, KEY) is None

    async def test_a_namesake_made_meanwhile_is_looked_at_at_once(self, harness: Harness) -> None:
        """Its own event finds the cache up to date already, so nothing else would queue it."""
        harness.declare()
        await harness.sync()
        harness.cluster.remove(api.RISKPREDICTOR, KEY)
        harness.cluster.store(api.RISKPREDICTOR, predictor(uid="another"))
        assert await harness.reconcile() == 0.0
        assert harness.take_writes() == []
        await harness.reconcile()
        assert harness.take_writes() == [*CREATE, STATUS]
        owner = harness.live(api.SERVICE)["metadata"]["ownerReferences"][0]
        assert owner["uid"] == "another"


class TestChangedInMidPass:
    @pytest.mark.parametrize("spec", [{}, {"replicas": "three"}], ids=["usable", "unusable"])
    async def test_a_spec_that_arrives_with_the_answer_to_a_write_is_not_lost(
        self, harness: Harness, spec: Object
    ) -> None:
        """The answer makes the cache as new as the event, so the event queues nothing."""
        harness.cluster.store(api.RISKPREDICTOR, predictor())
        harness.edit(api.RISKPREDICTOR, lambda b: b["spec"].update(spec))
        await harness.sync()

        def edit(call: Call) -> None:
            if call.verb == "patch_status":
                harness.cluster.on_call = lambda _: None
                harness.declare(modelVersion="v2")

        harness.cluster.on_call = edit
        assert await harness.reconcile() == 0.0
        await harness.reconcile()
        assert harness.status["observedGeneration"] == harness.live(api.RISKPREDICTOR)["metadata"][
            "generation"
        ]  # fmt: skip
        assert harness.status["image"] == "health-predictor:v2"


class TestNotOwned:
    async def test_a_foreign_child_is_not_touched_and_once_it_is_gone_ours_is_made(
        self, harness: Harness
    ) -> None:
        foreign = live(api.SERVICE, manifests(predictor())[api.SERVICE])
        foreign["metadata"] |= {"labels": {}, "ownerReferences": []}
        kept = harness.cluster.store(api.SERVICE, foreign)
        harness.declare()
        await harness.settle()
        assert await harness.reconcile() == 30.0
        assert harness.live(api.SERVICE) == kept
        assert harness.reason() == reasons.NOT_OWNED
        ready = next(c for c in harness.status["conditions"] if c["type"] == "Ready")
        assert "Service shop/risk" in ready["message"]
        harness.cluster.remove(api.SERVICE, KEY)
        await harness.reconcile()
        assert harness.take_writes() == ["apply Service", STATUS]
        assert harness.reason() == reasons.READY

    async def test_an_earlier_namesakes_child_is_waited_for(self, harness: Harness) -> None:
        harness.declare()
        await harness.settle()
        harness.edit(
            api.DEPLOYMENT, lambda b: b["metadata"]["ownerReferences"][0].update(uid="earlier")
        )
        # Its deletion is in no event if it lost its label.
        assert await harness.synced_pass() == 30.0
        assert harness.take_writes() == [STATUS]
        assert harness.reason() == reasons.WAITING_FOR_DELETION


def suspended() -> float:
    """The metric, which is no Ready = 0 that somebody has to look at."""
    name = "riskpredictor_operator_riskpredictor_suspended"
    value = REGISTRY.get_sample_value(name, {"namespace": KEY.namespace, "name": KEY.name})
    assert value is not None
    return value


async def test_suspended_children_are_left_alone_until_it_ends(harness: Harness) -> None:
    harness.declare()
    await harness.settle()
    harness.declare(suspend=True, modelVersion="v2")
    harness.edit(api.SERVICE, lambda body: body["metadata"]["labels"].clear())
    harness.cluster.remove(api.AUTOSCALER, KEY)
    assert await harness.synced_pass() is None
    assert harness.take_writes() == [STATUS]
    assert harness.reason() == reasons.SUSPENDED
    assert suspended() == 1
    harness.declare()
    await harness.synced_pass()
    assert suspended() == 0
    assert harness.take_writes() == ["apply Service", "apply HorizontalPodAutoscaler", STATUS]


async def test_an_invalid_spec_is_told_and_no_child_is_touched(harness: Harness) -> None:
    harness.declare()
    await harness.settle()
    harness.edit(api.RISKPREDICTOR, lambda body: body["spec"].pop("maxReplicas"))
    assert await harness.synced_pass() == 30.0
    assert harness.take_writes() == [STATUS]
    assert harness.reason() == reasons.INVALID_SPEC
    assert harness.status["servingVersion"] == "v1"
    await harness.reconcile()
    assert harness.take_writes() == []
    harness.declare()
    await harness.settle()
    assert harness.reason() == reasons.READY


async def test_an_event_for_each_change_of_readys_reason(harness: Harness) -> None:
    def told() -> list[str]:
        return [f"{event['type']} {event['reason']}" for event in harness.cluster.events]

    harness.declare()
    await harness.settle()
    for _ in range(3):
        await harness.reconcile()
    assert told() == ["Normal RollingOut", "Normal Ready"]
    harness.restart()
    await harness.settle()
    assert told() == ["Normal RollingOut", "Normal Ready"], "a restart tells nothing twice"
    harness.declare(modelVersion="v2")
    await harness.settle()
    assert told()[2:] == ["Normal RollingOut", "Normal Ready"]


class TestNextLook:
    async def look(self, harness: Harness, its_pod: Object, waited: int) -> float | None:
        harness.declare()
        await harness.synced_pass()
        harness.cluster.store(api.POD, its_pod)
        status = deployment_status(1, available=0)
        harness.edit(api.DEPLOYMENT, lambda body: body.update(status=status))
        harness.time += datetime.timedelta(seconds=waited)
        await harness.sync()
        return await harness.reconcile()

    @pytest.mark.parametrize(
        ("waited", "pause"), [(2, 2.0), (4, 2.0), (20, 5.0), (60, 15.0), (9999, 15.0)]
    )
    async def test_pods_that_are_not_up_are_looked_at_again_less_and_less_often(
        self, harness: Harness, waited: int, pause: float
    ) -> None:
        assert await self.look(harness, pod(), waited) == pause

    async def test_mere_progress_is_written_at_most_once_a_second(self, harness: Harness) -> None:
        again = await self.look(harness, pod(), 0)
        writes = harness.cluster.calls.count(Call("patch_status", "RiskPredictor"))
        assert again == PROGRESS_SECONDS
        harness.time += datetime.timedelta(seconds=PROGRESS_SECONDS)
        await harness.reconcile()
        assert harness.cluster.calls.count(Call("patch_status", "RiskPredictor")) == writes + 1
        assert harness.status["replicas"] == 1

    async def test_the_pods_trouble_is_told(self, harness: Harness) -> None:
        await self.look(harness, pod(state=waiting("ErrImagePull")), 0)
        assert harness.reason() == reasons.IMAGE_PULL_FAILED

    async def test_pods_of_other_predictors_are_not_looked_at(self, harness: Harness) -> None:
        other = pod(state=waiting("ErrImagePull"))
        other["metadata"]["labels"][api.LABEL_PREDICTOR] = "other"
        await self.look(harness, other, 0)
        assert harness.reason() == reasons.ROLLING_OUT

    async def test_pods_of_a_settled_predictor_are_not_listed(self, harness: Harness) -> None:
        harness.declare()
        await harness.settle()
        await harness.reconcile()
        assert Call("list", "Pod") not in harness.cluster.calls


async def test_a_status_field_that_no_longer_holds_is_removed(harness: Harness) -> None:
    harness.declare()
    await harness.settle()

    def down(body: Any) -> None:
        body["status"] = deployment_status(2, available=0)

    harness.edit(api.DEPLOYMENT, down)
    await harness.synced_pass()
    assert "servingVersion" not in harness.status
