"""Kubernetes Events, shown by ``kubectl describe``: one for each change of Ready's reason, and of
Autoscaling's where an autoscaler begins or ends to want pods that it does not get; and those of a
change of the model."""

from __future__ import annotations

import datetime
import logging
import uuid
from dataclasses import dataclass

from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.core.change import events as change_events
from riskpredictor_operator.kube import ApiError, Body, Key
from riskpredictor_operator.runtime.client import Client

logger = logging.getLogger(__name__)

MESSAGE_LIMIT = 1024
"""Characters that the API server accepts in an Event's message."""

_NORMAL = frozenset(
    {reasons.READY, reasons.ROLLING_OUT, reasons.SCALING, reasons.SUSPENDED,
     reasons.WAITING_FOR_DELETION, reasons.SCALING_ACTIVE, reasons.EXTERNAL_AUTOSCALER,
     reasons.AWAITING_AUTOSCALER, reasons.AWAITING_PODS, reasons.FIXED_SIZE, reasons.SHADOWING,
     reasons.CANARY_RUNNING, reasons.PROMOTING, reasons.INSUFFICIENT_DATA,
     reasons.AWAITING_APPROVAL, reasons.ROLLOUT_STARTED, reasons.STEP_REACHED,
     reasons.ROLLOUT_PROMOTED, reasons.ROLLOUT_REVERTED, reasons.SUPERSEDED, reasons.GATES_CHANGED}
)  # fmt: skip
_OF_A_CHANGE = frozenset(
    {reasons.SHADOWING, reasons.CANARY_RUNNING, reasons.PROMOTING, reasons.AWAITING_APPROVAL,
     reasons.ROLLOUT_ABORTED}
)  # fmt: skip
_TELL_MORE = frozenset({reasons.ROLLOUT_STARTED, reasons.STEP_REACHED, reasons.ROLLOUT_ABORTED})
"""Events of a change of the model beside which reasons of Ready are no news: ``_OF_A_CHANGE``."""
_SHORTAGES = frozenset({reasons.AT_CAPACITY, reasons.PODS_MISSING})


@dataclass(frozen=True, slots=True)
class Event:
    """An Event to record."""

    type: str
    """Normal or Warning."""
    reason: str
    message: str


def events_for(previous: Body, current: Body) -> list[Event]:
    """The Events for going from one status to another."""
    before, after = _told(previous), _told(current)
    of_change = [
        Event(_kind(told.reason), told.reason, told.message)
        for told in change_events.of(previous, current)
    ]
    told_elsewhere = _OF_A_CHANGE if {e.reason for e in of_change} & _TELL_MORE else frozenset()
    return [
        *(
            Event(_kind(condition["reason"]), condition["reason"], condition["message"])
            for name, condition in after.items()
            if _is_news(name, before.get(name, {}).get("reason", ""), condition["reason"])
            and condition["reason"] not in told_elsewhere
        ),
        *of_change,
    ]


def _kind(reason: str) -> str:
    return "Normal" if reason in _NORMAL else "Warning"


def _told(status: Body) -> dict[str, Body]:
    """The conditions whose reasons are told."""
    every = status.get("conditions") or ()
    told = (conditions.READY, conditions.AUTOSCALING)
    return {name: found for name in told if (found := conditions.find(every, name)) is not None}


def _is_news(name: str, before: str, after: str) -> bool:
    """Whether a change of a condition's reason is worth an Event."""
    return before != after and (name == conditions.READY or bool({before, after} & _SHORTAGES))


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
        "message": conditions.shortened(event.message, MESSAGE_LIMIT),
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
