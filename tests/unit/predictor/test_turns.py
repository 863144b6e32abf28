from __future__ import annotations

import asyncio
import time

from riskpredictor_server.api.problems import Reply
from riskpredictor_server.turns import FIRST_PACE, Turns

REPLY = Reply(200, "application/json", b"{}")


async def test_other_work_passes_between_two_batches() -> None:
    order: list[str] = []
    turns = Turns(longest_wait=1)

    def batch() -> Reply:
        order.append("batch")
        # What arrives while a batch is scored must not wait for all the others.
        asyncio.get_running_loop().call_soon(order.append, "probe")
        return REPLY

    await asyncio.gather(*(turns.take(1000, batch) for _ in range(5)))
    assert order[:9] == ["batch", "probe"] * 4 + ["batch"]


async def test_a_burst_is_refused_by_what_is_queued_not_by_what_was_waited_for() -> None:
    turns = Turns(longest_wait=0.1)
    size = round(0.04 / FIRST_PACE)

    async def ask() -> Reply | None:
        return None if turns.too_long else await turns.take(size, lambda: REPLY)

    # All ask before the first is done: 0.04 s each, and who finds more than 0.1 s is sent away.
    answers = await asyncio.gather(*(ask() for _ in range(100)))
    assert answers == [REPLY] * 3 + [None] * 97
    assert turns.wait == 0


async def test_the_pace_is_measured() -> None:
    turns = Turns(longest_wait=1)

    def slow() -> Reply:
        time.sleep(0.002)
        return REPLY

    for _ in range(40):
        await turns.take(100, slow)
    waiting = [asyncio.create_task(turns.take(100, lambda: REPLY)) for _ in range(10)]
    await asyncio.sleep(0)
    assert 0.015 < turns.wait < 0.2
    await asyncio.gather(*waiting)


async def test_a_failing_batch_does_not_keep_its_turn() -> None:
    turns = Turns(longest_wait=1)

    def broken() -> Reply:
        raise ValueError("broken")

    results = await asyncio.gather(
        turns.take(9, broken), turns.take(9, lambda: REPLY), return_exceptions=True
    )
    assert isinstance(results[0], ValueError)
    assert results[1] == REPLY
    assert turns.wait == 0
