"""Conditions: their types, and how a new set of them replaces the stored one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from riskpredictor_operator.kube import Body

READY: Final = "Ready"
"""What is declared is what runs: the version, in at least the declared number of pods."""
AVAILABLE: Final = "Available"
"""At least one pod answers, and the Service leads to it."""
AUTOSCALING: Final = "Autoscaling"
"""The number of pods follows the load."""
RECONCILING: Final = "Reconciling"
"""Work is under way; exists only while True (kstatus)."""
STALLED: Final = "Stalled"
"""Nothing will change without a person; exists only while True (kstatus)."""
CANDIDATE_ACCEPTED: Final = "CandidateAccepted"
"""What the gates say of the candidate that the pods hold; exists only while they hold one."""

MESSAGE_LIMIT = 4096
"""Characters of a message. Those of others, which messages quote, may be longer than that."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why something is as it is, good or bad: reason and message of a condition or Event."""

    reason: str
    """One of ``reasons``."""
    message: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, without the bookkeeping that ``merge`` adds."""

    type: str
    status: str
    """True, False or Unknown."""
    reason: str
    message: str


def merge(
    previous: Iterable[Body], current: Iterable[Condition], generation: int, now: str
) -> list[dict[str, Any]]:
    """The conditions to store. A transition time moves only when the status flips.

    Args:
        previous: conditions as stored.
        current: conditions as they are now; a stored one that is not among them is dropped.
        generation: the ``metadata.generation`` that they describe.
        now: RFC 3339 time.
    """
    before = {condition["type"]: condition for condition in previous}
    return [
        {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason,
            "message": shortened(condition.message, MESSAGE_LIMIT),
            "observedGeneration": generation,
            "lastTransitionTime": _transition_time(before.get(condition.type), condition, now),
        }
        for condition in current
    ]


def _transition_time(before: Body | None, condition: Condition, now: str) -> str:
    if before is not None and before["status"] == condition.status:
        return str(before["lastTransitionTime"])
    return now


def shortened(message: str, limit: int) -> str:
    """The message, cut with an ellipsis where it is longer than so many characters."""
    return message if len(message) <= limit else f"{message[: limit - 1]}…"


def some(names: Sequence[str], most: int) -> str:
    """So many of the names, comma-separated, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def find(conditions: Iterable[Body], name: str) -> Body | None:
    """The stored condition of a type, or None."""
    return next((dict(c) for c in conditions if c["type"] == name), None)


def in_status(status: Body | None, name: str) -> Body:
    """The condition of a type in the status of any object; empty if there is none."""
    return find((status or {}).get("conditions") or (), name) or {}
