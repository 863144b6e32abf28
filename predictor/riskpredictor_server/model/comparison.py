"""Compares two models on the same records: how often each pair of their levels occurs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from riskpredictor_server.model.artifact import Model
from riskpredictor_server.model.canonical import canonical
from riskpredictor_server.model.schema import Feature, Schema, Values, unit_name

_BITS: Final = 20
"""Of an index into the filter."""
_MASK: Final = (1 << _BITS) - 1


class NotComparableError(ValueError):
    """The candidate cannot take the stable model's place; the message says why."""


class Distinct:
    """Tells which records are new: a Bloom filter of 2^20 bits and three indexes.

    One that is new is taken for an old one with a probability of 0.1 % after 40,000 distinct ones,
    2 in 100 million after 1,000; the fuller it is, the more new ones are missed, so counts of a
    long comparison are too low. An old one is never taken for a new one. (Bloom, "Space/time
    trade-offs in hash coding with allowable errors", 1970.) The indexes are bits of Python's own
    hash, which is a keyed one of 64 bits (PEP 456).
    """

    def __init__(self) -> None:
        self._bits = bytearray(1 << _BITS - 3)

    def add(self, record: bytes) -> bool:
        """Note a canonical record; return whether it is new."""
        bits, mark = self._bits, hash(record)
        i, j, k = mark & _MASK, mark >> _BITS & _MASK, mark >> 2 * _BITS & _MASK
        if bits[i >> 3] >> (i & 7) & bits[j >> 3] >> (j & 7) & bits[k >> 3] >> (k & 7) & 1:
            return False
        for index in (i, j, k):
            bits[index >> 3] |= 1 << (index & 7)
        return True


class Comparison:
    """Counts how two models agree over distinct records.

    ``matrix[i][j]`` is the number of records of level i by the stable model and j by the candidate.
    """

    def __init__(self, stable: Model, candidate: Model) -> None:
        """Raises NotComparableError if the candidate would not take a record that stable takes."""
        check_comparable(stable.schema, candidate.schema)
        self.stable, self.candidate = stable, candidate
        self.levels = stable.schema.levels
        self.matrix = [[0] * len(self.levels) for _ in self.levels]
        self.pairs = 0
        self.canonical = canonical(stable.schema)
        names = stable.schema.names
        self._places = [
            names.index(name) if name in names else None for name in candidate.schema.names
        ]
        self._same_order = self._places == list(range(len(names)))

    def for_candidate(self, values: Values) -> Values:
        """Return a record of the stable model as one of the candidate's."""
        if self._same_order:
            return values
        return tuple([None if place is None else values[place] for place in self._places])

    def count(self, stable_level: int, candidate_level: int) -> None:
        """Count one distinct record."""
        self.matrix[stable_level][candidate_level] += 1
        self.pairs += 1

    def compare(self, rows: Iterable[Values]) -> None:
        """Score checked records of the stable model by both, and count those that are distinct."""
        distinct = {self.canonical(values): values for values in rows}
        records = list(distinct.values())
        if not records:
            return
        level_of = self.stable.schema.level_of
        ours = self.stable.scorer.score_many(records).probabilities
        theirs = self.candidate.scorer.score_many(list(map(self.for_candidate, records)))
        for one, other in zip(ours, theirs.probabilities, strict=True):
            self.count(level_of(one), level_of(other))


def check_comparable(stable: Schema, candidate: Schema) -> None:
    """Raise NotComparableError unless the candidate takes every record that stable takes.

    Else its promotion would have clients refused that are answered now.
    """
    if stable.levels != candidate.levels:
        raise NotComparableError(
            f"its levels are {', '.join(candidate.levels)}; those of the stable model are"
            f" {', '.join(stable.levels)}"
        )
    for feature in stable.features:
        if feature.name not in candidate.by_name:
            raise NotComparableError(
                f"{feature.name}: it has no such feature, so it would refuse records that have it"
            )
        wrong = _difference(feature, candidate.by_name[feature.name])
        if wrong:
            raise NotComparableError(f"{feature.name}: {wrong}")
    for feature in candidate.features:
        if feature.required and feature.name not in stable.by_name:
            raise NotComparableError(
                f"{feature.name}: it is required, and the stable model does not know it; make it"
                " optional"
            )


def _difference(ours: Feature, theirs: Feature) -> str:
    """Say why the candidate would not take all values that the stable model takes, or nothing."""
    for name, one, other in (
        ("type", ours.type, theirs.type),
        ("unit", unit_name(ours.unit), unit_name(theirs.unit)),
    ):
        # A whole number is a number; the reverse does not hold.
        if one != other and (one, other) != ("integer", "number"):
            return f"its {name} is {other or 'none'}, that of the stable model {one or 'none'}"
    if ours.is_numeric and not theirs.minimum <= ours.minimum <= ours.maximum <= theirs.maximum:
        return f"it takes {theirs.span()}, the stable model {ours.span()}"
    missing = [value for value in ours.values if value not in theirs.values]
    if missing:
        return f"it does not take the value {missing[0]}"
    if theirs.required and not ours.required:
        return "it is required, and may be left out with the stable model"
    units = {unit_name(unit.name): (unit.scale, unit.offset) for unit in theirs.units}
    for unit in ours.units:
        if units.get(unit_name(unit.name)) != (unit.scale, unit.offset):
            return f"it does not take the unit {unit.name} as the stable model does"
    return ""
