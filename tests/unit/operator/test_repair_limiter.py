"""Specification of repairs that others undo: a few at once, then pauses, and who it is."""

from __future__ import annotations

import datetime
from functools import partial
from typing import Any

import pytest
from unit.operator.builders import KEY, Object, changed
from unit.operator.fake_cluster import Call
from unit.operator.harness import Harness

from kstatus import health, violations
from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.repair_limiter import AT_ONCE, PAUSE_SECONDS, PROBATION_SECONDS

IMAGE = ("spec", "template", "spec", "containers", 0, "image")
PORT = ("spec", "ports", 0, "targetPort")
THEIRS = {
    "manager": "gitops", "operation": "Update", "time": "2026-03-01T12:00:00Z",
    "fieldsV1": {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:targetPort": {}}}}},
}  # fmt: skip


@pytest.fixture
async def harness() -> Harness:
    fresh = Harness()
    fresh.declare()
    await fresh.settle()
    return fresh


def set_port(harness: Harness, value: int) -> None:
    def change(body: Object) -> None:
        body.update(changed(body, value, *PORT))
        body["metadata"]["managedFields"] = [THEIRS]

    harness.edit(api.SERVICE, change)


def _add_port(number: int, body: Object) -> None:
    ports = body["spec"]["template"]["spec"]["containers"][0]["ports"]
    ports.append({"containerPort": number, "protocol": "TCP"})


def message(harness: Harness) -> str:
    ready = conditions.find(harness.status["conditions"], conditions.READY) or {}
    return str(ready["message"])


async def insist(harness: Harness, times: int, pause: float = 0.0) -> int:
    """Change a port again and again; how often it was repaired."""
    repairs = 0
    for number in range(times):
        set_port(harness, 9000 + number)
        harness.time += datetime.timedelta(seconds=pause)
        await harness.synced_pass()
        repairs += harness.take_writes().count("apply Service")
    return repairs


class TestAnotherManager:
    async def test_a_few_repairs_are_made_at_once_and_told_to_nobody(
        self, harness: Harness
    ) -> None:
        assert await insist(harness, AT_ONCE) == AT_ONCE
        assert harness.reason() == reasons.READY

    async def test_items_that_differ_each_time_are_one_field(self, harness: Harness) -> None:
        repairs = 0
        for number in range(20):
            harness.edit(api.DEPLOYMENT, partial(_add_port, 20_000 + number))
            await harness.synced_pass()
            repairs += harness.take_writes().count("change Deployment")
        assert repairs == AT_ONCE
        assert harness.reason() == reasons.FIELD_OVERRULED

    async def test_then_it_is_told_with_field_values_and_manager(self, harness: Harness) -> None:
        assert await insist(harness, 20) == AT_ONCE
        assert harness.reason() == reasons.FIELD_OVERRULED
        assert message(harness).startswith(
            "Service shop/risk: spec.ports[80/TCP].targetPort should be 5000, but gitops makes it "
        )
        body = harness.live(api.RISKPREDICTOR)
        assert (health(body), violations(body)) == ("Failed", [])

    async def test_the_pauses_grow_and_have_a_bound(self, harness: Harness) -> None:
        await insist(harness, AT_ONCE + 1)
        for pause in (5, 10, 20, 40, 80, 160, 300, 300, 300):
            assert await insist(harness, 1, pause - 1) == 0
            assert await insist(harness, 1, 1) == 1
        assert pause == PAUSE_SECONDS[1]

    async def test_it_stays_told_through_repairs_that_do_not_last(self, harness: Harness) -> None:
        """Just after a repair the field is the operator's own; that is no word from admission."""
        await insist(harness, AT_ONCE + 1)
        for pause in (5, 10, 20):
            assert await insist(harness, 1, pause) == 1
            assert harness.reason() == reasons.FIELD_OVERRULED
            assert "gitops" in message(harness)
            await insist(harness, 1)

    async def test_the_next_pass_is_when_the_pause_ends(self, harness: Harness) -> None:
        await insist(harness, AT_ONCE + 1)
        assert await harness.synced_pass() == PAUSE_SECONDS[0]

    async def test_nobody_claims_a_field_that_was_removed(self, harness: Harness) -> None:
        def remove(body: Object) -> None:
            body["metadata"]["labels"].pop("app", None)
            body["metadata"]["managedFields"] = []

        for _ in range(AT_ONCE + 1):
            harness.edit(api.SERVICE, remove)
            await harness.synced_pass()
        assert "another client makes it absent" in message(harness)

    async def test_when_it_stops_the_field_is_restored_and_all_is_well(
        self, harness: Harness
    ) -> None:
        await insist(harness, AT_ONCE + 1)
        harness.time += datetime.timedelta(seconds=PAUSE_SECONDS[0])
        await harness.synced_pass()
        assert harness.live(api.SERVICE)["spec"]["ports"][0]["targetPort"] == 5000
        assert harness.reason() == reasons.FIELD_OVERRULED, "it may come back"
        harness.time += datetime.timedelta(seconds=PROBATION_SECONDS)
        await harness.synced_pass()
        assert harness.reason() == reasons.READY

    async def test_another_spec_starts_without_a_pause(self, harness: Harness) -> None:
        await insist(harness, AT_ONCE + 1)
        harness.declare(service={"type": "NodePort"})
        await harness.synced_pass()
        assert harness.live(api.SERVICE)["spec"]["ports"][0]["targetPort"] == 5000

    async def test_another_field_of_the_same_child_is_no_part_of_it(self, harness: Harness) -> None:
        await insist(harness, AT_ONCE + 1)
        harness.edit(api.SERVICE, lambda body: body["metadata"]["labels"].update(app="x"))
        await harness.synced_pass()
        assert harness.live(api.SERVICE)["metadata"]["labels"]["app"] == "risk"

    async def test_repairs_far_apart_are_no_war(self, harness: Harness) -> None:
        assert await insist(harness, 3 * AT_ONCE, pause=700.0) == 3 * AT_ONCE

    async def test_a_predictor_that_is_gone_is_forgotten(self, harness: Harness) -> None:
        await insist(harness, AT_ONCE + 1)
        harness.cluster.remove(api.RISKPREDICTOR, KEY)
        await harness.synced_pass()
        assert harness.reconciler._repairs.overruled(KEY) == []


class TestAdmission:
    @pytest.fixture
    def webhook(self, harness: Harness) -> Any:
        """What every write of the Deployment makes of its image."""
        applied, images = harness.cluster.apply, iter(range(1000))

        async def apply(resource: Any, manifest: Any, **how: Any) -> Any:
            answer = await applied(resource, manifest, **how)
            if resource != api.DEPLOYMENT:
                return answer
            return harness.edit(
                resource, lambda body: body.update(changed(body, f"m:{next(images)}", *IMAGE))
            )

        harness.cluster.apply = apply  # type: ignore[method-assign]
        return applied

    @pytest.mark.usefixtures("webhook")
    async def test_one_write_shows_it(self, harness: Harness) -> None:
        """The hand-over of the number of pods met it first, and was none of its fields."""
        harness.declare(modelVersion="v2")
        for _ in range(20):
            await harness.synced_pass()
        assert harness.reason() == reasons.FIELD_OVERRULED
        assert 'admission (a mutating webhook or policy) makes it "m:1"' in message(harness)

    async def test_without_it_the_next_write_ends_it(self, harness: Harness, webhook: Any) -> None:
        harness.declare(modelVersion="v2")
        assert await harness.synced_pass() == PAUSE_SECONDS[0]
        harness.cluster.apply = webhook  # type: ignore[method-assign]
        harness.time += datetime.timedelta(seconds=PAUSE_SECONDS[0])
        await harness.synced_pass()
        assert harness.reason() != reasons.FIELD_OVERRULED
        harness.pods_up(2)
        await harness.synced_pass()
        assert harness.reason() == reasons.READY

    @pytest.mark.usefixtures("webhook")
    async def test_a_new_child_that_is_changed_is_seen_too(self, harness: Harness) -> None:
        harness.cluster.remove(api.DEPLOYMENT, KEY)
        await harness.synced_pass()
        assert harness.reason() == reasons.FIELD_OVERRULED
        assert Call("get", "Deployment") in harness.cluster.calls
