"""kopf's part: watch four kinds, keep the cache fresh, queue what changed. Nothing else.

Handlers do no I/O and keep no state with kopf: no create, update, delete, timer or daemon handlers,
hence no finalizers, no annotations and no lost update.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import kopf

from riskpredictor_operator import metrics
from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Body, Key, key_of
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import LIST_PAGE
from riskpredictor_operator.runtime.kopf_patches import Backoffs, enduring
from riskpredictor_operator.runtime.relist import Resync
from riskpredictor_operator.runtime.workqueue import WorkQueue

WATCH_SECONDS = 300
"""How long the API server keeps one watch open; then it is opened anew."""
SILENCE_SECONDS = 2.0 * WATCH_SECONDS
"""How long a watch may show no life while the API server answers."""


class NullDiffBase(kopf.DiffBaseStorage):
    """Stores no last-handled state. kopf makes one for every event, which costs three times what
    the event itself does, and without state-tracking handlers nobody reads it."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


@dataclass
class Watcher:
    """What the handlers need."""

    cache: Cache
    queue: WorkQueue[Key]
    resync: Resync
    _signs: dict[str, float] = field(default_factory=dict, init=False)
    """When each watch last showed life, by plural; monotonic seconds."""

    def hear(self, plural: str, kind: str | None, body: Body) -> bool:
        """Take a watch event into the cache.

        Most tell nothing new: echoes of own writes, an autoscaler's metrics, what a list shows
        again. For kopf each costs ten times what this does, so those end here.

        Args:
            plural: of the object's kind.
            kind: ADDED, MODIFIED or DELETED; None for an object of a list.
            body: the object.

        Returns:
            Whether it goes on to its handler.
        """
        resource = api.WATCHED[plural]
        metrics.WATCH_EVENTS.labels(plural).inc()
        metrics.LAST_EVENT.labels(plural).set(time.time())
        self.on_sign(plural, listed=False)
        if kind == "DELETED":
            self.cache.drop(resource, body)
            # Whatever the cache knew of it: kopf has to forget it, too.
            return True
        return self.cache.put(resource, body)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Notice the signs of life of kopf's watches for the length of the block."""
        now = time.monotonic()
        self._signs = dict.fromkeys(api.WATCHED, now)
        try:
            with enduring(self.on_sign, self.hear):
                yield
        finally:
            self._signs.clear()

    def on_sign(self, plural: str, *, listed: bool) -> None:
        """An event, or that the API server accepted a watch, or the list that one begins with.

        Bookmarks do not count: of a kind that has not changed since it started, the API server
        sends none.
        """
        if plural not in self._signs:
            return
        self._signs[plural] = time.monotonic()
        if listed:
            # What was deleted before it began, or while it was cut off, is in no event.
            self.resync.ask()

    def silent(self, answered: float) -> str | None:
        """Which watch is dead; None while all live, and before and after ``listening``.

        A watch is not blamed for an API server that is away.

        Args:
            answered: when the API server last answered anything; monotonic seconds.
        """
        for plural, last in self._signs.items():
            if answered - last > SILENCE_SECONDS:
                passed = time.monotonic() - last
                return f"the API server answers, but not the watch of {plural}: {passed:.0f} s"
        return None

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Register one handler per kind."""

        async def handler(event: kopf.RawEvent, **_: Any) -> None:
            self.queue.add(key_of(event["object"]))

        for plural, resource in api.WATCHED.items():
            kopf.on.event(
                resource.group,
                resource.version,
                plural,
                id=f"watch-{plural}",
                registry=registry,
            )(handler)


def configure(settings: kopf.OperatorSettings, request_seconds: float) -> None:
    """kopf's settings for this use; the reasons stand beside them."""
    # State is the cluster's, not kopf's.
    settings.persistence.diffbase_storage = NullDiffBase()
    settings.peering.standalone = True  # the Lease elects
    settings.posting.enabled = False  # events.py posts
    settings.scanning.disabled = True  # the kinds are fixed, and their RBAC is checked at start
    settings.networking.request_timeout = request_seconds
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = Backoffs()  # an API server may be away for hours
    settings.networking.enforce_retry_after = True
    settings.watching.chunk_size = LIST_PAGE
    settings.watching.server_timeout = WATCH_SECONDS
    settings.queueing.idle_timeout = 1.0  # a worker per object is memory; ours do the work
    for resource in api.CHILDREN:
        settings.watching.label_selectors[resource.plural] = api.LABEL_PREDICTOR
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
