"""Chooses the terms of a schema's features, and the constraints that keep a declared direction.

A feature whose risk is declared becomes chains of terms. Outwards along a chain, away from where
the feature is normal, each term adds to the slope of the ones before it; the constraint is that the
slope of every segment, the sum so far, is none that lowers the risk (see ``monotone.py``).

- A number that rises outside of a band: hinges at the band's edge and in the middle of what lies
  beyond, on each side. Inside of the band nothing changes.
- One that rises or falls: its value, and hinges at the median and the outermost tenth on the side
  of risk.
- A boolean or a category in ascending order: an indicator per value but the least risky. The steps
  between successive values are constrained.
- Without a declaration: the value and hinges at the quantiles 0.1, 0.5 and 0.9 (the knots that
  Harrell, Regression Modeling Strategies, 2015, table 2.3, takes for three), an indicator per
  value, without a constraint.
- A feature that may be left out also has an indicator of that, where the caller wants it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from riskpredictor_server.model.schema import Feature, Risk, Schema, Values
from riskpredictor_server.training.features import Term

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUANTILES: Final = (0.1, 0.5, 0.9)
_TAIL: Final = 20
"""Fewest records beyond a band's edge that earn a second hinge there."""
MIN_LEFT_OUT: Final = 10
"""Fewest records with and without a feature from which the indicator of missing can be learned."""


@dataclass(frozen=True)
class Chain:
    """Successive terms of a feature, outwards from where it is normal.

    ``signs`` are -1 for a term that grows against the direction of risk. With ``steps`` the terms
    are indicators of successive values, of which one is 1: then the weights themselves must not
    fall, not their sums. A chain that is not ``bounded`` has no constraint.
    """

    terms: tuple[Term, ...]
    signs: tuple[float, ...]
    bounded: bool
    steps: bool = False

    def block(self, scales: NDArray[np.float64]) -> NDArray[np.float64]:
        """The matrix that turns the slopes of segments, 0 or more, into gaps of scaled terms."""
        size = len(self.terms)
        if not self.bounded:
            return np.eye(size)
        weights = np.asarray(self.signs) * scales
        if self.steps:
            return weights[:, None] * np.tril(np.ones((size, size)))
        return weights[:, None] * (np.eye(size) - np.eye(size, k=-1))


def fills_of(schema: Schema, rows: Sequence[Values]) -> dict[str, Any]:
    """Per feature that may be left out, what is scored instead: median or most frequent value.

    Of a feature that no record has, the middle of its range or its first value.
    """
    fills: dict[str, Any] = {}
    for feature, column in zip(schema.features, zip(*rows, strict=True), strict=True):
        known = [value for value in column if value is not None]
        if feature.required:
            continue
        if feature.is_numeric:
            fills[feature.name] = (
                median(known) if known else (feature.minimum + feature.maximum) / 2
            )
        else:
            counts = Counter(known)
            fills[feature.name] = max(feature.choices, key=lambda value: counts[value])
    return fills


def chains_of(
    schema: Schema, rows: Sequence[Values], *, indicators: Sequence[str] = ()
) -> tuple[Chain, ...]:
    """Choose the terms of every feature; ``indicators`` names those with one of being left out."""
    chains: list[Chain] = []
    for feature, column in zip(schema.features, zip(*rows, strict=True), strict=True):
        known = [value for value in column if value is not None]
        if feature.is_numeric:
            chains += _numeric(feature, np.array(known, dtype=float))
        else:
            chains.append(_chosen(feature))
        if feature.name in indicators:
            chains.append(_free([Term(feature.name, "missing")]))
    return tuple(chains)


def chains_of_terms(schema: Schema, terms: Sequence[Term]) -> tuple[Chain, ...]:
    """Arrange the given hinges, one or more per feature, as chains along the declared risk."""
    chains = []
    for feature in schema.features:
        for kind in ("below", "above"):
            mine = [term for term in terms if (term.feature, term.kind) == (feature.name, kind)]
            if mine:
                mine.sort(key=lambda term: term.at, reverse=kind == "below")
                chains.append(Chain(tuple(mine), (1.0,) * len(mine), bounded=True))
    return tuple(chains)


