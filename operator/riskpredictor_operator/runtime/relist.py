"""Lists everything: at start, on an interval, and after a watch was restarted.

Watches can miss events, above all deletions while they are disconnected. A relist compares the
cache with complete lists, forgets what is gone and queues what changed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from riskpredictor_operator.kube import ApiError, Key, Resource, key_of, version_of
from riskpredictor_operator.runtime import metrics
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Client
from riskpredictor_operator.runtime.workqueue import WorkQueue

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""Pause after a relist that failed."""
SETTLE_SECONDS = 1.0
"""How long a request for a relist waits for others: watches tend to restart together."""


class ClusterRestoredError(RuntimeError):
    """The API server shows an older state than it did before: it was restored from a backup.

    Then the cache holds what no longer exists, and the watches wait for resource versions that they
    are already past.
    """


@dataclass
class Relister:
    """Keeps the cache up to date with the cluster."""

    client: Client
    cache: Cache
    queue: WorkQueue[Key]
    watched: Mapping[Resource, str]
    """The resources to list, each with a label selector."""
    primary: Resource
    """The one whose keys are reconciled; objects of the others bear the same keys."""
    namespace: str
    """Empty for all."""
    every: float
    """Seconds between two relists that queue everything, give or take a fifth."""
    _requested: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def request(self) -> None:
        """Ask for a relist soon."""
        self._requested.set()

    async def once(self, *, everything: bool = True) -> None:
        """List all resources, update the cache, queue what changed.

        Args:
            everything: queue every key, changed or not.

        Raises:
            ApiError: a list failed; those before it count.
            ClusterRestoredError: the list is older than what was known before it.
        """
        for resource, selector in self.watched.items():
            await self._list(resource, selector)
        if everything:
            for key in sorted(self.cache.keys(self.primary)):
                self.queue.add(key)

    async def _list(self, resource: Resource, selector: str) -> None:
        known = self.cache.versions(resource)
        seen = self.cache.deletions() | known
        items = await self.client.list(resource, self.namespace, selector)
        # The list does not come from a server's cache, so it cannot be older than what was known.
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
            logger.info("relist: the deletion of %d %s was missed", len(gone), resource.plural)

    async def run(self) -> None:
        """Relist until cancelled: on the interval, and soon after a request.

        Raises:
            ClusterRestoredError: the process has to restart, with an empty cache.
        """
        due = self._next()
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._requested.wait()
                    await asyncio.sleep(SETTLE_SECONDS)
            except TimeoutError:
                pass
            self._requested.clear()
            # Requests, however frequent, do not put off the relist that queues everything.
            everything = asyncio.get_running_loop().time() >= due
            try:
                await self.once(everything=everything)
                if everything:
                    due = self._next()
                metrics.RELISTS.labels("ok").inc()
            except ApiError as error:
                metrics.RELISTS.labels("failed").inc()
                logger.warning("relist failed, trying again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                self._requested.set()

    def _next(self) -> float:
        """When everything is to be queued again, by the loop's clock."""
        pause = self.every * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
        return asyncio.get_running_loop().time() + pause
