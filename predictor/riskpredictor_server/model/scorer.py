"""What serving needs of a model, whatever kind it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from riskpredictor_server.model.vitals import Values

Contributions = tuple[float, float, float, float]
"""Per vital, in the order of VITALS, its share of ln(P(High) / P(Low))."""


class Scored(NamedTuple):
    """The score of one record: probabilities of Low, Medium and High, which add up to 1.

    ``contributions`` is None for a model that has no exact decomposition by vital.
    """

    probabilities: tuple[float, float, float]
    contributions: Contributions | None


class ScoredMany(NamedTuple):
    """The scores of a batch, column by column: an object per record would double the cost."""

    low: Sequence[float]
    medium: Sequence[float]
    high: Sequence[float]
    contributions: Sequence[Contributions] | None


class Scorer(Protocol):
    """Turns checked vitals into probabilities."""

    explains: bool
    """Whether scores have contributions."""

    def score(self, values: Values) -> Scored:
        """Score one record."""
        ...

    def score_many(self, rows: Sequence[Values]) -> ScoredMany:
        """Score one or more records; the same results as :meth:`score` row by row."""
        ...
