from __future__ import annotations

import asyncio
import time

import pytest

from riskpredictor_server.admission import BATCH_PACE, LARGE_BYTES, Admission, Queue
from riskpredictor_server.api.problems import RefusedError
from riskpredictor_server.settings import Settings


async def test_other_tasks_run_between_two_turns() -> None:
    order: list[str] = []
    queue = Queue("batches", 1, BATCH_PACE)

    async def batch() -> None:
        async with queue.turn(1000):
            order.append("batch")
            # A probe that arrives now must not wait for all the other batches.
            asyncio.get_running_loop().call_soon(order.append, "probe")

    await asyncio.gather(*(batch() for _ in range(5)))
    assert order[:9] == ["batch", "probe"] * 4 + ["batch"]


async def test_a_burst_is_refused_by_the_sizes_queued() -> None:
    queue = Queue("batches", 0.1, BATCH_PACE)
    size = round(0.04 / BATCH_PACE)

    async def ask() -> str:
        try:
            async with queue.turn(size):
                return "accepted"
        except RefusedError as refused:
            return f"{refused.status} {refused.detail}"

    # All arrive before the first is done. Each takes 0.04 s; three begin within 0.1 s.
    answers = await asyncio.gather(*(ask() for _ in range(100)))
    assert answers == ["accepted"] * 3 + ["503 overloaded: batches queue too long here"] * 97
    assert queue.wait == 0


async def test_the_pace_is_measured() -> None:
    queue = Queue("batches", 1, BATCH_PACE)

    async def take(seconds: float) -> None:
        async with queue.turn(100):
            time.sleep(seconds)  # noqa: ASYNC251 - as scoring does

    for _ in range(40):
        await take(0.002)
    waiting = [asyncio.create_task(take(0)) for _ in range(10)]
    await asyncio.sleep(0)
    assert 0.015 < queue.wait < 0.2
    await asyncio.gather(*waiting)


async def test_a_request_that_waited_twice_as_long_is_refused_at_its_turn() -> None:
    queue = Queue("pages", 0.02, 1e-9)
    release = asyncio.Event()

    async def page() -> None:
        async with queue.turn(1):
            await release.wait()

    tasks = [asyncio.create_task(page()) for _ in range(3)]
    await asyncio.sleep(0.1)
    release.set()
    first, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert first is None
    assert [type(other) for other in others] == [RefusedError] * 2


async def test_a_turn_that_fails_leaves_the_queue() -> None:
    queue = Queue("batches", 1, BATCH_PACE)
    with pytest.raises(ValueError, match="broken"):
        async with queue.turn(9):
            raise ValueError("broken")
    async with queue.turn(9):
        pass
    assert queue.wait == 0


def test_memory_for_bodies_is_limited() -> None:
    admission = Admission(Settings(max_body_bytes=10_000, max_pending_bytes=15_000))
    assert admission.reserve(LARGE_BYTES - 1) == 0
    taken = admission.reserve(9000)
    assert (taken, admission.free_bytes) == (9000, 6000)
    for size, status in ((6001, 503), (10_001, 413)):
        with pytest.raises(RefusedError) as refused:
            admission.reserve(size)
        assert refused.value.status == status
    admission.free_bytes += taken
    assert admission.free_bytes == 15_000


async def test_the_number_of_waiting_requests_is_limited() -> None:
    admission = Admission(Settings(max_pending=1))
    async with admission.waiting_place("requests at once"):
        with pytest.raises(RefusedError, match="too many requests at once"):
            async with admission.waiting_place("requests at once"):
                pass
    assert admission.waiting == 0


@pytest.mark.parametrize(("name", "value"), [("lag", 0.6), ("free_bytes", -1)])
def test_lag_and_lack_of_memory_refuse_requests(name: str, value: float) -> None:
    admission = Admission(Settings())
    admission.check()
    setattr(admission, name, value)
    with pytest.raises(RefusedError, match="overloaded"):
        admission.check()
