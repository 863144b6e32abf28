"""What pods have counted while they compared two models: ``GET /rollout``, read and added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Matrix = tuple[tuple[int, ...], ...]
"""Pairs by level of the stable model (rows) and of the candidate (columns), in ascending order of
risk; empty before the first report."""

COMPARING: Final = "Comparing"
NOT_COMPARABLE: Final = "NotComparable"
UNUSABLE: Final = "Unusable"
SWITCHED_OFF: Final = "SwitchedOff"


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of one pod, or the sum of several."""

    matrix: Matrix = ()
    errors: int = 0
    """Requests that the candidate failed to score in time, or at all."""
    withheld: int = 0
    """Answers of the candidate that the guard held back."""
    answered: int = 0
    """Answers of the candidate."""

    @property
    def pairs(self) -> int:
        """Distinct inputs that both models have scored."""
        return sum(map(sum, self.matrix))

    def __add__(self, other: Counts) -> Counts:
        longer, shorter = sorted((self.matrix, other.matrix), key=len, reverse=True)
        matrix = longer
        if shorter:
            matrix = tuple(
                tuple(a + b for a, b in zip(row, beside, strict=True))
                for row, beside in zip(longer, shorter, strict=True)
            )
        return Counts(
            matrix,
            self.errors + other.errors,
            self.withheld + other.withheld,
            self.answered + other.answered,
        )


@dataclass(frozen=True, slots=True)
class Cases:
    """What came of the hospital's own cases."""

    digest: str
    """Of the file; empty where there is none."""
    passed: int
    failed: tuple[str, ...]
    """Their names."""


@dataclass(frozen=True, slots=True)
class PodReport:
    """What one pod answers to ``GET /rollout``."""

    pod: str
    instance: str
    rollout_id: str
    levels: tuple[str, ...]
    state: str
    reason: str
    message: str
    stable_digest: str
    candidate_version: str
    candidate_digest: str
    counts: Counts
    cases: Cases | None
    brier: tuple[float | None, float | None]
    """Brier scores on the cards of the stable model and of the candidate."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a comparison."""

    rollout_id: str
    reports: tuple[PodReport, ...]
    carried: Counts
    """Of pods that are gone."""
    unreachable: tuple[str, ...] = ()
    """Pods that have not answered for two minutes."""
    unaware: tuple[str, ...] = ()
    """Pods whose server knows no comparison: an older image."""

    @property
    def total(self) -> Counts:
        """All that was counted."""
        total = self.carried
        for report in self.reports:
            total = total + report.counts
        return total
