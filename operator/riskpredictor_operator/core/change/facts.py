"""What a pass knows about a change besides its state."""

from __future__ import annotations

from dataclasses import dataclass

from riskpredictor_operator.core.change import evidence as pods_say
from riskpredictor_operator.core.change.evidence import Counts, Evidence, PodReport
from riskpredictor_operator.core.change.gates import GateResult, evaluate
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.policy import Gates


@dataclass(frozen=True, slots=True)
class Facts:
    """What a pass found of the pods."""

    settled: bool
    """All pods are made of what was rendered in this pass, and enough of them are available."""
    wanted: int = 0
    ready: int = 0
    trouble: Explanation | None = None
    """Why pods do not come up."""
    stalled: bool = False
    """The trouble has lasted for the progress deadline, or no waiting helps."""
    unavailable_seconds: float = 0.0
    """How long no pod has answered, by the Deployment."""
    abort_id: str = ""
    """The annotation ``healthtech.dev/abort`` of the RiskPredictor."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the pods have counted by now, and what the gates say of it."""

    evidence: Evidence
    total: Counts
    levels: tuple[str, ...]
    gates: tuple[GateResult, ...]

    @property
    def reports(self) -> tuple[PodReport, ...]:
        """What each pod answers."""
        return self.evidence.reports

    @property
    def is_comparable(self) -> bool:
        """Whether the candidate can be compared with the stable model, as far as is known: one pod
        that cannot, among others that can, is no reason to do without."""
        states = {each.state for each in self.reports}
        return states != {pods_say.NOT_COMPARABLE}

    def in_state(self, state: str) -> list[PodReport]:
        """The reports whose candidate is in a state."""
        return [each for each in self.reports if each.state == state]


def look_at(evidence: Evidence, limits: Gates, levels: tuple[str, ...]) -> Look:
    """Evaluate the gates.

    Args:
        evidence: of the comparison in question.
        limits: the gates that are declared.
        levels: as they were known before, for a moment in which no pod answers.
    """
    total = evidence.total
    levels = next((each.levels for each in evidence.reports), levels)
    if total.matrix and len(total.matrix) != len(levels):
        levels = ()  # They are of the status, which somebody has edited.
    results = evaluate(limits, total, evidence.reports, levels) if levels else ()
    return Look(evidence, total, levels, results)
