"""``spec.rollout`` and ``spec.shadow`` as typed data: how a change of the model is made."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from riskpredictor_operator.core.model import Model, parse_model
from riskpredictor_operator.core.reading import (
    SpecError,
    number,
    optional,
    required,
    without_nulls,
)
from riskpredictor_operator.kube import Body

PROGRESSIVE: Final = "Progressive"
NEVER_LOWER: Final = "NeverLower"
HOLD: Final = "Hold"


@dataclass(frozen=True, slots=True)
class ShadowStep:
    """The first step, in which the candidate answers nobody."""

    min_pairs: int
    """Distinct inputs that both models have scored at least."""
    min_seconds: float
    sample: float
    """Percentage of the requests that the candidate scores, too."""


@dataclass(frozen=True, slots=True)
class Step:
    """A canary step, in which the candidate answers a share of the requests."""

    percent: float
    min_pairs: int
    """Pairs since this step began."""
    min_seconds: float


@dataclass(frozen=True, slots=True)
class Gates:
    """Limits that a candidate has to keep. Percentages are of pairs; 100 switches one off."""

    cases: str | None
    """ConfigMap with the hospital's own cases."""
    max_downgrade_percent: float
    max_severe_downgrade_percent: float
    max_missed_high_percent: float
    max_upgrade_percent: float
    max_class_shift_percent: float
    max_brier_increase: float
    max_candidate_errors: int
    confidence_percent: float


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """How the model is changed."""

    strategy: str
    """RollingUpdate or Progressive."""
    shadow: ShadowStep
    steps: tuple[Step, ...]
    subject_header: str | None
    guard: str
    """NeverLower or None."""
    gates: Gates
    approval_required: bool
    approval_digest: str | None
    deadline_seconds: float
    on_inconclusive: str
    """Hold or Abort."""
    retry: str
    digest: str
    """``sha256:`` and that of the canonical JSON of ``spec.rollout`` without approval and retry."""

    @property
    def progressive(self) -> bool:
        """Whether a change of the model has to pass the gates."""
        return self.strategy == PROGRESSIVE


@dataclass(frozen=True, slots=True)
class ShadowSpec:
    """A candidate that never answers and is never promoted."""

    version: str
    model: Model | None


def parse_rollout(spec: Body) -> RolloutPolicy:
    """How a spec wants the model to be changed.

    Raises:
        SpecError: a field is missing, of another type or unusable; names its path.
    """
    rollout = required(spec, "rollout", dict)
    path = "spec.rollout"
    canary = required(rollout, "canary", dict, path)
    approval = required(rollout, "approval", dict, path)
    return RolloutPolicy(
        strategy=required(rollout, "strategy", str, path),
        shadow=_shadow_step(required(rollout, "shadow", dict, path)),
        steps=tuple(
            _step(step, f"{path}.canary.steps[{index}]")
            for index, step in enumerate(required(canary, "steps", list, f"{path}.canary"))
        ),
        subject_header=optional(canary, "subjectHeader", str, f"{path}.canary"),
        guard=required(canary, "guard", str, f"{path}.canary"),
        gates=_gates(required(rollout, "gates", dict, path)),
        approval_required=required(approval, "required", bool, f"{path}.approval"),
        approval_digest=optional(approval, "digest", str, f"{path}.approval") or None,
        deadline_seconds=_seconds(rollout, "deadline", path),
        on_inconclusive=required(rollout, "onInconclusive", str, path),
        retry=required(rollout, "retry", str, path),
        digest=_digest(rollout),
    )


def parse_shadow(spec: Body) -> ShadowSpec | None:
    """The model that a spec wants to be compared; None if there is none.

    Raises:
        SpecError: a field is missing, of another type or unusable; names its path.
    """
    shadow = optional(spec, "shadow", dict)
    if shadow is None:
        return None
    path = "spec.shadow"
    return ShadowSpec(required(shadow, "modelVersion", str, path), parse_model(shadow, path))


def _shadow_step(shadow: Body) -> ShadowStep:
    path = "spec.rollout.shadow"
    return ShadowStep(
        min_pairs=required(shadow, "minPairs", int, path),
        min_seconds=_seconds(shadow, "minDuration", path),
        sample=number(shadow, "sample", path),
    )


def _step(step: Any, path: str) -> Step:
    if not isinstance(step, Mapping):
        raise SpecError(path, "must be a step such as {percent: 10}")
    return Step(
        percent=number(step, "percent", path),
        min_pairs=required(step, "minPairs", int, path),
        min_seconds=_seconds(step, "minDuration", path),
    )


def _gates(gates: Body) -> Gates:
    path = "spec.rollout.gates"
    cases = optional(gates, "cases", dict, path)
    return Gates(
        cases=None if cases is None else required(cases, "configMap", str, f"{path}.cases"),
        max_downgrade_percent=number(gates, "maxDowngradePercent", path),
        max_severe_downgrade_percent=number(gates, "maxSevereDowngradePercent", path),
        max_missed_high_percent=number(gates, "maxMissedHighPercent", path),
        max_upgrade_percent=number(gates, "maxUpgradePercent", path),
        max_class_shift_percent=number(gates, "maxClassShiftPercent", path),
        max_brier_increase=number(gates, "maxBrierIncrease", path),
        max_candidate_errors=required(gates, "maxCandidateErrors", int, path),
        confidence_percent=number(gates, "confidencePercent", path),
    )


_DURATION = re.compile(
    "(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?", re.ASCII
)
_UNITS = (86400, 3600, 60, 1)
"""Seconds of a day, an hour, a minute and a second."""


def _seconds(parent: Body, name: str, path: str) -> float:
    """A duration such as ``7d`` or ``1h30m``."""
    text = required(parent, name, str, path)
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise SpecError(
            f"{path}.{name}", f"{text!r} is not a duration; write for example 7d or 1h30m"
        )
    amounts = (int(amount or 0) for amount in found.groups())
    return float(sum(amount * unit for amount, unit in zip(amounts, _UNITS, strict=True)))


_BESIDE_THE_POLICY = frozenset({"approval", "retry"})
"""Fields of ``spec.rollout`` that say nothing about how a candidate is judged."""


def _digest(rollout: Body) -> str:
    policy = {name: part for name, part in rollout.items() if name not in _BESIDE_THE_POLICY}
    text = json.dumps(_plain(without_nulls(policy)), separators=(",", ":"), sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _plain(value: Any) -> Any:
    """A copy in which a whole number has no fraction: 10.0 and 10 are the same in JSON."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
