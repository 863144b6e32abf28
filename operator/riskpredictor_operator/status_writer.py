"""Writes the status of a RiskPredictor: only what differs, and mere progress not too often."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from riskpredictor_operator import events, metrics
from riskpredictor_operator.core import api, conditions
from riskpredictor_operator.core.api import Body, Key
from riskpredictor_operator.core.status import is_progress
from riskpredictor_operator.core.transitions import transition
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Cluster

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 2.0
"""Least time between two writes that only tell that a roll-out goes on. It does so many times, and
each write costs the API server as much as the write of a child."""


@dataclass
class Reporter:
    """Writes statuses; remembers only when it last wrote each."""

    cluster: Cluster
    cache: Cache
    clock: Callable[[], datetime.datetime]
    _written: dict[Key, datetime.datetime] = field(default_factory=dict, init=False)

    async def report(self, key: Key, uid: str, previous: Body, status: Body) -> float | None:
        """Write the status if it differs, and tell a change of Ready's reason as an Event.

        Returns:
            Seconds until a write that was put off is due, else None.

        Raises:
            ApiError: the write failed.
        """
        ready = conditions.find(status["conditions"], conditions.READY) or {}
        metrics.READY.labels(key.namespace, key.name).set(ready.get("status") == "True")
        if status == previous:
            return None
        if is_progress(previous, status) and key in self._written:
            passed = (self.clock() - self._written[key]).total_seconds()
            # Below zero the clock was set back.
            if 0 <= passed < PROGRESS_SECONDS:
                return PROGRESS_SECONDS - passed
        # In a merge patch, null removes what is not said any more.
        removed = {name: None for name in previous if name not in status}
        live = await self.cluster.patch_status(key, uid, {**status, **removed})
        self.cache.put(api.RISKPREDICTOR, live)
        self._written[key] = self.clock()
        if (event := transition(previous, status)) is not None:
            logger.info("%s: %s: %s", key, event.reason, event.message)
            await events.record(self.cluster, key, uid, event)
        return None

    def forget(self, key: Key) -> None:
        """A RiskPredictor is gone."""
        self._written.pop(key, None)
        metrics.forget_predictor(key)
