"""Watches with kopf: keeps the cache up to date and queues what changed.

A watch that breaks is restarted by kopf, or by kopf_patches.py where kopf would end the operator.

It registers only ``on.event`` handlers, which do no I/O: with handlers for create, update or
delete, timers or daemons, kopf would write finalizers and annotations into the watched objects.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import kopf

from riskpredictor_operator.kube import Body, Key, Resource, key_of
from riskpredictor_operator.runtime import metrics
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import LIST_PAGE
from riskpredictor_operator.runtime.kopf_patches import patched
from riskpredictor_operator.runtime.relist import Relister
from riskpredictor_operator.runtime.workqueue import WorkQueue

WATCH_SECONDS = 300
"""How long the API server keeps one watch open; then it is opened anew."""


class Backoffs:
    """Endless, re-iterable pauses in seconds between attempts to reach the API server."""

    def __iter__(self) -> Iterator[float]:
        for failures in itertools.count():
            yield min(30.0, 0.2 * 2.0 ** min(failures, 16)) * random.uniform(0.5, 1.0)  # noqa: S311


class NullDiffBase(kopf.DiffBaseStorage):
    """Stores no last-handled state. kopf builds one for every event, which costs three times what
    the event itself does, and only handlers that are not used here read it."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


@dataclass
class Watcher:
    """Watches the resources of a cache, each with a label selector."""

    cache: Cache
    queue: WorkQueue[Key]
    relister: Relister
    watched: Mapping[Resource, str]

    def __post_init__(self) -> None:
        self._by_plural = {resource.plural: resource for resource in self.watched}

    async def run(
        self,
        namespace: str,
        request_seconds: float,
        login: Callable[[], Awaitable[kopf.ConnectionInfo]],
        stop: asyncio.Event,
        cleanup: Callable[[], Awaitable[None]],
    ) -> None:
        """Watch until ``stop`` is set; awaits ``cleanup`` on the way out.

        Args:
            namespace: the namespace to watch; empty for all.
            request_seconds: time limit of one request.
            login: gives the server and fresh credentials.
            stop: ends the watches.
            cleanup: awaited before this returns.
        """
        registry = kopf.OperatorRegistry()
        self.register(registry)
        kopf.on.login(registry=registry)(_ignoring_arguments(login))
        kopf.on.cleanup(registry=registry)(_ignoring_arguments(cleanup))
        with patched(self.on_event, self.on_listed):
            await kopf.operator(
                registry=registry,
                settings=self.settings(request_seconds),
                clusterwide=not namespace,
                namespaces=[namespace] if namespace else (),
                stop_flag=stop,
                # Unused without peering; kopf's own guess fails where the user id has no name.
                identity=cast(Any, "operator"),
            )

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Register one handler per resource."""

        async def handler(event: kopf.RawEvent, **_: Any) -> None:
            self.queue.add(key_of(event["object"]))

        for resource in self.watched:
            kopf.on.event(
                resource.group,
                resource.version,
                resource.plural,
                id=f"watch-{resource.plural}",
                registry=registry,
            )(handler)

    def settings(self, request_seconds: float) -> kopf.OperatorSettings:
        """kopf's settings for this use."""
        settings = kopf.OperatorSettings()
        # State is the cluster's, not kopf's.
        settings.persistence.diffbase_storage = NullDiffBase()
        settings.peering.standalone = True  # leader_election.py elects
        settings.posting.enabled = False  # kopf posts no Events of its own
        settings.scanning.disabled = True  # the resources are fixed, their RBAC checked at start
        settings.networking.request_timeout = request_seconds
        settings.networking.connect_timeout = 5
        settings.networking.error_backoffs = Backoffs()  # an API server may be away for hours
        settings.networking.enforce_retry_after = True
        settings.watching.chunk_size = LIST_PAGE
        settings.watching.server_timeout = WATCH_SECONDS
        settings.queueing.idle_timeout = (
            1.0  # a task per object is memory; workers.py does the work
        )
        for resource, selector in self.watched.items():
            if selector:
                settings.watching.label_selectors[resource.plural] = selector
        logging.getLogger("kopf.objects").setLevel(logging.WARNING)
        return settings

    def on_event(self, plural: str, kind: str | None, body: Body) -> bool:
        """Take a watch event into the cache.

        Args:
            plural: of the object's resource.
            kind: ADDED, MODIFIED or DELETED; None for an object of a list.
            body: the object.

        Returns:
            Whether kopf calls the handler; False if the event changed nothing in the cache.
        """
        resource = self._by_plural.get(plural)
        if resource is None:
            return True
        metrics.WATCH_EVENTS.labels(plural).inc()
        metrics.LAST_EVENT.labels(plural).set(time.time())
        if kind == "DELETED":
            self.cache.drop(resource, body)
            # Even if the cache did not know it: kopf has to forget it, too.
            return True
        return self.cache.put(resource, body)

    def on_listed(self, plural: str) -> None:
        """Request a relist: a watch that begins anew reports no deletion that happened before."""
        if plural in self._by_plural:
            self.relister.request()


def _ignoring_arguments(function: Callable[[], Awaitable[Any]]) -> Callable[..., Any]:
    """A kopf handler that calls ``function`` and ignores the arguments that kopf passes."""

    async def handler(**_: Any) -> Any:
        return await function()

    return handler
