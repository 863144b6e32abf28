"""Admission control: accepts a request, or refuses it at once with 503. Probes are exempt.

It bounds how long requests wait for the event loop, for batches and for pages before them, how many
wait for the rest of their body, and the memory of large bodies and unread responses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from riskpredictor_server.api.problems import RETRY, RefusedError
from riskpredictor_server.settings import Settings

LARGE_BYTES = 4096
"""Size from which a body is large (about fifty records, half a millisecond of work): it counts
against the memory for bodies and waits for its turn. The number of smaller ones is bounded instead,
so slow uploads never hold up single predictions."""
BATCH_PACE = 4e-7
"""First estimate of the seconds per byte of a batch, as in a pod of 200 millicores."""
PAGE_PACE = 0.02
"""First estimate of the seconds per page, likewise."""
_AVERAGED_TURNS = 8
"""Turns over which the pace is averaged: under a CPU limit a slow one follows a quick one."""


def overloaded(detail: str) -> RefusedError:
    """Return the error for a request that comes at a time of overload."""
    return RefusedError(503, f"overloaded: {detail}", RETRY)


def counted_bytes(body: bytes) -> int:
    """Return how much a body counts against the memory limit: small ones count nothing."""
    return len(body) if len(body) >= LARGE_BYTES else 0


class Queue:
    """Runs batches, or pages, one at a time in the order of their arrival.

    A batch of 1,000 blocks the event loop for milliseconds, five times as long under a CPU limit.
    Between two of them single predictions and probes are answered. A request that would wait too
    long is refused: the wait is estimated from the sizes of those before it and the recent pace.
    The last measured wait would not do, because a whole burst arrives before any of it has waited.
    """

    def __init__(self, what: str, longest_wait: float, pace: float) -> None:
        """``pace`` is the first estimate of the seconds per unit of size."""
        self._what = what
        self._lock = asyncio.Lock()
        self._longest_wait = longest_wait
        self._queued = 0
        self._pace = pace

    @property
    def wait(self) -> float:
        """Estimated seconds that a request added now would wait."""
        return self._queued * self._pace

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait for a turn, which lasts as long as the ``with``.

        Raises RefusedError if the wait is too long.
        """
        detail = f"{self._what} queue too long here"
        if self.wait > self._longest_wait:
            raise overloaded(detail)
        self._queued += size
        queued_at = monotonic()
        try:
            async with self._lock:
                started = monotonic()
                if started - queued_at > 2 * self._longest_wait:
                    # The estimate was too low: let the others wait no longer because of this one.
                    raise overloaded(detail)
                # A free lock is acquired without giving way to other tasks, so do it here. Their
                # time counts as part of the pace.
                await asyncio.sleep(0)
                yield
                self._pace += ((monotonic() - started) / size - self._pace) / _AVERAGED_TURNS
        finally:
            self._queued -= size


class Admission:
    """The limits of one process, and how much of them is in use."""

    def __init__(self, settings: Settings) -> None:
        self._max_lag = settings.max_lag
        self._max_body = settings.max_body_bytes
        self._max_waiting = settings.max_pending
        self.lag = 0.0
        """Seconds that the event loop was late at the last tick of the server."""
        self.waiting = 0
        """Number of requests that wait for the rest of their body, or for a page."""
        self.free_bytes = settings.max_pending_bytes
        """Memory left for large bodies; negative while unread responses take more than there is."""
        self.batches = Queue("batches", settings.max_lag, BATCH_PACE)
        self.pages = Queue("pages", settings.max_lag, PAGE_PACE)

    def check(self) -> None:
        """Raise RefusedError if a new request could not be answered soon."""
        if self.lag > self._max_lag:
            raise overloaded("requests queue too long here")
        self.check_memory()

    def check_memory(self) -> None:
        """Raise RefusedError while unread responses take all the memory."""
        if self.free_bytes < 0:
            raise overloaded("answers that nobody reads take all the memory")

    def reserve(self, size: int) -> int:
        """Reserve memory for a body of at most ``size`` bytes.

        Returns what the caller has to add to ``free_bytes`` afterwards. Raises RefusedError if the
        body is larger than allowed, or than the memory that is left.
        """
        if size > self._max_body:
            raise self.too_large()
        if size < LARGE_BYTES:
            return 0
        if size > self.free_bytes:
            raise overloaded("large bodies take all the memory meant for them")
        self.free_bytes -= size
        return size

    def too_large(self) -> RefusedError:
        """Return the error for a body above the limit."""
        return RefusedError(413, f"the body may have at most {self._max_body} bytes")

    @asynccontextmanager
    async def waiting_place(self, what: str) -> AsyncIterator[None]:
        """Count a waiting request inside the ``with``; raise RefusedError if too many wait."""
        if self.waiting >= self._max_waiting:
            raise overloaded(f"too many {what}")
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
