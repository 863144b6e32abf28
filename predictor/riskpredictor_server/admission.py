"""Admission: every request but a probe is taken on here, or refused at once with 503.

It bounds how long requests queue for the event loop, for their turn and for a page; how many wait
for the rest of their body; and the memory of large bodies and of answers that are not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from riskpredictor_server.api.problems import RETRY, Reply, problem
from riskpredictor_server.settings import Settings

LARGE_BYTES = 4096
"""From here on a body (about fifty records, half a millisecond of work) is a large one: it counts
against the memory of all bodies and waits for its turn. Smaller ones are bounded by their number,
so slow uploads never hold up single predictions."""
BATCH_PACE = 4e-7
"""Seconds per byte of a batch before anything was measured: a pod's under 200 millicores."""
PAGE_PACE = 0.02
"""Seconds per page, likewise."""
_MEMORY = 8
"""Turns over which a pace is averaged: a CPU limit makes one slow and the next one quick."""


class RefusedError(Exception):
    """A request is not served; becomes a problem document."""

    def __init__(self, status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers

    def reply(self, request_id: str) -> Reply:
        """The answer."""
        return problem(self.status, self.detail, request_id, headers=self.headers)


def overloaded(detail: str) -> RefusedError:
    """Overload: tell the client at once rather than let everybody wait."""
    return RefusedError(503, f"overloaded: {detail}", RETRY)


class Queue:
    """Turns, one at a time, first come, first served.

    A batch of 1,000 takes milliseconds of the one event loop, and under a CPU limit five times as
    long on the clock; one batch a turn lets single predictions and probes pass in between. Who
    would wait too long behind those that are queued already is refused: how long is known from
    their sizes and from the pace of late. To look at what the last one waited would let a whole
    burst in before anybody has waited.
    """

    def __init__(self, what: str, longest_wait: float, pace: float) -> None:
        """``pace`` is in seconds per unit of size until it was measured."""
        self._what = what
        self._lock = asyncio.Lock()
        self._longest_wait = longest_wait
        self._queued = 0
        self._pace = pace

    @property
    def wait(self) -> float:
        """Seconds until a newcomer's turn."""
        return self._queued * self._pace

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait for a turn, and keep it inside the ``with``; raises RefusedError if that is long."""
        detail = f"{self._what} queue too long here"
        if self.wait > self._longest_wait:
            raise overloaded(detail)
        self._queued += size
        came = monotonic()
        try:
            async with self._lock:
                begun = monotonic()
                if begun - came > 2 * self._longest_wait:
                    # The pace was thought to be better: do not keep the others waiting as well.
                    raise overloaded(detail)
                # A free lock is taken without a pause: make one, for the others on the loop. What
                # they take is part of the pace.
                await asyncio.sleep(0)
                yield
                self._pace += ((monotonic() - begun) / size - self._pace) / _MEMORY
        finally:
            self._queued -= size


class Admission:
    """The limits of one process and what is left of them."""

    def __init__(self, settings: Settings) -> None:
        self._max_lag = settings.max_lag
        self._max_body = settings.max_body_bytes
        self._max_waiting = settings.max_pending
        self.lag = 0.0
        """Seconds that a ready callback lately waited for the event loop."""
        self.waiting = 0
        """Requests that wait for the rest of their body, or for a page."""
        self.free = settings.max_pending_bytes
        """Bytes left for large bodies; below zero when unread answers take more than there was."""
        self.batches = Queue("batches", settings.max_lag, BATCH_PACE)
        self.pages = Queue("pages", settings.max_lag, PAGE_PACE)

    def check(self) -> None:
        """Raise RefusedError if a request that comes now cannot be answered soon."""
        if self.lag > self._max_lag:
            raise overloaded("requests queue too long here")
        self.check_memory()

    def check_memory(self) -> None:
        """Raise RefusedError while answers that clients do not read take all the memory."""
        if self.free < 0:
            raise overloaded("answers that nobody reads take all the memory")

    def reserve(self, size: int) -> int:
        """Take memory for a body of at most ``size`` bytes; returns what to give back to ``free``.

        Raises RefusedError if it is too large, or too large now.
        """
        if size > self._max_body:
            raise self.too_large()
        if size < LARGE_BYTES:
            return 0
        if size > self.free:
            raise overloaded("large bodies take all the memory meant for them")
        self.free -= size
        return size

    def too_large(self) -> RefusedError:
        """A body above the limit."""
        return RefusedError(413, f"the body may have at most {self._max_body} bytes")

    @asynccontextmanager
    async def place(self, what: str) -> AsyncIterator[None]:
        """Count one that waits; raises RefusedError if enough of them do."""
        if self.waiting >= self._max_waiting:
            raise overloaded(f"too many {what}")
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
