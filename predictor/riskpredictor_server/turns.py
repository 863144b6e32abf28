"""Large bodies take turns, so that a burst of batches does not hold up everything else.

Scoring a batch of 1,000 takes milliseconds of the one event loop, and under a CPU limit five times
as long on the clock. One batch per turn of the loop lets single predictions and probes pass in
between. A queue that has come to wait too long refuses newcomers instead of growing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from riskpredictor_server.errors import Reply

LARGE_BYTES = 4096
"""About fifty records: half a millisecond of work."""


class Turns:
    """A queue of one worker; first come, first served."""

    def __init__(self, longest_wait: float) -> None:
        self._lock = asyncio.Lock()
        self._longest_wait = longest_wait
        self._last_wait = 0.0

    @property
    def too_long(self) -> bool:
        """Whether the latest in the queue waited longer than allowed, and others still do."""
        return self._lock.locked() and self._last_wait > self._longest_wait

    async def take(self, work: Callable[[], Reply]) -> Reply:
        """Run ``work`` when it is its turn."""
        begun = monotonic()
        async with self._lock:
            self._last_wait = monotonic() - begun
            # A free lock is taken without a pause: make one, for the others on the loop.
            await asyncio.sleep(0)
            return work()
