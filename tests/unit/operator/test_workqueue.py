"""Specification of the work queue: the guarantees of client-go's, in one event loop."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from unit.operator.eventually import eventually

from riskpredictor_operator.runtime.workqueue import Backoff, WorkQueue

SOON = 0.01


async def taken(queue: WorkQueue[str]) -> str | None:
    """The next key, which is there or comes soon."""
    return await asyncio.wait_for(queue.get(), 30)


async def gives_nothing(queue: WorkQueue[str]) -> bool:
    """Whether no key comes for a while."""
    try:
        await asyncio.wait_for(queue.get(), SOON * 5)
    except TimeoutError:
        return True
    return False


@pytest.fixture
async def queue() -> WorkQueue[str]:
    return WorkQueue(Backoff(base=SOON, limit=SOON * 8))


async def test_keys_come_out_in_the_order_in_which_they_went_in(queue: WorkQueue[str]) -> None:
    for key in "abc":
        queue.add(key)
    assert [await queue.get() for _ in "abc"] == ["a", "b", "c"]


async def test_a_key_that_waits_is_not_queued_twice(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("a")
    assert len(queue) == 1
    assert await queue.get() == "a"
    queue.done("a")
    assert await gives_nothing(queue)


async def test_a_key_added_while_in_process_runs_once_more_after(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a")
    assert queue.busy
    assert await gives_nothing(queue), "it is given to nobody else meanwhile"
    queue.done("a")
    assert await taken(queue) == "a"
    queue.done("a")
    assert await gives_nothing(queue)
    assert not queue.busy


async def test_each_key_wakes_a_waiting_worker(queue: WorkQueue[str]) -> None:
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add("a")
    queue.add("b")
    async with asyncio.timeout(30):
        assert sorted(map(str, await asyncio.gather(*waiting))) == ["a", "b"]


class TestBackoff:
    @pytest.mark.parametrize(
        ("failures", "full"), [(0, 1.0), (1, 2.0), (2, 4.0), (5, 32.0), (6, 60.0), (5000, 60.0)]
    )
    def test_it_doubles_up_to_its_limit_and_is_jittered(self, failures: int, full: float) -> None:
        delays = [Backoff(base=1.0, limit=60.0).delay(failures) for _ in range(200)]
        assert full / 2 <= min(delays) < full * 0.6
        assert full * 0.9 < max(delays) <= full

    async def test_a_failing_key_waits_longer_each_time(self) -> None:
        # A limit that the last delay does not reach: below it, each is more than the last but one.
        queue: WorkQueue[str] = WorkQueue(Backoff(base=1.0, limit=1000.0))
        delays = [queue.retry("a") for _ in range(8)]
        queue.close()
        assert all(earlier <= later for earlier, later in zip(delays, delays[2:], strict=False))
        assert delays[-1] > 30

    async def test_each_key_has_its_own_and_forgetting_starts_it_anew(self) -> None:
        queue: WorkQueue[str] = WorkQueue(Backoff(base=1.0))
        for _ in range(6):
            queue.retry("a")
        assert queue.retry("b") <= 1.0
        queue.forget("a")
        assert queue.retry("a") <= 1.0
        queue.close()

    async def test_a_retry_waits_at_least_as_long_as_asked(self, queue: WorkQueue[str]) -> None:
        assert queue.retry("a", at_least=7.0) == 7.0
        queue.close()

    async def test_a_failed_key_comes_back(self, queue: WorkQueue[str]) -> None:
        queue.retry("a")
        assert len(queue) == 0
        assert await taken(queue) == "a"


class TestAddAfter:
    async def test_the_key_comes_when_it_is_due(self, queue: WorkQueue[str]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        queue.add_after("a", SOON * 2)
        assert await queue.get() == "a"
        assert loop.time() - started >= SOON * 1.9

    @pytest.mark.parametrize("order", [(60.0, SOON), (SOON, 60.0)], ids=["later", "earlier"])
    async def test_of_two_times_the_earlier_one_counts(
        self, queue: WorkQueue[str], order: tuple[float, float]
    ) -> None:
        for seconds in order:
            queue.add_after("a", seconds)
        assert await taken(queue) == "a"
        queue.done("a")
        assert await gives_nothing(queue)
        queue.close()

    async def test_a_key_added_now_does_not_wait(self, queue: WorkQueue[str]) -> None:
        queue.add_after("a", 60.0)
        queue.add("a")
        assert await taken(queue) == "a"
        queue.close()


class TestClose:
    async def test_waiting_workers_get_none(self, queue: WorkQueue[str]) -> None:
        waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.close()
        async with asyncio.timeout(30):
            assert await asyncio.gather(*waiting) == [None, None, None]

    async def test_no_key_comes_out_or_in_any_more(self, queue: WorkQueue[str]) -> None:
        queue.add("a")
        queue.add_after("b", SOON)
        queue.close()
        queue.add("c")
        queue.add_after("d", 0.0)
        await asyncio.sleep(SOON * 2)
        assert await queue.get() is None

    async def test_what_is_in_process_may_finish(self, queue: WorkQueue[str]) -> None:
        queue.add("a")
        await queue.get()
        queue.add("a")
        queue.close()
        queue.done("a")
        assert not queue.busy
        assert await queue.get() is None


class Model:
    """Many workers, random adds; records what a spectator would see."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.queue: WorkQueue[str] = WorkQueue(Backoff(base=0.0005, limit=0.002))
        self.running: Counter[str] = Counter()
        self.overlaps = 0
        self.at_once = 0
        self.tick = 0
        self.last_add: dict[str, int] = {}
        self.last_start: dict[str, int] = {}

    async def work(self) -> None:
        while (key := await self.queue.get()) is not None:
            self.tick += 1
            self.last_start[key] = self.tick
            self.running[key] += 1
            self.overlaps += self.running[key] > 1
            self.at_once = max(self.at_once, self.running.total())
            await asyncio.sleep(self.random.choice([0, 0, 0.0005]))
            self.running[key] -= 1
            self.queue.done(key)
            if self.random.random() < 0.2:
                self.queue.retry(key)
            else:
                self.queue.forget(key)

    async def add(self, adds: int) -> None:
        for _ in range(adds):
            key = self.random.choice("abcdefgh")
            self.tick += 1
            self.last_add[key] = self.tick
            if self.random.random() < 0.8:
                self.queue.add(key)
            else:
                self.queue.add_after(key, self.random.random() * 0.002)
            if self.random.random() < 0.3:
                await asyncio.sleep(0)

    @property
    def idle(self) -> bool:
        return not (len(self.queue) or self.queue.busy or self.queue._timers)


@pytest.mark.parametrize("seed", range(8))
async def test_no_overlap_and_no_lost_add_under_load(seed: int) -> None:
    model = Model(seed)
    workers = [asyncio.create_task(model.work()) for _ in range(6)]
    await asyncio.gather(*(model.add(150) for _ in range(3)))
    await eventually(lambda: model.idle)
    model.queue.close()
    await asyncio.gather(*workers)
    assert model.overlaps == 0
    assert model.at_once > 1, "the workers were to work side by side"
    late = [k for k, added in model.last_add.items() if model.last_start[k] < added]
    assert late == [], "after its last add a key is processed once more"
