"""Writes a checked record as bytes: the same for equal records, and different for others."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from struct import Struct
from typing import Any

from riskpredictor_server.model.schema import Feature, Schema, Values


def canonical(schema: Schema) -> Callable[[Values], bytes]:
    """Return the function that writes the records of a schema: one double for each feature.

    Numbers are themselves, so 37 is 37.0; others are the place among the feature's values; what was
    left out is NaN.
    """
    pack = Struct(f"<{len(schema.features)}d").pack
    if all(f.is_numeric and f.required and not _has_zero(f) for f in schema.features):
        return lambda values: pack(*values)
    tables: list[dict[Any, float] | None] = [
        None if feature.is_numeric else {v: float(i) for i, v in enumerate(feature.choices)}
        for feature in schema.features
    ]

    def write(values: Values) -> bytes:
        # -0.0 + 0.0 is 0.0: they are equal, but their bytes are not.
        return pack(
            *[
                nan if value is None else value + 0.0 if table is None else table[value]
                for value, table in zip(values, tables, strict=True)
            ]
        )

    return write


def _has_zero(feature: Feature) -> bool:
    return feature.minimum <= 0.0 <= feature.maximum
