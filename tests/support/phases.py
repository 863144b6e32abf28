"""A RiskPredictor in each phase of a change of its model, as the operator's status tells it."""

from __future__ import annotations

from typing import Any

NOW = "2026-01-01T00:00:00Z"

STEPS = {
    "Observing": "Shadow",
    "Shadow": "Shadow",
    "Canary": "Canary 10%",
    "AwaitingApproval": "Awaiting approval",
    "Promoting": "Promoting",
    "Aborted": "Aborted",
}
"""Phases, each with the step that people see."""
REASONS = {
    "Observing": "Ready",
    "Shadow": "Shadowing",
    "Canary": "CanaryRunning",
    "AwaitingApproval": "AwaitingApproval",
    "Promoting": "Promoting",
    "Aborted": "RolloutAborted",
}
"""Phases, each with the reason of Ready."""
MESSAGE = "Told by the operator."


def status(phase: str, *, overdue: bool = False) -> dict[str, Any]:
    """``status`` of a RiskPredictor of generation 1 that compares v2 with v1.

    Args:
        phase: one of STEPS.
        overdue: whether the deadline of the roll-out is over.
    """
    ready = "True" if phase == "Observing" else "False"
    abnormal = "Stalled" if phase == "Aborted" or overdue else "Reconciling"
    types = {"Ready": ready, **({abnormal: "True"} if ready == "False" else {})}
    conditions = [
        {"type": name, "status": state, "reason": REASONS[phase], "message": MESSAGE,
         "observedGeneration": 1, "lastTransitionTime": NOW}
        for name, state in types.items()
    ]  # fmt: skip
    return {
        "observedGeneration": 1,
        "servingVersion": "v1",
        "conditions": conditions,
        "rollout": {
            "id": "0123456789ab",
            "phase": phase,
            "step": STEPS[phase],
            "percent": 10 if phase == "Canary" else 0,
            "stable": {"version": "v1", "image": "health-predictor:v1"},
            "candidate": {
                "version": "v2", "digest": f"sha256:{2:064x}", "image": "health-predictor:v2",
            },
            "policyDigest": f"sha256:{3:064x}",
            "startedAt": NOW,
            "stepStartedAt": NOW,
            "deadlineAt": NOW,
            "evidence": {
                "pairs": 2304,
                "matrix": [[1702, 11, 0], [9, 430, 7], [0, 3, 142]],
                "errors": 0, "withheld": 1, "answered": 228, "pods": 2, "at": NOW,
            },
            "levels": ["Low", "Medium", "High"],
        },
    }  # fmt: skip
