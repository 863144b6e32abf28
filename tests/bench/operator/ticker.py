"""Autoscalers whose metrics change, as they do in a cluster that has metrics.

Fake nodes have none, so this writes what the autoscaler's controller would: each status once in
15 seconds. That controller sets some of them back: there are more changes than in such a cluster.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from typing import Self

from riskpredictor_operator.kube import Key
from support.api import AUTOSCALER, Api, Body

PERIOD_SECONDS = 15.0
THREADS = 4


class Ticker:
    """Ticks for the length of a block."""

    def __init__(self, api: Api, namespace: str, names: Sequence[str]) -> None:
        self._api, self._namespace = api, namespace
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(names[n::THREADS],), daemon=True)
            for n in range(min(THREADS, len(names)))
        ]
        self._count = itertools.count()
        self._changes = itertools.count()
        self._watch = api.following(AUTOSCALER, namespace, self._on_event)
        self._started = time.monotonic()
        self.rate = 0.0
        """Changes a second that the API server told of."""

    def __enter__(self) -> Self:
        self._watch.__enter__()
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
        self.rate = next(self._changes) / (time.monotonic() - self._started)
        self._watch.__exit__(None, None, None)

    def _on_event(self, kind: str, _: Body) -> None:
        if kind == "MODIFIED":
            next(self._changes)

    def _run(self, names: Sequence[str]) -> None:
        due = time.monotonic()
        for name in itertools.cycle(names):
            due += PERIOD_SECONDS / len(names)
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self._tick(name, next(self._count))

    def _tick(self, name: str, number: int) -> None:
        used = {"averageUtilization": number % 100, "averageValue": f"{number % 100}m"}
        metric = {"type": "Resource", "resource": {"name": "cpu", "current": used}}
        change = {"status": {"currentMetrics": [metric]}}
        self._api.patch(AUTOSCALER, Key(self._namespace, name), change, sub="status")
