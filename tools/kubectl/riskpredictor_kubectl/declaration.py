"""What the model that answers predicts from and to, as its card says (``GET /model``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskpredictor_kubectl.errors import PluginError

_LEVELS = ("Low", "Medium", "High")
_FIRST_FORMAT_UNITS = {"temperature": ("F", "C")}
"""Cards of format 1 are all of the four vitals, and name only the model's own unit."""


@dataclass(frozen=True)
class Feature:
    """One input of the model."""

    name: str
    type: str
    """``number``, ``integer``, ``boolean`` or ``category``."""
    title: str
    unit: str
    required: bool
    minimum: float | None = None
    """Bounds of what is accepted of a number, in ``unit``."""
    maximum: float | None = None
    units: tuple[str, ...] = ()
    """Its units as a record names them, its own first; empty if there is only one."""
    values: tuple[str, ...] = ()
    """Of a category."""
    description: str = ""

    @property
    def unit_field(self) -> str:
        """The field of a record that says the unit, if there are several."""
        return f"{self.name}_unit"

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.type in ("number", "integer")

    def span(self) -> str:
        """What is accepted, for people: 20 to 300 bpm."""
        if self.type == "boolean":
            return "true or false"
        if not self.is_numeric:
            return ", ".join(self.values)
        if self.minimum is None or self.maximum is None:
            return self.unit
        return f"{self.minimum:g} to {self.maximum:g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Declaration:
    """The features of a record, and the levels of risk in ascending order."""

    version: str
    features: tuple[Feature, ...]
    levels: tuple[str, ...] = _LEVELS

    @property
    def unit_fields(self) -> list[str]:
        """The fields that say units."""
        return [feature.unit_field for feature in self.features if feature.units]


def read(card: Any) -> Declaration:
    """The declaration in a model card of any format.

    Raises:
        PluginError: it is no model card.
    """
    rows = card.get("features") if isinstance(card, Mapping) else None
    if not isinstance(rows, list) or not rows:
        raise PluginError("GET /model answers no model card: features is missing")
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
            raise PluginError(f"GET /model answers no model card: features[{index}] has no name")
    return Declaration(
        version=str(card.get("model_version", "")),
        features=tuple(map(_feature, rows)),
        levels=tuple(card.get("levels") or _LEVELS),
    )


def _feature(row: Mapping[str, Any]) -> Feature:
    # In a card of format 1 the bounds are in "accepted".
    bounds = row.get("accepted") or row
    name, unit = row["name"], row.get("unit", "")
    own = [unit, *(row.get("units") or {})]
    units = tuple(each.removeprefix("°") for each in own) if len(own) > 1 else ()
    if "type" not in row:
        units = _FIRST_FORMAT_UNITS.get(name, ())
    return Feature(
        name=name,
        type=row.get("type", "number"),
        title=row.get("title") or name.replace("_", " ").capitalize(),
        unit=unit,
        required=row.get("required", True),
        minimum=bounds.get("minimum"),
        maximum=bounds.get("maximum"),
        units=units,
        values=tuple(row.get("values") or ()),
        description=row.get("description", ""),
    )
