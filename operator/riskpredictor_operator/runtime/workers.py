"""Workers: take keys from the queue, reconcile them, and retry, report or drop what fails."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from riskpredictor_operator.kube import ApiError, Key, Verdict, verdict_of
from riskpredictor_operator.runtime import metrics
from riskpredictor_operator.runtime.workqueue import WorkQueue
from riskpredictor_operator.runtime.write_guard import LeadershipLostError

logger = logging.getLogger(__name__)

SLOW_RETRY_SECONDS = 30.0
"""Pause before the next try of what needs somebody to act, unless an event comes first."""

Reconcile = Callable[[Key], Awaitable[float | None]]


class Workers:
    """A fixed number of tasks that process one queue."""

    def __init__(self, queue: WorkQueue[Key], reconcile: Reconcile, count: int) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._count = count
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the tasks in the running loop."""
        self._tasks = [
            asyncio.create_task(self._work(), name=f"worker {index}")
            for index in range(self._count)
        ]

    async def died(self) -> None:
        """Wait until a worker ends before ``drain``, which is a bug; raises the worker's error."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():
                task.result()

    async def drain(self, seconds: float) -> None:
        """Take no more keys; let those in process finish within so many seconds, then cancel."""
        self._queue.close()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            started = time.perf_counter()
            try:
                result = await self._process(key)
            finally:
                self._queue.done(key)
            metrics.RECONCILE_SECONDS.labels(result).observe(time.perf_counter() - started)
            # A pass without anything to do never yields to the event loop. After a restart there
            # are thousands in a row; the lease's renewal and the watches need the loop meanwhile.
            await asyncio.sleep(0)

    async def _process(self, key: Key) -> str:
        try:
            again = await self._reconcile(key)
        except LeadershipLostError as error:
            # The new leader reconciles the key; this process is about to end.
            logger.warning("%s: %s", key, error)
            return "dropped"
        except ApiError as error:
            return self._after(key, error)
        except Exception:
            # A bug in one pass must not stop the others.
            logger.exception("%s: unexpected error, will try again", key)
            self._queue.retry(key)
            return "failed"
        self._queue.forget(key)
        if again is not None:
            self._queue.add_after(key, again)
        return "done"

    def _after(self, key: Key, error: ApiError) -> str:
        match verdict_of(error):
            case Verdict.DROP:
                self._queue.forget(key)
                logger.debug("%s: gone meanwhile: %s", key, error)
                return "dropped"
            case Verdict.REPORT:
                delay = self._queue.retry(key, at_least=SLOW_RETRY_SECONDS)
                logger.error("%s: %s; next try in %.0f s", key, error, delay)
                return "reported"
            case Verdict.RETRY:
                delay = self._queue.retry(key, at_least=error.retry_after or 0.0)
                # Conflicts are normal; an API server out of reach is not.
                level = logging.DEBUG if error.status == 409 else logging.WARNING
                logger.log(level, "%s: %s; next try in %.1f s", key, error, delay)
                return "retried"
