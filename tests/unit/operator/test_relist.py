"""Specification of relists: what they queue and forget, and when they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from unit.operator.builders import KEY, manifests, predictor
from unit.operator.eventually import eventually
from unit.operator.harness import Harness
from unit.operator.live_objects import live

from riskpredictor_operator.core import api
from riskpredictor_operator.kube import ApiError, Key
from riskpredictor_operator.runtime import relist
from riskpredictor_operator.runtime.relist import ClusterRestoredError

DOWN = ApiError(0, "Unreachable", "connection refused")


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Harness:
    monkeypatch.setattr(relist, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(relist, "RETRY_SECONDS", 0.001)
    return Harness()


def queued(harness: Harness) -> list[Key]:
    return sorted(harness.queue._ready)


def empty_queue(harness: Harness) -> None:
    harness.queue._ready.clear()
    harness.queue._dirty.clear()


async def test_everything_declared_is_queued(harness: Harness) -> None:
    harness.declare()
    harness.cluster.store(api.RISKPREDICTOR, predictor("other", uid="other"))
    await harness.relister.once()
    assert queued(harness) == [Key("shop", "other"), KEY]


async def test_on_the_side_only_what_changed_is_queued(harness: Harness) -> None:
    harness.declare()
    await harness.settle()
    empty_queue(harness)
    await harness.relister.once(everything=False)
    assert queued(harness) == []
    harness.cluster.edit(api.SERVICE, KEY, lambda body: body["spec"].update(type="NodePort"))
    await harness.relister.once(everything=False)
    assert queued(harness) == [KEY]


async def test_a_change_that_was_missed_is_queued_although_the_next_list_fails(
    harness: Harness,
) -> None:
    harness.declare()
    harness.cluster.fail("list", api.SERVICE, DOWN)
    with pytest.raises(ApiError):
        await harness.relister.once(everything=False)
    assert queued(harness) == [KEY]


async def test_a_deletion_that_was_missed_is_noticed(harness: Harness) -> None:
    harness.declare()
    await harness.settle()
    harness.cluster.remove(api.SERVICE, KEY)
    harness.cluster.remove(api.RISKPREDICTOR, KEY)
    empty_queue(harness)
    await harness.relister.once()
    assert harness.cache.get(api.SERVICE, KEY) is None
    assert harness.cache.get(api.RISKPREDICTOR, KEY) is None
    assert queued(harness) == [KEY]


@pytest.mark.parametrize("since", ["changed", "deleted"])
async def test_a_state_older_than_the_known_one_ends_the_process(
    harness: Harness, since: str
) -> None:
    harness.declare()
    await harness.settle()
    before = harness.cluster.objects[api.SERVICE][KEY]
    if since == "changed":
        harness.cluster.edit(api.SERVICE, KEY, lambda body: body["spec"].update(type="NodePort"))
        await harness.relister.once()
    else:
        harness.cache.drop(api.SERVICE, harness.cluster.remove(api.SERVICE, KEY))
    harness.cluster.objects[api.SERVICE][KEY] = {
        **before, "metadata": {**before["metadata"], "resourceVersion": "2"}
    }  # fmt: skip
    with pytest.raises(ClusterRestoredError, match="services are older"):
        await harness.relister.once()


async def test_strangers_are_not_listed(harness: Harness) -> None:
    stranger = live(api.SERVICE, manifests(predictor())[api.SERVICE])
    stranger["metadata"]["labels"] = {}
    harness.cluster.store(api.SERVICE, stranger)
    await harness.relister.once()
    assert harness.cache.count(api.SERVICE) == 0


async def test_only_the_own_namespace_is_listed(harness: Harness) -> None:
    harness.declare()
    harness.relister.namespace = "elsewhere"
    await harness.relister.once()
    assert queued(harness) == []


class TestRun:
    @pytest.fixture(autouse=True)
    async def _running(self, harness: Harness) -> AsyncIterator[None]:
        harness.declare()
        await harness.relister.once()
        assert await harness.queue.get() == KEY
        harness.queue.done(KEY)
        harness.cluster.calls.clear()
        harness.relister.every = 0.2
        task = asyncio.create_task(harness.relister.run())
        await asyncio.sleep(0)
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def test_asked_for_it_runs_soon_and_once(self, harness: Harness) -> None:
        for _ in range(5):
            harness.relister.request()

        def lists() -> int:
            return [call.kind for call in harness.cluster.calls].count("RiskPredictor")

        await eventually(lists)
        await asyncio.sleep(0.05)
        assert lists() == 1

    async def test_requests_do_not_put_off_the_one_that_queues_everything(
        self, harness: Harness
    ) -> None:
        def everything_queued() -> list[Key]:
            harness.relister.request()
            return queued(harness)

        await eventually(everything_queued)

    async def test_a_failure_is_tried_again(self, harness: Harness) -> None:
        harness.cluster.store(api.RISKPREDICTOR, predictor("other", uid="other"))
        harness.cluster.fail("list", api.RISKPREDICTOR, DOWN, times=2)
        harness.relister.request()
        await eventually(lambda: queued(harness))
