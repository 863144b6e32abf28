"""Specification of the workers: what an error means for a key, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from unit.operator.builders import KEY
from unit.operator.eventually import eventually
from unit.operator.fake_cluster import conflict

from riskpredictor_operator.kube import ApiError, Key
from riskpredictor_operator.runtime.workers import SLOW_RETRY_SECONDS, Reconcile, Workers
from riskpredictor_operator.runtime.workqueue import Backoff, WorkQueue
from riskpredictor_operator.runtime.write_guard import LeadershipLostError

INVALID = ApiError(422, "Invalid", "spec.ports[0].nodePort: not in the valid range")
GOING = ApiError(403, "Forbidden", "being terminated", causes=("NamespaceTerminating",))
BUSY = ApiError(429, "TooManyRequests", "later", retry_after=7.0)
DOWN = ApiError(0, "Unreachable", "connection refused")


class Case:
    """A worker on a queue whose reconcile does as told."""

    def __init__(self, *outcomes: Exception | float | None) -> None:
        self.queue: WorkQueue[Key] = WorkQueue(Backoff(base=0.001, limit=0.002))
        self.outcomes = list(outcomes)
        self.seen: list[Key] = []
        self.delays: list[float] = []
        self.workers = Workers(self.queue, self.reconcile, 1)
        add_after = self.queue.add_after

        def spy(key: Key, seconds: float) -> None:
            self.delays.append(seconds)
            add_after(key, min(seconds, 0.001))

        self.queue.add_after = spy  # type: ignore[method-assign]

    async def reconcile(self, key: Key) -> float | None:
        self.seen.append(key)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def run(self) -> None:
        """Work until every outcome was used and nothing is left to do."""
        self.workers.start()
        self.queue.add(KEY)
        await eventually(lambda: not (self.outcomes or self.queue.busy or len(self.queue)))
        await asyncio.sleep(0.01)
        await self.workers.drain(30.0)


class TestWorker:
    @pytest.mark.parametrize(
        ("error", "least"),
        [
            pytest.param(DOWN, 0.0, id="no answer"),
            pytest.param(conflict(), 0.0, id="conflict"),
            pytest.param(BUSY, 7.0, id="as long as the server asks"),
            pytest.param(INVALID, SLOW_RETRY_SECONDS, id="slowly where a person must mend it"),
            pytest.param(RuntimeError("bug"), 0.0, id="a bug"),
        ],
    )
    async def test_it_is_tried_again(self, error: Exception, least: float) -> None:
        case = Case(error, None)
        await case.run()
        assert case.seen == [KEY, KEY]
        assert len(case.delays) == 1
        assert case.delays[0] >= least

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(GOING, id="namespace going"),
            pytest.param(ApiError(404, "NotFound", "gone"), id="predictor gone"),
            pytest.param(LeadershipLostError("lost"), id="another replica leads"),
        ],
    )
    async def test_it_is_dropped(self, error: Exception) -> None:
        case = Case(error)
        await case.run()
        assert (case.seen, case.delays) == ([KEY], [])

    @pytest.mark.parametrize(("again", "delays"), [(None, []), (2.0, [2.0]), (0.0, [0.0])])
    async def test_after_a_pass_it_comes_again_when_the_pass_says_so(
        self, again: float | None, delays: list[float]
    ) -> None:
        case = Case(again, *([None] * len(delays)))
        await case.run()
        assert case.delays == delays

    async def test_success_resets_the_back_off(self) -> None:
        case = Case(DOWN, DOWN, DOWN, 0.0, DOWN, None)
        case.queue._backoff = Backoff(base=1.0, limit=64.0)
        await case.run()
        assert case.delays[2] > 1.9
        assert case.delays[4] <= 1.0

    async def test_one_predictors_bug_does_not_stop_the_others(self) -> None:
        case = Case(RuntimeError("bug"), None, None)
        case.queue.add(Key("shop", "other"))
        await case.run()
        assert Key("shop", "other") in case.seen


def started(reconcile: Reconcile, count: int = 2, keys: Iterable[Key] = (KEY,)) -> Workers:
    queue: WorkQueue[Key] = WorkQueue()
    for key in keys:
        queue.add(key)
    workers = Workers(queue, reconcile, count)
    workers.start()
    return workers


async def test_thousands_of_passes_without_a_wait_hold_up_nobody() -> None:
    """Or a restart on a large settled cluster would cost the lease that it just won."""
    done: list[Key] = []

    async def settled(key: Key) -> None:
        done.append(key)

    workers = started(settled, 4, (Key("shop", f"risk-{number}") for number in range(1000)))
    turns = 0
    while len(done) < 1000:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100
    await workers.drain(0.1)


@pytest.mark.parametrize(("takes", "finishes"), [(0.02, True), (3600.0, False)])
async def test_drain_lets_a_pass_finish_within_its_time(takes: float, finishes: bool) -> None:
    finished = asyncio.Event()

    async def slow(_: Key) -> None:
        await asyncio.sleep(takes)
        finished.set()

    workers = started(slow)
    await asyncio.sleep(0.005)
    async with asyncio.timeout(15):
        await workers.drain(30.0 if finishes else 0.01)
    assert finished.is_set() is finishes


async def test_a_worker_that_ends_is_noticed() -> None:
    async def fatal(_: Key) -> None:
        raise asyncio.CancelledError

    workers = started(fatal)
    async with asyncio.timeout(15):
        await workers.died()
    await workers.drain(0.1)


async def test_what_a_worker_died_of_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reconcile(_: Key) -> None:
        raise DOWN

    def broken(*_: object, **__: object) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(WorkQueue, "retry", broken)
    workers = started(reconcile)
    async with asyncio.timeout(15):
        with pytest.raises(ZeroDivisionError):
            await workers.died()
    await workers.drain(0.1)
