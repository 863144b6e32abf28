"""Makes up records that stand for others: for examples and golden cases, which are public.

They are made of medians and most frequent values, never a patient's record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, Final

from riskpredictor_server.model.schema import Feature, Schema, Values
from riskpredictor_server.training.monotone_check import Score

Record = dict[str, Any]
_WAY: Final = 20


def examples_of(
    schema: Schema, rows: Sequence[Values], labels: Sequence[str], score: Score
) -> dict[str, Record]:
    """By level, a record for people to try: ``score`` gives probabilities per record.

    For the lowest and the highest level it is what is typical of their patients. The median of a
    level between them would be nobody's: each patient is ill in another way. There it is the one of
    highest probability on the way from the lowest to the highest; none if that gets another level.
    """
    first, *between, last = schema.levels
    ends = _typical(schema, rows, labels, first), _typical(schema, rows, labels, last)
    way = [_between(schema, *ends, i / _WAY) for i in range(1, _WAY)]
    table = score([tuple(record.get(name) for name in schema.names) for record in way])
    picked = {}
    for k, level in enumerate(between, start=1):
        best = max(range(len(way)), key=lambda i: table[i][k])
        if schema.level_of(table[best]) == k:
            picked[level] = way[best]
    return {first: ends[0], **picked, last: ends[1]}


def titled(examples: Mapping[str, Record]) -> list[dict[str, Any]]:
    """The examples of a model card."""
    return [
        {"title": f"Example of {level}", "record": record} for level, record in examples.items()
    ]


def _between(schema: Schema, low: Record, high: Record, share: float) -> Record:
    record = {}
    for feature in schema.features:
        values = low.get(feature.name), high.get(feature.name)
        if feature.is_numeric and None not in values:
            record[feature.name] = _in_steps(feature, values[0] * (1 - share) + values[1] * share)  # type: ignore[operator]
        elif (value := values[share > 0.5]) is not None:
            record[feature.name] = value
    return record


def _typical(schema: Schema, rows: Sequence[Values], labels: Sequence[str], level: str) -> Record:
    mine = [row for row, label in zip(rows, labels, strict=True) if label == level]
    middles = {
        feature.name: _middle(feature, [value for value in column if value is not None])
        for feature, column in zip(schema.features, zip(*mine, strict=True), strict=True)
    }
    return {name: value for name, value in middles.items() if value is not None}


def _middle(feature: Feature, known: Sequence[Any]) -> Any:
    """The median in the feature's steps, or the most frequent value; None where nobody has it."""
    if not known and not feature.required:
        return None
    if not feature.is_numeric:
        counts = Counter(known)
        return max(feature.choices, key=lambda value: counts[value])
    return _in_steps(feature, median(known))


def _in_steps(feature: Feature, value: float) -> float:
    value = round(value / feature.step) * feature.step
    bounded = min(max(value, feature.minimum), feature.maximum)
    # A multiple of 0.1 has digits that nobody means.
    return round(bounded) if feature.type == "integer" else float(f"{bounded:.10g}")


def named(examples: Mapping[str, Record]) -> list[tuple[str, Record]]:
    """The examples as golden cases."""
    return [(f"example of {level}", record) for level, record in examples.items()]


def golden(schema: Schema, examples: dict[str, Record]) -> list[tuple[str, Record]]:
    """Cases that tell a broken scorer: examples, extremes, one extreme alone, what is left out."""
    cases = named(examples)
    calm = examples[schema.levels[0]]
    for end, pick in (("minimum", 0), ("maximum", -1)):
        record = {feature.name: _ends(feature)[pick] for feature in schema.features}
        cases.append((f"every value at its {end}", record))
    for feature in schema.features:
        if feature.risk:
            cases += [
                (f"{feature.name} {_shown(value)} alone", calm | {feature.name: value})
                for value in _worst(feature)
            ]
        if not feature.required:
            record = {name: value for name, value in calm.items() if name != feature.name}
            cases.append((f"without {feature.name}", record))
    return cases


def _ends(feature: Feature) -> tuple[Any, Any]:
    if feature.is_numeric:
        return feature.minimum, feature.maximum
    return feature.choices[0], feature.choices[-1]


def _worst(feature: Feature) -> Iterator[Any]:
    """The values at which the declared risk is highest."""
    low, high = _ends(feature)
    assert feature.risk  # noqa: S101 - the caller's condition
    if feature.risk.band or feature.risk.rises:
        yield high
    if feature.risk.band or not feature.risk.rises:
        yield low


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)
