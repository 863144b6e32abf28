"""A keyed work queue with the guarantees of client-go's (``k8s.io/client-go/util/workqueue``).

- A key is processed by one worker at a time.
- Adding a waiting key changes nothing; adding one that is being processed runs it once more.
- A failing key backs off exponentially, with jitter, on its own; others are not held up.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from riskpredictor_operator.runtime import metrics

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds: ``base * 2**failures``, at most ``limit``, each 50 to 100 % of that."""

    base: float = 0.05
    limit: float = 60.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        full = min(self.limit, self.base * 2.0 ** min(failures, 32))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


class WorkQueue(Generic[K]):
    """Queue of keys for the workers of one event loop."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._wakeup = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def busy(self) -> bool:
        """Whether a key is being processed."""
        return bool(self._processing)

    def add(self, key: K) -> None:
        """Ask for a key to be processed."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._push(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for a key to be processed later; of several times the earliest counts."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        timer = self._timers.get(key)
        if self._closed or (timer is not None and timer.when() <= when):
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Ask for a failed key again after its back-off; returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = max(at_least, self._backoff.delay(failures))
        self.add_after(key, delay)
        metrics.RETRIES.inc()
        return delay

    def forget(self, key: K) -> None:
        """Reset a key's back-off after success."""
        self._failures.pop(key, None)

    async def get(self) -> K | None:
        """The next key, or None when the queue is closed. Must be followed by ``done``."""
        while not self._ready:
            if self._closed:
                return None
            self._wakeup.clear()
            await self._wakeup.wait()
        if self._closed:
            return None
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: K) -> None:
        """Mark the end of a key's processing; it runs again if it was added meanwhile."""
        self._processing.discard(key)
        if key in self._dirty and not self._closed:
            self._push(key)

    def close(self) -> None:
        """Hand out no more keys; those in process may finish."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._wakeup.set()

    def _push(self, key: K) -> None:
        self._ready.append(key)
        self._wakeup.set()

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)
