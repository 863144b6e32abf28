"""Changes of the model in a status: the one under way, and those that have ended.

``spec.rollout.strategy: Progressive`` makes them, and ``spec.shadow`` a comparison without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from riskpredictor_kubectl import names
from riskpredictor_kubectl.names import Body

SHADOW: Final = "Shadow"
CANARY: Final = "Canary"
AWAITING_APPROVAL: Final = "AwaitingApproval"
PROMOTING: Final = "Promoting"
ABORTED: Final = "Aborted"
OBSERVING: Final = "Observing"
"""The comparison of ``spec.shadow``, which is never promoted."""


@dataclass(frozen=True)
class Model:
    """One of the two models of a change."""

    version: str = ""
    digest: str = ""
    """Empty where it is in an image and no pod has told it."""
    image: str = ""
    """Image of the server for it."""


@dataclass(frozen=True)
class Gate:
    """What came of one gate; the texts are the operator's."""

    name: str
    state: str
    """``Passed``, ``Pending``, ``Failed`` or ``NotApplicable``."""
    observed: str
    bound: str
    """What the true value is between."""
    limit: str


@dataclass(frozen=True)
class Evidence:
    """What the pods have counted."""

    pairs: int = 0
    """Distinct inputs that both models have scored."""
    matrix: tuple[tuple[int, ...], ...] = ()
    """Pairs by the level of the former model (rows) and of the new one (columns), by ascending
    risk."""
    levels: tuple[str, ...] = ()
    answered: int = 0
    """Answers of the new model."""
    withheld: int = 0
    """Answers of the new model that the guard held back, because they were lower."""
    errors: int = 0
    """Requests that the new model failed to score, or not in time."""
    pods: int = 0
    at: str = ""


@dataclass(frozen=True)
class Change:
    """One change of the model, or one comparison without end. Times are RFC 3339."""

    state: str
    """The phase of one under way, the outcome of one that has ended."""
    before: Model
    """The model that served."""
    after: Model
    """The model on trial."""
    id: str = ""
    step: str = ""
    percent: float = 0.0
    """Of the requests that the new model answers."""
    started: str = ""
    step_started: str = ""
    step_pairs: int = 0
    """Pairs when the step began."""
    deadline: str = ""
    ended: str = ""
    """Empty while it is under way."""
    evidence: Evidence = Evidence()
    gates: tuple[Gate, ...] = ()
    cases: str = ""
    """Digest of the hospital's own cases; empty where there are none."""
    policy_digest: str = ""
    """Of ``spec.rollout`` without approval and retry."""
    generation: int = 0
    """Of the RiskPredictor that declared it."""
    manager: str = ""
    """Field manager that wrote ``spec.modelVersion``."""
    change_ref: str = ""
    approval: str = ""
    """Digest by which a person approved it in ``spec.rollout.approval``."""
    retry: str = ""
    """Word of ``spec.rollout.retry``."""
    reason: str = ""
    message: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it can still lead to a promotion, and can be aborted."""
        return not self.ended and self.state not in (ABORTED, OBSERVING)

    @property
    def counted(self) -> int:
        """Pairs of the present step."""
        return self.evidence.pairs - self.step_pairs


def current(predictor: Body) -> Change | None:
    """The change of ``status.rollout``: under way, observed, or aborted and still declared."""
    status, spec = predictor.get("status") or {}, predictor["spec"]
    rollout = status.get("rollout")
    if not rollout:
        return None
    annotations = predictor["metadata"].get("annotations") or {}
    policy = spec.get("rollout") or {}
    candidate = _model(rollout.get("candidate"))
    approval = (policy.get("approval") or {}).get("digest") or ""
    return Change(
        state=rollout["phase"],
        before=_model(rollout.get("stable")),
        after=candidate,
        id=rollout.get("id", ""),
        step=rollout.get("step", ""),
        percent=rollout.get("percent", 0.0),
        step_started=rollout.get("stepStartedAt", ""),
        step_pairs=rollout.get("stepPairs", 0),
        deadline=rollout.get("deadlineAt", ""),
        generation=rollout.get("generation") or predictor["metadata"].get("generation", 0),
        manager=_manager(predictor),
        change_ref=annotations.get(names.ANNOTATION_CHANGE_REF, ""),
        approval=approval if approval == candidate.digest else "",
        retry=policy.get("retry", ""),
        **_common(rollout),
    )


def past(predictor: Body) -> list[Change]:
    """The changes of ``status.history``, the latest first."""
    entries = (predictor.get("status") or {}).get("history") or ()
    return [
        Change(
            state=entry["outcome"],
            before=_model(entry.get("from")),
            after=_model(entry),
            ended=entry.get("at", ""),
            generation=entry.get("generation", 0),
            manager=entry.get("manager", ""),
            change_ref=entry.get("changeRef", ""),
            approval=entry.get("approval", ""),
            retry=entry.get("retry", ""),
            **_common(entry),
        )
        for entry in entries
    ]


def _common(entry: Body) -> dict[str, Any]:
    """What ``status.rollout`` and an entry of the history have under the same names."""
    return {
        "started": entry.get("startedAt", ""),
        "evidence": _evidence(entry),
        "gates": tuple(
            Gate(*(gate.get(name, "") for name in ("name", "state", "observed", "bound", "limit")))
            for gate in entry.get("gates") or ()
        ),
        "cases": (entry.get("cases") or {}).get("digest", ""),
        "policy_digest": entry.get("policyDigest", ""),
        "reason": entry.get("reason", ""),
        "message": entry.get("message", ""),
    }


def _model(entry: Mapping[str, Any] | None) -> Model:
    found = entry or {}
    return Model(*(found.get(name) or "" for name in ("version", "digest", "image")))


def _evidence(entry: Body) -> Evidence:
    found = entry.get("evidence") or {}
    matrix = tuple(map(tuple, found.get("matrix") or ()))
    # Only as many names as there are rows: those of a status that was cut are no levels.
    levels = tuple(entry.get("levels") or ())
    return Evidence(
        pairs=found.get("pairs", 0),
        matrix=matrix,
        levels=levels if len(levels) == len(matrix) else tuple(map(str, range(1, 1 + len(matrix)))),
        answered=found.get("answered", 0),
        withheld=found.get("withheld", 0),
        errors=found.get("errors", 0),
        pods=found.get("pods", 0),
        at=found.get("at", ""),
    )


def _manager(predictor: Body) -> str:
    """Who set ``spec.modelVersion`` last, by the API server's own bookkeeping."""
    claims = [
        (entry.get("time", ""), entry.get("manager", ""))
        for entry in predictor["metadata"].get("managedFields") or ()
        if "f:modelVersion" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return str(max(claims)[1]) if claims else ""
