"""Why a RiskPredictor is not ready or does not scale, and what to do about it.

``reasons.json`` says what each of the operator's reasons means; ``make reference`` makes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from riskpredictor_kubectl.names import Body, condition

REASONS: Final[Body] = json.loads(
    Path(__file__).with_name("reasons.json").read_text(encoding="utf-8")
)["reasons"]

NOT_SEEN: Final = "NotSeen"
"""A reason of the plug-in, not of the operator: the status is not about the present spec."""
_UNSEEN: Final = "The operator has not looked at it yet."
_STALE: Final = (
    "The operator has not yet looked at the present spec; what is shown is about an older one."
)
_NOT_SEEN_ADVICE: Final = {
    "steps": ["If it lasts, see whether the operator runs and watches this namespace."],
    "commands": [
        "kubectl get pods -A -l app.kubernetes.io/name=riskpredictor-operator",
        "kubectl logs -n riskpredictor-system -l app.kubernetes.io/name=riskpredictor-operator",
    ],
}
_UNKNOWN_ADVICE: Final = {
    "meaning": "",
    "steps": ["Update the plug-in: it does not know this reason of a newer operator."],
    "commands": [],
}


@dataclass(frozen=True)
class Finding:
    """Why a RiskPredictor is not ready or does not scale, and what to do about it."""

    title: str
    reason: str
    message: str
    """The message of the condition."""
    meaning: str
    """What the reason means in general."""
    steps: tuple[str, ...]
    commands: tuple[str, ...]


def is_current(predictor: Body) -> bool:
    """Whether the status is about the present spec."""
    status = predictor.get("status") or {}
    return bool(status.get("observedGeneration", -1) == predictor["metadata"]["generation"])


def readiness(predictor: Body) -> tuple[str, str, str]:
    """Ready's status, reason and message; Unknown while the operator has not seen the spec."""
    ready = condition(predictor, "Ready")
    if not ready:
        return "Unknown", NOT_SEEN, _UNSEEN
    if not is_current(predictor):
        return "Unknown", NOT_SEEN, _STALE
    return ready["status"], ready["reason"], ready["message"]


def findings(predictor: Body) -> list[Finding]:
    """Why it is not ready, and why it does not scale; empty if all is well."""
    found = []
    status, reason, message = readiness(predictor)
    if status != "True":
        title = "Not ready" if status == "False" else "Not known to be ready"
        found.append(_finding(predictor, title, reason, message))
    scaling = condition(predictor, "Autoscaling")
    # A fixed size needs no advice.
    if scaling.get("status") == "False" and scaling["reason"] not in ("FixedSize", reason):
        found.append(_finding(predictor, "Not scaling", scaling["reason"], scaling["message"]))
    return found


def _finding(predictor: Body, title: str, reason: str, message: str) -> Finding:
    advice = REASONS.get(reason, _UNKNOWN_ADVICE)
    if reason == NOT_SEEN:
        advice = {"meaning": message, **_NOT_SEEN_ADVICE}
    metadata = predictor["metadata"]
    commands = tuple(
        command.replace("NAMESPACE", metadata["namespace"]).replace("NAME", metadata["name"])
        for command in advice["commands"]
    )
    return Finding(title, reason, message, advice["meaning"], tuple(advice["steps"]), commands)
