"""What serving needs of a model, whatever kind it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from riskpredictor_server.model.schema import Values

Probabilities = tuple[float, ...]
"""Per level, in ascending order of risk; they add up to 1."""
Contributions = tuple[float, ...]
"""Per feature, in the order of the schema, its share of ln(P(highest level) / P(lowest level))."""


class Scored(NamedTuple):
    """The score of one record.

    ``contributions`` is None for a model that has no exact decomposition by feature.
    """

    probabilities: Probabilities
    contributions: Contributions | None


class ScoredMany(NamedTuple):
    """The scores of a batch: an object per record would double the cost."""

    probabilities: Sequence[Probabilities]
    contributions: Sequence[Contributions] | None


class Scorer(Protocol):
    """Turns checked records into probabilities."""

    explains: bool
    """Whether scores have contributions."""

    def score(self, values: Values) -> Scored:
        """Score one record."""
        ...

    def score_many(self, rows: Sequence[Values]) -> ScoredMany:
        """Score one or more records; the same results as :meth:`score` row by row."""
        ...
