"""Runs one leader's term: cache, queue, workers, relists and watches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any

import kopf

from riskpredictor_operator.core import api
from riskpredictor_operator.core.observed import trim
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.core.rollout import is_rolling
from riskpredictor_operator.evidence_reader import EvidenceReader
from riskpredictor_operator.kube import ApiError, Key
from riskpredictor_operator.model_change import ModelChanges
from riskpredictor_operator.model_copier import ModelCopier
from riskpredictor_operator.reconcile import Reconciler
from riskpredictor_operator.rollout_limiter import RolloutLimiter
from riskpredictor_operator.runtime import metrics as runtime_metrics
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Client
from riskpredictor_operator.runtime.pod_http import PodReader
from riskpredictor_operator.runtime.relist import ClusterRestoredError, Relister
from riskpredictor_operator.runtime.stopping import run_unless_stopped
from riskpredictor_operator.runtime.watch import Watcher
from riskpredictor_operator.runtime.workers import Workers
from riskpredictor_operator.runtime.workqueue import WorkQueue
from riskpredictor_operator.settings import Settings

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 0.5
"""How long passes under way may go on after the order to stop. It is short, because the
lease is released after it."""
WATCH_END_SECONDS = 10.0
"""How long kopf may take to end its watches; it waits up to five seconds for its own workers."""


class Controller:
    """Runs while this replica leads: until the lease is lost or the process is told to stop."""

    def __init__(self, client: Client, settings: Settings, stop: asyncio.Event) -> None:
        self._settings = settings
        self._client = client
        self._stop = stop
        queue: WorkQueue[Key] = WorkQueue()
        runtime_metrics.QUEUE_DEPTH.set_function(partial(len, queue))
        self._cache = Cache(api.WATCHED, trim)
        for resource in api.WATCHED:
            objects = runtime_metrics.OBJECTS.labels(resource.plural)
            objects.set_function(partial(self._cache.count, resource))
        options = RenderOptions(settings.image_repository, settings.runtime_image)
        self._limiter = RolloutLimiter(settings.max_rolls, queue.add)
        self._copier = ModelCopier(client, self._cache, PodReader(), queue.add, time.monotonic)
        self._evidence = EvidenceReader(
            client, self._cache, PodReader(), queue.add, time.monotonic, settings.evidence_seconds
        )
        changes = ModelChanges(options, self._evidence)
        reconciler = Reconciler(client, self._cache, options, self._limiter, self._copier, changes)
        self._workers = Workers(queue, reconciler.reconcile, settings.workers)
        self._relister = Relister(
            client, self._cache, queue, api.WATCHED, api.RISKPREDICTOR,
            settings.namespace, settings.resync_seconds,
        )  # fmt: skip
        self._watcher = Watcher(self._cache, queue, self._relister, api.WATCHED)

    async def run(
        self,
        wait_until_lost: Callable[[], Coroutine[Any, Any, None]],
        release: Callable[[], Awaitable[None]],
    ) -> str:
        """Work until told to stop, or until something ends that must not.

        Args:
            wait_until_lost: returns when the lease is lost.
            release: releases the lease; awaited on the way out, after the last write.

        Returns:
            Why it ended; empty after an orderly stop.
        """
        # The first list may take as long as an outage of the API server.
        if not await run_unless_stopped(self._stop, self._first_list()):
            await release()
            return ""
        self._workers.start()
        guards = {
            asyncio.create_task(wait_until_lost(), name="lease"): "the lease was lost",
            asyncio.create_task(self._workers.died(), name="workers"): "a worker died",
            asyncio.create_task(self._relister.run(), name="relists"): "the relists ended",
        }
        watching = asyncio.create_task(self._watch(release), name="kopf")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait([watching, stopping, *guards], return_when=asyncio.FIRST_COMPLETED)
        # Check for an orderly stop first: it ends the workers too, and that is no failure.
        why = "" if watching.done() or self._stop.is_set() else _why_ended(guards)
        self._stop.set()
        await self._drain(0.0 if why else DRAIN_SECONDS)
        await _end(watching, [stopping, *guards])
        return _why_watches_ended(watching, why)

    async def _drain(self, seconds: float) -> None:
        """End all that writes; passes under way may go on for so many seconds."""
        await self._workers.drain(seconds)
        await self._copier.close()
        await self._evidence.close()

    async def _first_list(self) -> None:
        """Fill the cache before the first pass, so that a restart finds nothing to do."""
        started = time.monotonic()
        while True:
            try:
                await self._relister.once()
                break
            except ApiError as error:
                logger.warning("first list failed, trying again: %s", error)
                await asyncio.sleep(1.0)
        keys = self._cache.keys(api.RISKPREDICTOR)
        self._limiter.recover(k for k in keys if is_rolling(self._cache.get(api.DEPLOYMENT, k)))
        logger.info("listed %d RiskPredictors in %.1f s", len(keys), time.monotonic() - started)

    async def _watch(self, release: Callable[[], Awaitable[None]]) -> None:
        async def cleanup() -> None:
            self._stop.set()
            await self._drain(DRAIN_SECONDS)
            await release()

        settings = self._settings
        login = self._client.transport.connection
        await self._watcher.run(
            settings.namespace, settings.request_seconds, login, self._stop, cleanup
        )


async def _end(watching: asyncio.Task[None], others: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.wait([watching], timeout=WATCH_END_SECONDS)
    tasks = [watching, *others]
    for task in tasks:
        task.cancel()
    # A task that is still not done is left alone: the process exits.
    await asyncio.wait(tasks, timeout=1.0)


def _why_ended(guards: dict[asyncio.Task[None], str]) -> str:
    task, why = next((task, why) for task, why in guards.items() if task.done())
    error = None if task.cancelled() else task.exception()
    if isinstance(error, ClusterRestoredError):
        return str(error)
    if error is not None:
        logger.error("%s", why, exc_info=error)
    return why


def _why_watches_ended(watching: asyncio.Task[None], why: str) -> str:
    if not watching.done() or watching.cancelled():
        return why or "the watches did not end"
    error = watching.exception()
    if isinstance(error, kopf.LoginError):
        return "the API server refuses the operator's credentials, and there are no others"
    if error is not None:
        return f"watching failed: {type(error).__name__}: {error}"
    return why
