"""Makes up records that stand for others: for examples and golden cases, which are public.

They are medians and most frequent values, never a patient's record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from riskpredictor_server.model.schema import Feature, Schema, Values

Record = dict[str, Any]


def typical(schema: Schema, rows: Sequence[Values], labels: Sequence[str]) -> dict[str, Record]:
    """By level, the record of medians and most frequent values of its patients."""
    made = {}
    for level in schema.levels:
        mine = [row for row, label in zip(rows, labels, strict=True) if label == level]
        columns = zip(*mine, strict=True)
        record = {
            feature.name: _middle(feature, [value for value in column if value is not None])
            for feature, column in zip(schema.features, columns, strict=True)
        }
        made[level] = {name: value for name, value in record.items() if value is not None}
    return made


def _middle(feature: Feature, known: Sequence[Any]) -> Any:
    """The median in the feature's steps, or the most frequent value; None where nobody has it."""
    if not known and not feature.required:
        return None
    if not feature.is_numeric:
        counts = Counter(known)
        return max(feature.choices, key=lambda value: counts[value])
    value = round(median(known) / feature.step) * feature.step
    bounded = min(max(value, feature.minimum), feature.maximum)
    # A multiple of 0.1 has digits that nobody means.
    return round(bounded) if feature.type == "integer" else float(f"{bounded:.10g}")


def golden(schema: Schema, examples: dict[str, Record]) -> list[tuple[str, Record]]:
    """Cases that tell a broken scorer: typical, extreme, with one feature extreme, with gaps."""
    cases = [(f"typical of {level}", record) for level, record in examples.items()]
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
