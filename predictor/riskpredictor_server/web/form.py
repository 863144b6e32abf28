"""Describes the record of a model to the web page: its fields, units and levels.

The template renders it; the page's scripts read the same from ``data-schema`` of the form.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin
from typing import Any, Final

from riskpredictor_server.model.artifact import Model
from riskpredictor_server.model.schema import DEFAULT_LEVELS, Feature, Schema, Unit, unit_name

_SHADES: Final = 12
"""Steps between the colours of the lowest and of the highest level: up to ten levels differ."""
_SHADE_NAMES: Final = {0: "low", _SHADES // 2: "medium", _SHADES: "high"}
_MANY: Final = 9
"""Number of features from which the form is laid out in more columns."""
_IDS: Final = frozenset(
    (
        "card", "confidence", "contributions", "form", "level", "main", "meta", "needle", "patient",
        "probabilities", "record", "result", "verdict", "warnings",
    )
)  # fmt: skip
"""What else on the page is called by a name that a feature may have."""


@dataclass(frozen=True)
class Level:
    """A level of risk as it is drawn."""

    name: str
    shade: str
    """Class of page.css: low, medium, high, or mix-1 to mix-11 between them."""
    arc: str
    """Path of its part of the gauge, a half circle of radius 50 around (60, 60)."""


@dataclass(frozen=True)
class Form:
    """All that the page says about a model's record before anything is predicted."""

    schema: Schema
    version: str
    examples: list[dict[str, Any]]

    @property
    def has_many(self) -> bool:
        """Whether the form needs more room than its half of the page."""
        return len(self.schema.features) >= _MANY

    @property
    def levels(self) -> list[Level]:
        """The levels in ascending order of risk."""
        names = self.schema.levels
        ends = [_on_gauge(part / len(names)) for part in range(len(names) + 1)]
        return [
            Level(name, _shade(index / (len(names) - 1)), f"M{start}A50 50 0 0 1 {end}")
            for index, (name, start, end) in enumerate(zip(names, ends, ends[1:], strict=False))
        ]

    @property
    def data(self) -> dict[str, Any]:
        """What the scripts need of it."""
        return {
            "version": self.version,
            "title": self.schema.title,
            # Low, Medium and High are said with it; other names may say risk by themselves.
            "noun": " risk" if self.schema.levels == DEFAULT_LEVELS else "",
            "levels": [{"name": level.name, "shade": level.shade} for level in self.levels],
            "features": [_feature(feature) for feature in self.schema.features],
        }


def form_of(model: Model) -> Form:
    """Describe the record of a model."""
    return Form(model.schema, model.version, model.examples)


def element_id(feature: Feature) -> str:
    """The id of a feature's field on the page: its name, unless something else is called so."""
    return f"input-{feature.name}" if feature.name in _IDS else feature.name


def keypad(feature: Feature) -> str:
    """The keypad that a phone shows for a number; those of some have no minus."""
    if any(each.minimum < 0 for each in _in_all_units(feature)):
        return "text"
    return "numeric" if feature.type == "integer" else "decimal"


def _feature(feature: Feature) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": feature.name,
        "title": feature.title,
        "type": feature.type,
        "required": feature.required,
    }
    if feature.is_numeric:
        units = (Unit(feature.unit, 1), *feature.units)
        described["step"] = feature.step
        described["units"] = [
            _unit(unit, each) for unit, each in zip(units, _in_all_units(feature), strict=True)
        ]
    return described


def _in_all_units(feature: Feature) -> list[Feature]:
    return [feature, *(feature.in_unit(unit) for unit in feature.units)]


def _unit(unit: Unit, feature: Feature) -> dict[str, Any]:
    """A unit as the scripts convert to and from it; see :class:`Unit` for the ratio."""
    return {
        "name": unit_name(unit.name),
        "label": unit.name,
        "ratio": list(unit.ratio),
        "offset": unit.offset,
        "minimum": feature.minimum,
        "maximum": feature.maximum,
        "span": feature.span(),
    }


def _shade(position: float) -> str:
    """The class for a place between the lowest level, 0, and the highest, 1."""
    step = round(position * _SHADES)
    return _SHADE_NAMES.get(step, f"mix-{step}")


def _on_gauge(share: float) -> str:
    """The point of the gauge at a share of its half circle, from the left."""
    x, y = 60 - 50 * cos(pi * share), 60 - 50 * sin(pi * share)
    return f"{round(x, 1):g} {round(y, 1):g}"
