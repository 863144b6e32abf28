"""Writes a column of a fitted pipeline as a formula over the features of a record.

A column is a weighted sum of products of factors. A factor is what scorer.json (format 2) has: a
feature's value, a hinge of it, whether it has a certain value or was left out; less a mean, over a
scale. Scalers change factors instead of multiplying out, so nothing is lost to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from riskpredictor_server.model.schema import Feature


class NotLinearError(ValueError):
    """The pipeline has no exact linear form here; the message names the step and the reason."""


class MismatchError(ValueError):
    """The pipeline and the schema do not fit together; the message names the feature."""


class Fill(Enum):
    """What stands for a feature that was left out, where it is none of its values."""

    OPEN = "nothing yet: it is missing here"
    NONE = "none of the feature's values: all comparisons with them are false"
    NEVER = "nothing: the feature is required"


class Factor(NamedTuple):
    """``(g(x) - mean) / scale`` of a feature's value x; g by ``kind``: see model/linear_form.py."""

    feature: str
    kind: str = ""
    at: Any = None
    mean: float = 0.0
    scale: float = 1.0
    fill: Any = Fill.NEVER
    """The value of x where the feature was left out, or a :class:`Fill`."""


Product = tuple[Factor, ...]
"""Of no factors: 1."""


@dataclass(frozen=True)
class Column:
    """The sum of products, each times its weight."""

    parts: Mapping[Product, float]

    @property
    def only(self) -> Factor | None:
        """The factor that the column is, if it is one and nothing else."""
        ((product, weight),) = self.parts.items() if len(self.parts) == 1 else (((), 0.0),)
        return product[0] if len(product) == 1 and weight == 1.0 else None

    @property
    def factors(self) -> Iterable[Factor]:
        """All factors that occur in it."""
        return (factor for product in self.parts for factor in product)

    def standardised(self, mean: float, scale: float) -> Column:
        """Return ``(self - mean) / scale``."""
        factor = self.only
        if factor:
            mean = factor.mean + mean * factor.scale
            return column(factor._replace(mean=mean, scale=factor.scale * scale))
        parts = {product: weight / scale for product, weight in self.parts.items()}
        parts[()] = parts.get((), 0.0) - mean / scale
        return Column(parts)

    def times(self, other: Column) -> Column:
        """Return the product of two columns."""
        parts: dict[Product, float] = {}
        for one, weight in self.parts.items():
            for another, factor in other.parts.items():
                product = _product(one, another)
                if product is not None:
                    parts[product] = parts.get(product, 0.0) + weight * factor
        return Column(parts)


def column(*factors: Factor) -> Column:
    """Return the sum of factors."""
    return total((1.0, Column({(factor,): 1.0})) for factor in factors)


def constant(value: float) -> Column:
    """Return a column that is the same for all records."""
    return Column({(): value})


def total(columns: Iterable[tuple[float, Column]]) -> Column:
    """Return the weighted sum of columns."""
    parts: dict[Product, float] = {}
    for weight, each in columns:
        for product, part in each.parts.items():
            parts[product] = parts.get(product, 0.0) + weight * part
    return Column(parts)


def _product(one: Product, another: Product) -> Product | None:
    """Return the factors of both; None if they are never both different from 0."""
    factors = [*one]
    for factor in another:
        flags = [f for f in factors if _is_flag(f) and f.feature == factor.feature]
        if not _is_flag(factor) or not flags:
            factors.append(factor)
        elif factor not in flags:
            known = flags[0]
            if known.kind == factor.kind or Fill.NONE in (known.fill, factor.fill):
                return None
            factors.append(factor)
    return tuple(sorted(factors, key=repr))


def _is_flag(factor: Factor) -> bool:
    return factor.kind in ("equals", "missing") and (factor.mean, factor.scale) == (0.0, 1.0)


class Raw(NamedTuple):
    """An input of the pipeline as it is, but for what is filled in where it was left out."""

    feature: Feature
    fill: Any = Fill.NEVER


class Unknown(NamedTuple):
    """An input of the pipeline that the schema does not have; it may not matter."""

    name: str


Cell = Raw | Unknown | Column
"""What a step gets and gives, for each column of its table."""


def raw(feature: Feature) -> Raw:
    """Return a feature as a pipeline gets it."""
    return Raw(feature, Fill.NEVER if feature.required else Fill.OPEN)


def numeric(cell: Cell) -> Column:
    """Return a cell as the number that it is for a step that computes; raises MismatchError."""
    if isinstance(cell, Column):
        return cell
    known = known_raw(cell)
    if known.feature.type == "category":
        raise MismatchError(
            f"computes with {known.feature.name}, which the schema declares as a category (text)"
        )
    factor = Factor(known.feature.name, fill=known.fill)
    if known.feature.type == "boolean":
        factor = factor._replace(kind="equals", at=True)
    return column(factor)


def known_raw(cell: Raw | Unknown) -> Raw:
    """Return a raw cell; raises MismatchError if the schema does not have it."""
    if isinstance(cell, Unknown):
        raise MismatchError(
            f"uses {cell.name!r}, which is no feature of the schema: name a feature so, or declare"
            f" {cell.name!r} as one of its aliases"
        )
    return cell


def missing(cell: Cell) -> Column:
    """Return whether a cell is missing where a step sees it: 1 or 0."""
    if isinstance(cell, Column):
        factor = cell.only
        if factor and factor.fill is Fill.OPEN and factor.kind != "missing":
            return column(Factor(factor.feature, "missing"))
        if any(factor.fill is Fill.OPEN for factor in cell.factors):
            raise NotLinearError("looks for missing values in what was computed of several inputs")
        return constant(0.0)
    known = known_raw(cell)
    if known.fill is Fill.OPEN:
        return column(Factor(known.feature.name, "missing"))
    return constant(0.0)


def one_of(cell: Raw, values: Iterable[Any], *, also_missing: bool) -> Column:
    """Return whether a boolean or a category is one of some of its values: 1 or 0.

    ``also_missing``: it counts where it is missing, too.
    """
    feature, fill = cell
    own_word = isinstance(fill, str) and fill not in feature.values
    none = Fill.NONE if fill is Fill.OPEN or own_word else fill
    factors = [Factor(feature.name, "equals", value, fill=none) for value in values]
    if also_missing and none is Fill.NONE:
        factors.append(Factor(feature.name, "missing"))
    return column(*factors)


def hinge(of: Column, side: str, knot: float) -> Column:
    """Return ``max(0, of - knot)`` (above) or ``max(0, knot - of)`` (below) of one feature."""
    factor, sign = of.only, 1.0 if side == "above" else -1.0
    if not any(of.parts):
        return constant(max(0.0, sign * (of.parts.get((), 0.0) - knot)))
    if factor and factor.kind in ("equals", "missing"):
        # Of two values, what becomes of them is a straight line.
        low, high = (
            max(0.0, sign * ((flag - factor.mean) / factor.scale - knot)) for flag in (0.0, 1.0)
        )
        flag = column(factor._replace(mean=0.0, scale=1.0))
        return total([(1.0, constant(low)), (high - low, flag)])
    if factor is None or factor.kind or factor.scale <= 0:
        raise NotLinearError("bends what an earlier step computed")
    # (x - mean) / scale is above the knot where x is above mean + knot * scale.
    at = factor.mean + knot * factor.scale
    return column(factor._replace(kind=side, at=at, mean=0.0))
