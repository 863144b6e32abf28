"""Kubernetes Events: one for each change of Ready's reason, shown by ``kubectl describe``."""

from __future__ import annotations

import datetime
import logging
import uuid
from dataclasses import dataclass

from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.kube import ApiError, Body, Key
from riskpredictor_operator.runtime.client import Client

logger = logging.getLogger(__name__)

MESSAGE_LIMIT = 1024
"""Characters that the API server accepts in an Event's message."""

_NORMAL = frozenset(
    {reasons.READY, reasons.ROLLING_OUT, reasons.SCALING, reasons.SUSPENDED,
     reasons.WAITING_FOR_DELETION}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """An Event to record."""

    type: str
    """Normal or Warning."""
    reason: str
    message: str


def event_for(previous: Body, current: Body) -> Event | None:
    """The Event for going from one status to another; None where Ready's reason is the same."""
    after = conditions.find(current.get("conditions") or (), conditions.READY)
    before = conditions.find(previous.get("conditions") or (), conditions.READY)
    if after is None or (before is not None and before["reason"] == after["reason"]):
        return None
    kind = "Normal" if after["reason"] in _NORMAL else "Warning"
    return Event(kind, after["reason"], after["message"])


async def record(client: Client, key: Key, uid: str, event: Event) -> None:
    """Record an Event about a RiskPredictor. Best effort: a lost Event changes nothing."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": api.EVENT.api_version,
        "kind": api.EVENT.kind,
        "metadata": {"name": f"{key.name}.{uuid.uuid4().hex[:16]}", "namespace": key.namespace},
        "involvedObject": {
            "apiVersion": api.RISKPREDICTOR.api_version,
            "kind": api.KIND,
            "name": key.name,
            "namespace": key.namespace,
            "uid": uid,
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:MESSAGE_LIMIT],
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "source": {"component": api.FIELD_MANAGER},
        "reportingComponent": f"{api.GROUP}/{api.FIELD_MANAGER}",
    }
    try:
        await client.create(api.EVENT, body)
    except ApiError as error:
        logger.info("%s: Event %s not recorded: %s", key, event.reason, error)
