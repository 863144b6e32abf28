"""The engine put together: cache, queue, workers, resync and watches of one leader's term."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

import kopf

from riskpredictor_operator import metrics
from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Key
from riskpredictor_operator.core.errors import ApiError, ClusterRestoredError
from riskpredictor_operator.core.induced import is_rolling
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.reconcile import Reconciler
from riskpredictor_operator.rollout_limiter import Rolls
from riskpredictor_operator.runtime import watch
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import KubernetesCluster
from riskpredictor_operator.runtime.relist import Resync
from riskpredictor_operator.runtime.watch import Watcher
from riskpredictor_operator.runtime.workers import Workers
from riskpredictor_operator.runtime.workqueue import WorkQueue
from riskpredictor_operator.settings import Settings

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 0.5
"""How long passes under way may go on after the order to stop; a hand-over takes under a second."""


END_SECONDS = 10.0
"""How long kopf may take to end its watches; it waits up to five seconds for its own workers."""


class Controller:
    """Runs from winning the lease to losing it, or to the end of the process."""

    def __init__(self, cluster: KubernetesCluster, settings: Settings, stop: asyncio.Event) -> None:
        self._settings = settings
        self._cluster = cluster
        self._queue: WorkQueue[Key] = WorkQueue()
        self._queue.on_retry = metrics.RETRIES.inc
        metrics.QUEUE_DEPTH.set_function(partial(len, self._queue))
        cache = Cache()
        for resource in api.WATCHED.values():
            metrics.OBJECTS.labels(resource.plural).set_function(partial(cache.count, resource))
        options = RenderOptions(image_repository=settings.image_repository)
        self._rolls = Rolls(settings.max_rolls, self._queue.add)
        reconciler = Reconciler(cluster, cache, options, self._rolls)
        self._workers = Workers(self._queue, reconciler.reconcile, settings.workers)
        self._resync = Resync(
            cluster, cache, self._queue, settings.namespace, settings.resync_seconds
        )
        self._watcher = Watcher(cache, self._queue, self._resync)
        self._stop = stop

    def problem(self) -> str | None:
        """What a restart would mend: a watch that shows no life. None when all is well."""
        return self._watcher.silent(self._cluster.transport.answered)

    async def run(
        self, lost: Callable[[], Coroutine[Any, Any, None]], stopped: Callable[[], Any]
    ) -> str:
        """Work until told to stop, or until something that must live ends.

        Args:
            lost: returns when the lease is lost.
            stopped: awaited on the way out, after the last write; gives the lease up.

        Returns:
            Why it ended; empty after an orderly stop.
        """
        # kopf takes the signals over only later, and this may take as long as an outage does.
        if not await unless(self._stop, self._first_list()):
            await stopped()
            return ""
        self._workers.start()
        guards = {
            asyncio.create_task(lost(), name="lease"): "the lease was lost",
            asyncio.create_task(self._workers.died(), name="workers"): "a worker died",
            asyncio.create_task(self._resync.run(), name="resync"): "the resync died",
        }
        kopf_task = asyncio.create_task(self._watch(stopped), name="kopf")
        ending = asyncio.create_task(self._stop.wait(), name="ending")
        await asyncio.wait([kopf_task, ending, *guards], return_when=asyncio.FIRST_COMPLETED)
        # An orderly stop drains the workers too, so kopf's end is asked for first.
        why = "" if kopf_task.done() or self._stop.is_set() else self._first_done(guards)
        self._stop.set()
        await self._workers.drain(0.0 if why else DRAIN_SECONDS)
        await asyncio.wait([kopf_task], timeout=END_SECONDS)
        for task in (kopf_task, ending, *guards):
            task.cancel()
        # Not for ever: what does not end now ends with the process.
        await asyncio.wait([kopf_task, ending, *guards], timeout=1.0)
        if not kopf_task.done() or kopf_task.cancelled():
            return why or "the watches did not end"
        error = kopf_task.exception()
        if isinstance(error, kopf.LoginError):
            return "the API server refuses the operator's credentials, and there are no others"
        if error is not None:
            return f"watching failed: {type(error).__name__}: {error}"
        return why

    async def _first_list(self) -> None:
        """The picture is complete before the first pass, so a restart finds nothing to do."""
        started = time.monotonic()
        while True:
            try:
                await self._resync.once()
                break
            except ApiError as error:
                logger.warning("first list failed, trying again: %s", error)
                await asyncio.sleep(1.0)
        cache = self._resync.cache
        self._rolls.recover(
            key
            for key in cache.keys(api.RISKPREDICTOR)
            if is_rolling(cache.get(api.DEPLOYMENT, key))
        )
        logger.info(
            "listed %d RiskPredictors in %.1f s",
            self._resync.cache.count(api.RISKPREDICTOR),
            time.monotonic() - started,
        )

    async def _watch(self, stopped: Callable[[], Any]) -> None:
        registry = kopf.OperatorRegistry()
        settings = kopf.OperatorSettings()
        watch.configure(settings, self._settings.request_seconds)
        self._watcher.register(registry)

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.ConnectionInfo:
            return await self._cluster.transport.connection()

        @kopf.on.cleanup(registry=registry)
        async def cleanup(**_: Any) -> None:
            self._stop.set()
            await self._workers.drain(DRAIN_SECONDS)
            await stopped()

        namespace = self._settings.namespace
        with self._watcher.listening():
            await kopf.operator(
                registry=registry,
                settings=settings,
                clusterwide=not namespace,
                namespaces=[namespace] if namespace else (),
                stop_flag=self._stop,
                # Unused without peering; kopf's own guess fails where the user id has no name.
                identity=cast(Any, "riskpredictor-operator"),
            )

    @staticmethod
    def _first_done(guards: dict[asyncio.Task[None], str]) -> str:
        task, why = next((task, why) for task, why in guards.items() if task.done())
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ClusterRestoredError):
            return str(error)
        if error is not None:
            logger.error("%s", why, exc_info=error)
        return why


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do ``work``, unless told to stop before it is done; then it is cancelled.

    Returns:
        Whether the work was done. What it raises is raised.
    """
    working = asyncio.create_task(work, name="work")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        await working
        return True
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
