"""What the present step of a model change asks for, and what comes after it."""

from __future__ import annotations

from dataclasses import dataclass

from riskpredictor_kubectl.model_change import (
    ABORTED,
    AWAITING_APPROVAL,
    CANARY,
    OBSERVING,
    PROMOTING,
    SHADOW,
    Change,
)
from riskpredictor_kubectl.names import Body


@dataclass(frozen=True)
class Step:
    """What a step asks for before the next one."""

    pairs: int
    duration: str
    """At least, as in the spec: 30m."""


def needs(change: Change, spec: Body) -> Step | None:
    """What the present step asks for; None where it asks for no pairs."""
    if change.state not in (SHADOW, CANARY, AWAITING_APPROVAL):
        return None
    policy = spec.get("rollout") or {}
    reached = [step for step in _steps(policy) if step["percent"] <= change.percent]
    # The steps may be declared anew meanwhile: it is the last one that the share has reached.
    step = reached[-1] if change.percent and reached else policy.get("shadow") or {}
    return Step(step.get("minPairs", 0), step.get("minDuration", ""))


def what_follows(change: Change, spec: Body) -> str:
    """What comes after the present step, for people."""
    policy = spec.get("rollout") or {}
    new = change.after.version
    if change.state == OBSERVING:
        return f"nothing: {new} is compared until spec.shadow names another model or none"
    if change.state == ABORTED:
        return "nothing by itself"
    if change.state == PROMOTING:
        return f"{new} alone answers, once all pods are replaced"
    if change.state == AWAITING_APPROVAL:
        return (
            f"promotion, once spec.rollout.approval.digest in Git is {change.after.digest or new}"
        )
    for step in _steps(policy):
        if step["percent"] > change.percent:
            return f"{new} answers {step['percent']:g} % of the requests"
    wanted = (policy.get("approval") or {}).get("required") and not change.approval
    return "approval in Git (spec.rollout.approval.digest)" if wanted else f"promotion of {new}"


def _steps(policy: Body) -> list[Body]:
    return list((policy.get("canary") or {}).get("steps") or ())