def left_out_often(schema: Schema, rows: Sequence[Values]) -> tuple[str, ...]:
    """Features of which there are enough records with and without them to learn from both."""
    counts = [sum(value is None for value in column) for column in zip(*rows, strict=True)]
    return tuple(
        feature.name
        for feature, count in zip(schema.features, counts, strict=True)
        if MIN_LEFT_OUT <= count <= len(rows) - MIN_LEFT_OUT
    )


def _free(terms: Sequence[Term]) -> Chain:
    return Chain(tuple(terms), (1.0,) * len(terms), bounded=False)


def _numeric(feature: Feature, known: NDArray[np.float64]) -> list[Chain]:
    if not len(known) or known.min() == known.max():
        return []
    risk = feature.risk
    if risk and risk.band:
        return [
            _tail(feature, known, side, edge)
            for side, edge in zip(("below", "above"), risk.band, strict=True)
            if (known < edge if side == "below" else known > edge).any()
        ]
    knots = _knots(known, _QUANTILES)
    value = Term(feature.name, "value")
    if risk is None:
        return [_free([value, *(Term(feature.name, "above", knot) for knot in knots)])]
    return [_directed(feature, value, risk, known)]


def _directed(feature: Feature, value: Term, risk: Risk, known: NDArray[np.float64]) -> Chain:
    if risk.rises:
        hinges = [Term(feature.name, "above", knot) for knot in _knots(known, (0.5, 0.9))]
    else:
        hinges = [Term(feature.name, "below", knot) for knot in _knots(known, (0.1, 0.5))[::-1]]
    sign = 1.0 if risk.rises else -1.0
    return Chain((value, *hinges), (sign, *(1.0 for _ in hinges)), bounded=True)


def _tail(feature: Feature, known: NDArray[np.float64], side: Any, edge: float) -> Chain:
    beyond = known[known < edge] if side == "below" else known[known > edge]
    knots = [edge]
    if len(beyond) >= _TAIL:
        knots += [knot for knot in _knots(beyond, (0.5,)) if knot != edge]
    terms = tuple(Term(feature.name, side, knot) for knot in knots)
    return Chain(terms, (1.0,) * len(terms), bounded=True)


def _knots(known: NDArray[np.float64], quantiles: Sequence[float]) -> list[float]:
    """Different quantiles in ascending order, with data on both sides of each."""
    low, high = known.min(), known.max()
    found = {float(f"{knot:.6g}") for knot in np.quantile(known, quantiles)}
    return sorted(knot for knot in found if low < knot < high)


def _chosen(feature: Feature) -> Chain:
    values = feature.choices
    if feature.risk is None:
        # A boolean is told by one indicator; the values of a category are treated alike.
        shown = values[1:] if feature.type == "boolean" else values
        return _free([Term(feature.name, "equals", value) for value in shown])
    ascending = values if feature.risk.rises else values[::-1]
    terms = tuple(Term(feature.name, "equals", value) for value in ascending[1:])
    return Chain(terms, (1.0,) * len(terms), bounded=True, steps=True)


def unseen(schema: Schema, rows: Sequence[Values]) -> list[str]:
    """Say what no record shows, so that nothing can be learned of it."""
    notes = []
    for feature, column in zip(schema.features, zip(*rows, strict=True), strict=True):
        known = [value for value in column if value is not None]
        absent = [value for value in feature.choices if value not in known]
        if absent and not feature.is_numeric:
            notes.append(f"{feature.name}: no record is {', '.join(map(_shown, absent))}")
        elif feature.is_numeric and min(known) == max(known):
            notes.append(
                f"{feature.name}: every record has {min(known):g}; it will not change an answer"
            )
        elif feature.risk and feature.risk.band:
            low, high = feature.risk.band
            if min(known) >= low:
                notes.append(
                    f"{feature.name}: no record is below {low:g}; risk will not rise there"
                )
            if max(known) <= high:
                notes.append(
                    f"{feature.name}: no record is above {high:g}; risk will not rise there"
                )
    return notes


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def basis_of(
    chains: Sequence[Chain], scales: Mapping[Term, float]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Put the blocks of all chains into one matrix, and say which variables are bounded."""
    size = sum(len(chain.terms) for chain in chains)
    basis, bounded, at = np.zeros((size, size)), np.zeros(size, dtype=bool), 0
    for chain in chains:
        end = at + len(chain.terms)
        basis[at:end, at:end] = chain.block(np.array([scales[term] for term in chain.terms]))
        bounded[at:end] = chain.bounded
        at = end
    return basis, bounded
