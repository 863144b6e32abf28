from __future__ import annotations

import asyncio
import time

import pytest

from riskpredictor_server.admission import BATCH_PACE, LARGE_BYTES, Admission, Queue, RefusedError
from riskpredictor_server.settings import Settings


async def test_other_work_passes_between_two_turns() -> None:
    order: list[str] = []
    queue = Queue("batches", 1, BATCH_PACE)

    async def batch() -> None:
        async with queue.turn(1000):
            order.append("batch")
            # What arrives while a batch is scored must not wait for all the others.
            asyncio.get_running_loop().call_soon(order.append, "probe")

    await asyncio.gather(*(batch() for _ in range(5)))
    assert order[:9] == ["batch", "probe"] * 4 + ["batch"]


async def test_a_burst_is_refused_by_what_is_queued_not_by_what_was_waited_for() -> None:
    queue = Queue("batches", 0.1, BATCH_PACE)
    size = round(0.04 / BATCH_PACE)

    async def ask() -> str:
        try:
            async with queue.turn(size):
                return "taken"
        except RefusedError as refused:
            return f"{refused.status} {refused.detail}"

    # All ask before the first is done: 0.04 s each, and who finds more than 0.1 s is sent away.
    answers = await asyncio.gather(*(ask() for _ in range(100)))
    assert answers == ["taken"] * 3 + ["503 overloaded: batches queue too long here"] * 97
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


async def test_who_waited_far_too_long_is_refused_when_the_turn_comes() -> None:
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


async def test_a_failing_turn_is_given_back() -> None:
    queue = Queue("batches", 1, BATCH_PACE)
    with pytest.raises(ValueError, match="broken"):
        async with queue.turn(9):
            raise ValueError("broken")
    async with queue.turn(9):
        pass
    assert queue.wait == 0


def test_the_memory_is_whole_again_when_all_is_given_back() -> None:
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


async def test_only_so_many_may_wait() -> None:
    admission = Admission(Settings(max_pending=1))
    async with admission.waiting_place("requests at once"):
        with pytest.raises(RefusedError, match="too many requests at once"):
            async with admission.waiting_place("requests at once"):
                pass
    assert admission.waiting == 0


@pytest.mark.parametrize(("name", "value"), [("lag", 0.6), ("free_bytes", -1)])
def test_nothing_is_taken_on_that_cannot_be_answered_soon(name: str, value: float) -> None:
    admission = Admission(Settings())
    admission.check()
    setattr(admission, name, value)
    with pytest.raises(RefusedError, match="overloaded"):
        admission.check()
