"""Writes the status of a RiskPredictor if it differs; mere progress at most every two seconds."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from riskpredictor_operator import events, metrics
from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.core.status import is_progress
from riskpredictor_operator.kube import Body, Key
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Client

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 2.0
"""Least time between two writes that show only the progress of a roll-out. Its counts change often,
and each status write costs the API server as much as the write of a child."""


@dataclass
class StatusWriter:
    """Writes statuses; remembers only when it last wrote each."""

    client: Client
    cache: Cache
    clock: Callable[[], datetime.datetime]
    _written: dict[Key, datetime.datetime] = field(default_factory=dict, init=False)

    async def write(self, key: Key, uid: str, previous: Body, status: Body) -> float | None:
        """Write the status if it differs, and the Events that go with it.

        Returns:
            Seconds until a write that was put off is due, else None.

        Raises:
            ApiError: the write failed.
        """
        ready = conditions.find(status["conditions"], conditions.READY) or {}
        metrics.READY.labels(key.namespace, key.name).set(ready.get("status") == "True")
        suspended = ready.get("reason") == reasons.SUSPENDED
        metrics.SUSPENDED.labels(key.namespace, key.name).set(suspended)
        stalled = conditions.find(status["conditions"], conditions.STALLED) is not None
        metrics.STALLED.labels(key.namespace, key.name).set(stalled)
        metrics.note_rollout(key, status.get("rollout"))
        if status == previous:
            return None
        if is_progress(previous, status) and key in self._written:
            passed = (self.clock() - self._written[key]).total_seconds()
            # It is negative after the clock was set back.
            if 0 <= passed < PROGRESS_SECONDS:
                return PROGRESS_SECONDS - passed
        patch = _merge_patch(previous, status)
        live = await self.client.patch_status(api.RISKPREDICTOR, key, uid, patch)
        self.cache.put(api.RISKPREDICTOR, live)
        self._written[key] = self.clock()
        for entry in _new_entries(previous, status):
            metrics.count_outcome(entry["outcome"], entry.get("reason") or entry["outcome"])
        for event in events.events_for(previous, status):
            logger.info("%s: %s: %s", key, event.reason, event.message)
            await events.record(self.client, key, uid, event)
        return None

    def forget(self, key: Key) -> None:
        """Forget a RiskPredictor that is gone."""
        self._written.pop(key, None)
        metrics.forget_predictor(key)


def _new_entries(before: Body, after: Body) -> list[Body]:
    """What a status has in its history and the one before it had not."""
    known = before.get("history") or ()
    return [entry for entry in after.get("history") or () if entry not in known]


def _merge_patch(before: Body, after: Body) -> dict[str, Any]:
    """The merge patch (RFC 7386) that makes one map the other: null removes a field, and maps are
    merged."""
    changed = {
        name: _merge_patch(before[name], value)
        if isinstance(value, dict) and isinstance(before.get(name), dict)
        else value
        for name, value in after.items()
    }
    return changed | {name: None for name in before if name not in after}
