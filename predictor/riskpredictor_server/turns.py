"""Large bodies take turns, so that a burst of batches does not hold up everything else.

Scoring a batch of 1,000 takes milliseconds of the one event loop, and under a CPU limit five times
as long on the clock. One batch per turn of the loop lets single predictions and probes pass in
between. Who would wait too long behind those that are queued already is refused at once: how long
is known from their bytes and from how long a byte took lately.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from riskpredictor_server.api.problems import Reply

FIRST_PACE = 4e-7
"""Seconds per byte before anything was measured: a pod's under 200 millicores."""
_MEMORY = 8
"""Batches over which the pace is averaged: a CPU limit makes one slow and the next one quick."""


class Turns:
    """A queue of one worker; first come, first served."""

    def __init__(self, longest_wait: float) -> None:
        self._lock = asyncio.Lock()
        self._longest_wait = longest_wait
        self._queued = 0
        self._pace = FIRST_PACE

    @property
    def wait(self) -> float:
        """Seconds until a newcomer's turn, by measure."""
        return self._queued * self._pace

    @property
    def too_long(self) -> bool:
        """Whether a newcomer would wait longer than allowed; never when nobody is queued."""
        return self.wait > self._longest_wait

    async def take(self, size: int, work: Callable[[], Reply]) -> Reply:
        """Run ``work`` on a body of ``size`` bytes when it is its turn."""
        self._queued += size
        try:
            async with self._lock:
                begun = monotonic()
                # A free lock is taken without a pause: make one, for the others on the loop. What
                # they take is part of the pace.
                await asyncio.sleep(0)
                reply = work()
                self._pace += ((monotonic() - begun) / size - self._pace) / _MEMORY
                return reply
        finally:
            self._queued -= size
