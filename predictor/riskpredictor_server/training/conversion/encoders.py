"""Writes what the encoders of categories compute as columns; see columns.py and transformers.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from riskpredictor_server.training.conversion.columns import (
    Cell,
    Column,
    Fill,
    MismatchError,
    NotLinearError,
    Raw,
    hinge,
    known_raw,
    numeric,
    one_of,
    total,
)

MOST_CATEGORIES = 100
"""Of an integer."""


def one_hot_encoder(encoder: OneHotEncoder, cells: Sequence[Cell]) -> list[Cell]:
    unknown_counts = encoder.handle_unknown in ("infrequent_if_exist", "warn")
    infrequent = getattr(encoder, "infrequent_categories_", None) or [None] * len(cells)
    drops = [None] * len(cells) if encoder.drop_idx_ is None else encoder.drop_idx_
    made: list[Cell] = []
    for cell, own, seldom, drop in zip(cells, encoder.categories_, infrequent, drops, strict=True):
        known = _categorical(cell)
        categories = [plain(value) for value in own]
        rare = {_key(plain(value)) for value in seldom} if seldom is not None else set()
        groups = [[value] for value in categories if _key(value) not in rare]
        unseen = _unseen(known, categories, encoder.handle_unknown == "error")
        dropped = None if drop is None else _key(categories[int(drop)])
        if rare:
            together = [value for value in categories if _key(value) in rare]
            groups.append(together + (unseen if unknown_counts else []))
        made += [
            _is_one_of(known, group)
            for group in groups
            if dropped is None or dropped not in map(_key, group)
        ]
    return made


def ordinal_encoder(encoder: OrdinalEncoder, cells: Sequence[Cell]) -> list[Cell]:
    if any(rare is not None for rare in getattr(encoder, "infrequent_categories_", ())):
        raise NotLinearError("joins rare categories (min_frequency, max_categories)")
    made: list[Cell] = []
    for cell, own in zip(cells, encoder.categories_, strict=True):
        known = _categorical(cell)
        categories = [plain(value) for value in own]
        unseen = _unseen(known, categories, encoder.handle_unknown == "error")
        codes = [
            (value, encoder.encoded_missing_value if _is_missing(value) else code)
            for code, value in enumerate(categories)
        ] + [(value, encoder.unknown_value) for value in unseen]
        if known.fill is not Fill.OPEN:
            codes = [(value, code) for value, code in codes if not _is_missing(value)]
        if not all(math.isfinite(code) for _, code in codes):
            raise NotLinearError(f"leaves {known.feature.name} missing where it was left out")
        made.append(total((float(code), _is_one_of(known, [value])) for value, code in codes))
    return made


def _categorical(cell: Cell) -> Raw:
    if isinstance(cell, Column):
        raise NotLinearError("takes what was computed for categories")
    known = known_raw(cell)
    if known.feature.type == "number":
        raise NotLinearError(
            f"takes the number {known.feature.name} for categories: declare it as an integer"
        )
    if known.feature.type == "integer":
        name, fill = known.feature.name, known.fill
        if fill is not Fill.NEVER and not (isinstance(fill, float) and fill.is_integer()):
            raise NotLinearError(
                f"takes {name}, which may be left out, for categories: fill in a whole number"
            )
        if known.feature.maximum - known.feature.minimum > MOST_CATEGORIES:
            raise NotLinearError(f"takes {name} for more than {MOST_CATEGORIES} categories")
    return known


def _unseen(cell: Raw, categories: Sequence[Any], refused: bool) -> list[Any]:
    """Return the values of a feature that an encoder has not seen; NaN stands for a missing one."""
    feature = cell.feature
    accepted: list[Any]
    if feature.type == "integer":
        accepted = [float(value) for value in range(int(feature.minimum), int(feature.maximum) + 1)]
    else:
        accepted = [*feature.choices]
    if isinstance(cell.fill, str) and cell.fill not in accepted:
        accepted.append(cell.fill)
    known = {_key(value) for value in categories}
    strange = [value for value in categories if not _is_missing(value) and value not in accepted]
    if strange and all(str(value) in accepted for value in strange):
        raise MismatchError(
            f"knows {feature.name} as the numbers {_listed(strange)}, which the schema declares as"
            " text: declare it as an integer"
        )
    if strange:
        raise MismatchError(
            f"knows {feature.name} as {_listed(strange)}, which the schema does not declare:"
            f" {feature.span()}"
        )
    unseen = [value for value in accepted if _key(value) not in known]
    if unseen and refused:
        raise MismatchError(
            f"has never seen {feature.name} as {_listed(unseen)}, which the schema declares: fit it"
            ' with handle_unknown="ignore" or with records of all values'
        )
    if cell.fill is Fill.OPEN and not any(map(_is_missing, categories)):
        if refused:
            raise MismatchError(
                f"has never seen {feature.name} left out: declare it as required, or fit the"
                " pipeline with records that lack it"
            )
        unseen.append(math.nan)
    return unseen


def _is_one_of(cell: Raw, values: Sequence[Any]) -> Column:
    feature = cell.feature
    if feature.type == "integer":
        return total((1.0, _equals(cell, float(value))) for value in values)
    own = [value for value in values if not _is_missing(value)]
    also_missing = len(own) < len(values) and cell.fill is Fill.OPEN
    if isinstance(cell.fill, str) and cell.fill in own and cell.fill not in feature.values:
        own.remove(cell.fill)
        also_missing = True
    if feature.type == "boolean":
        own = [bool(value) for value in own]
    return one_of(cell, own, also_missing=also_missing)


def _equals(cell: Raw, value: float) -> Column:
    """Return whether a whole number is ``value``, as a tent of hinges: 1 or 0."""
    feature = numeric(cell)
    return total(
        (weight, hinge(feature, "above", value + offset))
        for weight, offset in ((1.0, -1.0), (-2.0, 0.0), (1.0, 1.0))
    )


def plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _key(value: Any) -> Any:
    """Make missing values equal to each other."""
    return math.nan if _is_missing(value) else value


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
