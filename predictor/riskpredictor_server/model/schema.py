"""Declares what a model predicts from and to: the features of a record, and the levels of risk.

Everything that validates, describes or shows records is made from a schema. declaration.py reads it
from data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

Values = tuple[Any, ...]
"""A checked record, in the order of the features: numbers in each feature's own unit, True or
False, the text of a category; None where a feature was left out."""

DEFAULT_LEVELS: Final = ("Low", "Medium", "High")
TYPES: Final = ("number", "integer", "boolean", "category")

_COUNTS: Final = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """Another unit of a feature: a value x in it is ``x * scale + offset`` in the feature's own."""

    name: str
    scale: float
    offset: float = 0.0

    @cached_property
    def ratio(self) -> tuple[int, int]:
        # 1.8 is 9/5 as people mean it; the binary number 1.8 is not.
        return Fraction(repr(self.scale)).as_integer_ratio()

    def to_own(self, value: float) -> float:
        """Convert a value in this unit to the feature's own."""
        numerator, denominator = self.ratio
        return value * numerator / denominator + self.offset

    def from_own(self, value: float) -> float:
        """Convert a value in the feature's own unit to this one."""
        numerator, denominator = self.ratio
        return (value - self.offset) * denominator / numerator


@dataclass(frozen=True)
class Risk:
    """How the risk depends on a feature: it ``rises`` or ``falls`` with it, or outside of a band.

    Of a boolean, true is more than false; of a category, values are in ascending order.
    """

    rises: bool
    band: tuple[float, float] | None = None
    """The normal band, if risk rises on both sides of it."""


@dataclass(frozen=True)
class Feature:
    """One input of a model. ``minimum`` and ``maximum`` bound what is accepted of a number."""

    name: str
    type: str = "number"
    title: str = ""
    unit: str = ""
    unit_label: str = ""
    """The unit beside a form's field, if it says more than the unit: mmHg, systolic."""
    minimum: float = -math.inf
    maximum: float = math.inf
    step: float = 0.1
    required: bool = True
    units: tuple[Unit, ...] = ()
    values: tuple[str, ...] = ()
    description: str = ""
    aliases: tuple[str, ...] = ()
    """What else it is called: told to clients who use such a name, never accepted."""
    risk: Risk | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.type in ("number", "integer")

    @property
    def choices(self) -> tuple[Any, ...]:
        """Its values, if it is no number."""
        return (False, True) if self.type == "boolean" else self.values

    @property
    def unit_field(self) -> str:
        """The field of a record that says the unit of this one, if there are several."""
        return f"{self.name}_unit"

    @property
    def unit_names(self) -> tuple[str, ...]:
        """The values of that field, the own unit first: units without the degree sign."""
        return tuple(unit_name(name) for name in (self.unit, *(unit.name for unit in self.units)))

    def in_unit(self, unit: Unit) -> Feature:
        """This feature as it is declared in another of its units."""
        low, high = sorted((unit.from_own(self.minimum), unit.from_own(self.maximum)))
        return replace(
            self,
            unit=unit.name,
            unit_label=unit.name,
            minimum=low,
            maximum=high,
            description=f"{self.title} ({unit.name}).",
        )

    def accepts(self, value: Any) -> bool:
        """Whether a value in the feature's own unit is one of its values; none is never one."""
        if self.is_numeric:
            # bool is a subclass of int, and true is no measurement; NaN is in no range.
            return (
                type(value) in (int, float)
                and self.minimum <= value <= self.maximum
                and (self.type == "number" or value == int(value))
            )
        if self.type == "boolean":
            return type(value) is bool
        return type(value) is str and value in self.values

    def span(self) -> str:
        """The accepted values for people: 20 to 300 bpm."""
        if self.is_numeric:
            return (
                f"{number_text(self.minimum)} to {number_text(self.maximum)} {self.unit}".rstrip()
            )
        return "true or false" if self.type == "boolean" else ", ".join(self.values)

    def declaration(self) -> dict[str, Any]:
        """The feature as declaration.py reads it, without what is at its default."""
        document: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "title": self.title,
            "required": self.required,
        }
        if self.is_numeric:
            document |= {"minimum": self.minimum, "maximum": self.maximum, "step": self.step}
            document |= {"unit": self.unit} if self.unit else {}
        if self.unit_label != self.unit:
            document["unit_label"] = self.unit_label
        if self.units:
            document["units"] = {
                unit.name: {"scale": unit.scale, "offset": unit.offset} for unit in self.units
            }
        for name in ("values", "aliases"):
            if getattr(self, name):
                document[name] = list(getattr(self, name))
        if self.description:
            document["description"] = self.description
        if self.risk:
            document["risk"] = risk_text(self.risk)
        return document


def number_text(number: float) -> str:
    """A number for people: six digits, but all of them where that would need an exponent."""
    short = f"{number:g}"
    return f"{number:.12g}" if "e" in short else short


def unit_name(unit: str) -> str:
    """How a request names a unit: without the degree sign."""
    return unit.removeprefix("°")


def risk_text(risk: Risk) -> str:
    """The declaration of a :class:`Risk`."""
    if risk.band:
        return "rises outside " + "..".join(map(_digits, risk.band))
    return "rises" if risk.rises else "falls"


def _digits(value: float) -> str:
    """All digits of a number, without an exponent."""
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0")


@dataclass(frozen=True)
class Schema:
    """The features of a record in their order, and the levels in ascending order of risk."""

    features: tuple[Feature, ...]
    levels: tuple[str, ...] = DEFAULT_LEVELS
    title: str = "Inputs"
    """What the features are, in the plural."""

    @property
    def counted(self) -> str:
        """The features for people: four vital signs."""
        count = len(self.features)
        word = _COUNTS[count - 1] if count <= len(_COUNTS) else str(count)
        title = self.title.lower()
        return f"{word} {title if count > 1 else title.removesuffix('s')}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Names of all fields that a record may have: the features, then those for units."""
        return (*self.names, *(f.unit_field for f in self.features if f.units))

    @cached_property
    def by_name(self) -> Mapping[str, Feature]:
        """The features by name."""
        return {feature.name: feature for feature in self.features}

    def declaration(self) -> dict[str, Any]:
        """The schema as declaration.py reads it."""
        features = [feature.declaration() for feature in self.features]
        return {"title": self.title, "levels": list(self.levels), "features": features}

    def index(self, name: str) -> int:
        """Position of a feature's value in :data:`Values`; raises ValueError."""
        return self.names.index(name)

    def level_of(self, probabilities: Sequence[float]) -> int:
        """Index of the most probable level; of equal ones the highest, the safer error."""
        last = len(probabilities) - 1
        return last - probabilities[::-1].index(max(probabilities))
