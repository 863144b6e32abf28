"""``spec.rollout`` and ``spec.shadow`` as typed data: how a change of the model is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from riskpredictor_operator.core.model import Model

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
