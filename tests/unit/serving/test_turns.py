from __future__ import annotations

import asyncio
import time

from riskpredictor_server.errors import Reply
from riskpredictor_server.turns import Turns

REPLY = Reply(200, "application/json", b"{}")


async def test_other_work_passes_between_two_batches() -> None:
    order: list[str] = []
    turns = Turns(longest_wait=1)

    def batch() -> Reply:
        order.append("batch")
        # What arrives while a batch is scored must not wait for all the others.
        asyncio.get_running_loop().call_soon(order.append, "probe")
        return REPLY

    await asyncio.gather(*(turns.take(batch) for _ in range(5)))
    assert order[:9] == ["batch", "probe"] * 4 + ["batch"]


async def test_a_queue_that_waits_too_long_says_so_until_it_is_empty() -> None:
    turns = Turns(longest_wait=0.02)

    def slow() -> Reply:
        time.sleep(0.03)
        return REPLY

    waiting = [asyncio.create_task(turns.take(slow)) for _ in range(4)]
    assert not turns.too_long
    await waiting[1]
    assert turns.too_long
    await asyncio.gather(*waiting)
    assert not turns.too_long


async def test_a_failing_batch_does_not_keep_its_turn() -> None:
    turns = Turns(longest_wait=1)

    def broken() -> Reply:
        raise ValueError("broken")

    results = await asyncio.gather(
        turns.take(broken), turns.take(lambda: REPLY), return_exceptions=True
    )
    assert isinstance(results[0], ValueError)
    assert results[1] == REPLY
