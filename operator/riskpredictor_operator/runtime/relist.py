"""Lists the truth: at start, now and then, and after the watches lost the thread.

Watches can miss things, above all deletions while disconnected. A resync compares the operator's
picture with complete lists, forgets what is gone and has everything looked at again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field

from riskpredictor_operator import metrics
from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Key, Resource, key_of
from riskpredictor_operator.core.errors import ApiError, ClusterRestoredError
from riskpredictor_operator.runtime.cache import Cache, version_of
from riskpredictor_operator.runtime.client import Cluster
from riskpredictor_operator.runtime.workqueue import WorkQueue

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""Pause after a resync that failed."""
SETTLE_SECONDS = 1.0
"""How long a request for a resync waits for more of its kind: a relist asks once per object."""


@dataclass
class Resync:
    """Keeps the cache true to the cluster."""

    cluster: Cluster
    cache: Cache
    queue: WorkQueue[Key]
    namespace: str
    every: float
    """Seconds between two resyncs, of which 80 to 120 percent are waited."""
    _asked: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def ask(self) -> None:
        """Have a resync done soon."""
        self._asked.set()

    async def once(self, *, everything: bool = True) -> None:
        """List all kinds, adopt what is there, forget what is not, queue what that changed.

        Args:
            everything: queue every RiskPredictor, changed or not.

        Raises:
            ApiError: a list failed; what was listed before it counts.
            ClusterRestoredError: the list is older than what was known before it.
        """
        for resource in api.WATCHED.values():
            await self._list(resource)
        if everything:
            for key in sorted(self.cache.keys(api.RISKPREDICTOR)):
                self.queue.add(key)

    async def _list(self, resource: Resource) -> None:
        known = self.cache.versions(resource)
        seen = self.cache.departures() | known
        selector = "" if resource == api.RISKPREDICTOR else api.LABEL_PREDICTOR
        items = await self.cluster.list(resource, self.namespace, selector)
        # The list is not of a server's cache, so it cannot be older than what was known before it.
        if any(version_of(item) < seen.get(item["metadata"]["uid"], 0) for item in items):
            raise ClusterRestoredError(
                f"{resource.plural} are older than they were: was the cluster restored?"
            )
        for item in items:
            if self.cache.put(resource, item):
                self.queue.add(key_of(item))
        gone = self.cache.prune(resource, (item["metadata"]["uid"] for item in items), known)
        for key in gone:
            self.queue.add(key)
        if gone:
            metrics.PRUNED.labels(resource.plural).inc(len(gone))
            logger.info("resync: %d %s were deleted unseen", len(gone), resource.plural)

    def _next(self) -> float:
        """When everything is to be looked at again, by the loop's clock."""
        pause = self.every * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
        return asyncio.get_running_loop().time() + pause

    async def run(self) -> None:
        """Resync for ever: at intervals, and soon after being asked.

        Raises:
            ClusterRestoredError: only a new process can make a true picture again.
        """
        due = self._next()
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._asked.wait()
                    await asyncio.sleep(SETTLE_SECONDS)
            except TimeoutError:
                pass
            self._asked.clear()
            # Being asked again and again must not put it off.
            everything = asyncio.get_running_loop().time() >= due
            try:
                await self.once(everything=everything)
                if everything:
                    due = self._next()
                metrics.RESYNCS.labels("ok").inc()
            except ApiError as error:
                metrics.RESYNCS.labels("failed").inc()
                logger.warning("resync failed, trying again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                self._asked.set()
