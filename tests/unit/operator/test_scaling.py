"""Specification of a busy hour: pods come and go with the load, and nothing is made of it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from functools import partial

import pytest
from unit.operator.builders import KEY, Object
from unit.operator.harness import Harness
from unit.operator.live_objects import deployment_status, pod, unschedulable

from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.kube import Key


@pytest.fixture
async def harness() -> Harness:
    found = Harness()
    found.declare()
    await found.settle()
    found.cluster.events.clear()
    return found


def ready(harness: Harness) -> Object:
    found = conditions.find(harness.status["conditions"], conditions.READY)
    assert found is not None
    return dict(found)


def steps(before: int, after: int, generation: int) -> Iterator[Object]:
    """What the Deployment's controller says on the way from one number of pods to another."""
    yield deployment_status(before, observed=generation - 1)
    for available in range(min(before, after), after + 1):
        yield deployment_status(after, available=available, observed=generation)


async def scale(harness: Harness, before: int, after: int) -> list[Object]:
    """The autoscaler changes the number of pods; every state of Ready on the way."""
    generation = harness.cluster.scale(KEY, after)["metadata"]["generation"]
    seen = []
    for status in steps(before, after, generation):
        harness.edit(api.DEPLOYMENT, partial(_become, status=status))
        await harness.relister.once()
        await harness.reconcile()
        seen.append(ready(harness))
        harness.time += datetime.timedelta(seconds=0.7)
    return seen


def _become(body: Object, status: Object) -> None:
    body["status"] = status


async def test_ready_never_leaves_true_and_no_event_is_recorded(harness: Harness) -> None:
    seen = await scale(harness, 2, 5) + await scale(harness, 5, 2)
    assert {(found["status"], found["reason"]) for found in seen} == {("True", "Ready")}
    assert harness.cluster.events == []
    harness.time += datetime.timedelta(seconds=2)
    assert await harness.synced_pass() is None
    assert ready(harness)["message"] == "v1 is served by 2 of 2 pods"
    assert harness.status["replicas"] == 2


async def test_counts_are_written_at_most_every_two_seconds(harness: Harness) -> None:
    harness.cluster.calls.clear()
    before = harness.time
    await scale(harness, 2, 5)
    passed = (harness.time - before).total_seconds()
    assert 1 <= harness.take_writes().count("patch_status RiskPredictor") <= 1 + passed / 2


async def test_a_roll_out_is_told_also_while_the_load_grows(harness: Harness) -> None:
    harness.declare(modelVersion="v2")
    await harness.synced_pass()
    assert harness.reason() == reasons.ROLLING_OUT
    harness.cluster.scale(KEY, 5)
    await harness.synced_pass()
    assert (ready(harness)["status"], harness.reason()) == ("False", reasons.ROLLING_OUT)


async def test_at_capacity_ready_stays_and_it_heals(harness: Harness) -> None:
    harness.cluster.store(api.POD, pod("new", conditions=(unschedulable(),)))
    generation = harness.cluster.scale(KEY, 3)["metadata"]["generation"]
    short = deployment_status(3, available=2, observed=generation)
    harness.edit(api.DEPLOYMENT, partial(_become, status=short))
    again = await harness.synced_pass()
    assert (harness.reason(), harness.reason("Autoscaling")) == ("Ready", reasons.AT_CAPACITY)
    assert again is not None, "no event tells that the pod has been placed"
    harness.pods_up(3)
    await harness.synced_pass()
    assert harness.reason("Autoscaling") == reasons.SCALING_ACTIVE
    told = [f"{event['type']} {event['reason']}" for event in harness.cluster.events]
    assert told == ["Warning AtCapacity", "Normal ScalingActive"]


async def test_a_slot_is_free_again_when_the_pods_are_new_though_not_all_have_room(
    harness: Harness,
) -> None:
    """Or five predictors at capacity would hold up an upgrade of all others."""
    assert harness.limiter.admit(KEY)
    generation = harness.cluster.scale(KEY, 3)["metadata"]["generation"]
    short = deployment_status(3, available=2, observed=generation)
    harness.edit(api.DEPLOYMENT, partial(_become, status=short))
    await harness.synced_pass()
    assert harness.limiter.admit(Key("shop", "other"))


async def test_a_template_that_the_controller_has_not_seen_is_a_roll_out(harness: Harness) -> None:
    """Whoever changed it; the counts are still those of the one before."""
    harness.declare(suspend=True)
    await harness.settle()
    harness.edit(
        api.DEPLOYMENT,
        lambda body: body["spec"]["template"]["spec"].update(hostNetwork=True),
    )
    await harness.synced_pass()
    harness.declare()
    await harness.synced_pass()
    assert ready(harness)["status"] == "False"
