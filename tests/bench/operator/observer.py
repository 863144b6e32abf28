"""When things happened, as the benchmark's own watches saw it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from riskpredictor_operator.core.api import CHILDREN, RISKPREDICTOR
from support.api import Api, Body


class Observer:
    """Times of the monotonic clock in seconds, by name of the RiskPredictor."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._lock = threading.Lock()
        self._children: dict[str, set[str]] = {}
        self.asked: dict[str, float] = {}
        self.complete: dict[str, float] = {}
        """When all children were there."""
        self.ready: dict[str, float] = {}
        self.labels: dict[str, tuple[str, float]] = {}
        """Of each Service: its label ``app``, and since when."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For the length of the block."""
        with ExitStack() as stack:
            for resource in (RISKPREDICTOR, *CHILDREN):
                note = self._on_predictor if resource == RISKPREDICTOR else self._on_child
                stack.enter_context(self._api.following(resource, self._namespace, note))
            yield

    def _on_predictor(self, _: str, body: Body) -> None:
        conditions = (body.get("status") or {}).get("conditions") or ()
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            self.ready.setdefault(body["metadata"]["name"], time.monotonic())

    def _on_child(self, _: str, body: Body) -> None:
        name, now = body["metadata"]["name"], time.monotonic()
        with self._lock:
            kinds = self._children.setdefault(name, set())
            kinds.add(body["kind"])
            if len(kinds) == len(CHILDREN):
                self.complete.setdefault(name, now)
            if body["kind"] == "Service":
                label = body["metadata"]["labels"]["app"]
                if self.labels.get(name, ("", 0.0))[0] != label:
                    self.labels[name] = (label, now)
