"""Which Events a change of status is worth: one when the reason of Ready changes."""

from __future__ import annotations

from dataclasses import dataclass

from riskpredictor_operator.core import conditions, reasons
from riskpredictor_operator.core.api import Body

_NORMAL = frozenset(
    {reasons.READY, reasons.ROLLING_OUT, reasons.SCALING, reasons.SUSPENDED,
     reasons.WAITING_FOR_DELETION}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Transition:
    """An Event to record."""

    type: str
    """Normal or Warning."""
    reason: str
    message: str


def transition(previous: Body, current: Body) -> Transition | None:
    """The Event for going from one status to another; None where Ready's reason stayed."""
    after = conditions.find(current.get("conditions") or (), conditions.READY)
    before = conditions.find(previous.get("conditions") or (), conditions.READY)
    if after is None or (before is not None and before["reason"] == after["reason"]):
        return None
    kind = "Normal" if after["reason"] in _NORMAL else "Warning"
    return Transition(kind, after["reason"], after["message"])
