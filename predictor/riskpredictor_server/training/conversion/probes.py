"""Generates records of a schema, to ask a classifier about everything that may be sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from riskpredictor_server.model.schema import Feature, Schema, Values

_LEFT_OUT, _AT_AN_END = 0.2, 0.1
"""Shares of the generated values."""


def generated(schema: Schema, count: int, seed: int) -> list[Values]:
    """Generate records: anywhere in the accepted ranges, at their ends, all values, gaps."""
    rng = np.random.default_rng(seed)
    return list(zip(*(_column(feature, count, rng) for feature in schema.features), strict=True))


def _column(feature: Feature, count: int, rng: np.random.Generator) -> list[Any]:
    if feature.is_numeric:
        low, high = feature.minimum, feature.maximum
        numbers = rng.uniform(low, high, count)
        at_an_end = rng.random(count) < _AT_AN_END
        numbers[at_an_end] = rng.choice([low, high], int(at_an_end.sum()))
        if feature.type == "integer":
            numbers = np.clip(numbers.round(), np.ceil(low), np.floor(high))
        column: list[Any] = numbers.tolist()
    else:
        column = [feature.choices[index] for index in rng.integers(0, len(feature.choices), count)]
    if not feature.required:
        for index in np.flatnonzero(rng.random(count) < _LEFT_OUT):
            column[index] = None
    return column


def one_by_one(schema: Schema) -> Iterator[tuple[str, Values]]:
    """Yield each value of each feature that is no number, each end, each gap, and what it is.

    The other features are in the middle of their range, or have their first value.
    """
    middle = [_middle(feature) for feature in schema.features]
    for index, feature in enumerate(schema.features):
        ends = (feature.minimum, feature.maximum)
        for value in ends if feature.is_numeric else feature.choices:
            yield f"{feature.name} {value}", (*middle[:index], value, *middle[index + 1 :])
        if not feature.required:
            yield f"a record without {feature.name}", (*middle[:index], None, *middle[index + 1 :])


def _middle(feature: Feature) -> Any:
    if not feature.is_numeric:
        return feature.choices[0]
    middle = (feature.minimum + feature.maximum) / 2
    # Of a small range the nearest whole number would be outside.
    return round(middle) if feature.type == "integer" else middle
