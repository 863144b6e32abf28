"""Declares what a model predicts from and to: the features of a record, and the levels of risk.

A declaration is data: part of a model card, or a schema file of training. :func:`read_schema` checks
it; everything that validates, describes or shows records is made from the result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

Values = tuple[Any, ...]
"""A checked record, in the order of the features: numbers in each feature's own unit, True or False,
the text of a category; None where a feature was left out."""

DEFAULT_LEVELS: Final = ("Low", "Medium", "High")
TYPES: Final = ("number", "integer", "boolean", "category")
MOST_FEATURES: Final = 64
MOST_VALUES: Final = 50
"""Of a category."""
RESERVED: Final = ("instances", "inputs", "parameters", "risk_level")
"""Names that mean something else in requests and in files of records."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_LEVEL: Final = re.compile(r"[^\W_](?:[\w .+-]{0,30}[\w.+])?")
_RISK: Final = re.compile(
    r"(?P<way>rises|falls)|rises outside (?P<low>-?\d+(?:\.\d+)?) ?\.\. ?(?P<high>-?\d+(?:\.\d+)?)"
)

_COUNTS: Final = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip

Path = tuple[str | int, ...]
"""Where in a declaration: ("features", 2, "minimum")."""


class SchemaError(ValueError):
    """A declaration that cannot be used; ``faults`` has the place and the text of each fault."""

    def __init__(self, faults: Sequence[tuple[Path, str]]) -> None:
        super().__init__("; ".join(f"{place(path)}: {text}" for path, text in faults))
        self.faults = faults


def place(path: Path) -> str:
    """Format a place for people: features[2].minimum."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the declaration"


@dataclass(frozen=True)
class Unit:
    """Another unit of a feature: a value x in it is ``x * scale + offset`` in the feature's own."""

    name: str
    scale: float
    offset: float = 0.0

    @cached_property
    def _ratio(self) -> tuple[int, int]:
        # 1.8 is 9/5 as people mean it; the binary number 1.8 is not.
        return Fraction(repr(self.scale)).as_integer_ratio()

    def to_own(self, value: float) -> float:
        """Convert a value in this unit to the feature's own."""
        numerator, denominator = self._ratio
        return value * numerator / denominator + self.offset

    def from_own(self, value: float) -> float:
        """Convert a value in the feature's own unit to this one."""
        numerator, denominator = self._ratio
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
            return f"{self.minimum:g} to {self.maximum:g} {self.unit}".rstrip()
        return "true or false" if self.type == "boolean" else ", ".join(self.values)

    def declaration(self) -> dict[str, Any]:
        """The feature as :func:`read_schema` reads it, without what is at its default."""
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


def unit_name(unit: str) -> str:
    """How a request names a unit: without the degree sign."""
    return unit.removeprefix("°")


def risk_text(risk: Risk) -> str:
    """The declaration of a :class:`Risk`."""
    if risk.band:
        return f"rises outside {risk.band[0]:g}..{risk.band[1]:g}"
    return "rises" if risk.rises else "falls"


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
        return f"{word} {self.title.lower()}"

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
        """The schema as :func:`read_schema` reads it."""
        features = [feature.declaration() for feature in self.features]
        return {"title": self.title, "levels": list(self.levels), "features": features}

    def index(self, name: str) -> int:
        """Position of a feature's value in :data:`Values`; raises ValueError."""
        return self.names.index(name)

    def level_of(self, probabilities: Sequence[float]) -> int:
        """Index of the most probable level; of equal ones the highest, the safer error."""
        last = len(probabilities) - 1
        return last - probabilities[::-1].index(max(probabilities))


def read_schema(document: Any) -> Schema:
    """Check a declaration: ``features``, and ``levels`` and ``title`` if they are not the default.

    Other members are not looked at. Raises SchemaError with every fault.
    """
    if not isinstance(document, Mapping):
        raise SchemaError([((), "must be a mapping with features")])
    faults: list[tuple[Path, str]] = []
    levels = _levels(document.get("levels", list(DEFAULT_LEVELS)), faults)
    rows = document.get("features")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_FEATURES:
        faults.append((("features",), f"must be a list of 1 to {MOST_FEATURES} features"))
        raise SchemaError(faults)
    features = [_Reader(row, ("features", index), faults).feature() for index, row in enumerate(rows)]
    seen: dict[str, int] = {}
    for index, feature in enumerate(features):
        for name in (feature.name, *((feature.unit_field,) if feature.units else ())):
            if name and seen.setdefault(name, index) != index:
                text = f"{name!r} is already the name of a field of features[{seen[name]}]"
                faults.append((("features", index, "name"), text))
    title = document.get("title", "Inputs")
    if not isinstance(title, str) or not 0 < len(title) <= 40 or not title.isprintable():
        text = "must be what the features are, in the plural, at most 40 characters: Vital signs"
        faults.append((("title",), text))
    if faults:
        raise SchemaError(faults)
    return Schema(tuple(features), levels, title)


def _levels(given: Any, faults: list[tuple[Path, str]]) -> tuple[str, ...]:
    if (
        not isinstance(given, list)
        or not 2 <= len(given) <= 10
        or not all(isinstance(level, str) and _LEVEL.fullmatch(level) for level in given)
        or len({level.casefold() for level in given}) != len(given)
    ):
        text = "must be 2 to 10 different names in ascending order of risk, such as [Low, High]"
        faults.append((("levels",), text))
        return DEFAULT_LEVELS
    return tuple(given)


_MEMBERS: Final = (
    "name", "type", "title", "unit", "unit_label", "minimum", "maximum", "step", "required", "units",
    "values", "description", "aliases", "risk",
)  # fmt: skip
_OF_CARDS: Final = frozenset(
    ("accepted", "trained_on", "mean", "standard_deviation", "baseline", "fill", "left_out", "monotone")
)
"""What a card tells about a feature besides its declaration."""


class _Reader:
    """Reads one feature; adds what is wrong to ``faults``."""

    def __init__(self, row: Any, path: Path, faults: list[tuple[Path, str]]) -> None:
        self.row: Mapping[str, Any] = row if isinstance(row, Mapping) else {}
        self.path, self.faults = path, faults
        if not isinstance(row, Mapping):
            self.fault((), "must be a mapping with name and type, such as {name: age, type: integer}")

    def fault(self, where: Path, text: str) -> None:
        self.faults.append(((*self.path, *where), text))

    def get(self, name: str, kind: type, text: str, default: Any) -> Any:
        value = self.row.get(name, default)
        right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if right or name not in self.row:
            return value
        self.fault((name,), f"must be {text}")
        return default

    def text(self, name: str, most: int, default: str = "") -> str:
        value: str = self.get(name, str, "text", default)
        if len(value) > most or not value.isprintable():
            self.fault((name,), f"must be printable text of at most {most} characters")
            return default
        return value

    def number(self, name: str, default: float) -> float:
        value: float = self.get(name, int | float, "a number", default)  # type: ignore[arg-type]
        if name in self.row and not math.isfinite(value):
            self.fault((name,), "must be a finite number")
            return default
        return value

    def feature(self) -> Feature:
        for name in self.row:
            if name not in _MEMBERS and name not in _OF_CARDS:
                known = ", ".join(_MEMBERS)
                self.fault((str(name)[:64],), f"unknown; a feature has {known}")
        name = self._name()
        kind = self.row.get("type", "number")
        if kind not in TYPES:
            self.fault(("type",), f"must be one of {', '.join(TYPES)}")
            kind = "number"
        unit = self.text("unit", 24)
        made = Feature(
            name=name,
            type=kind,
            title=self.text("title", 60) or name.replace("_", " ").capitalize(),
            unit=unit,
            unit_label=self.text("unit_label", 40) or unit,
            required=self.get("required", bool, "true or false", True),
            description=self.text("description", 300),
            aliases=self._texts("aliases", 0, 20, 40),
        )
        made = self._numeric(made) if made.is_numeric else self._chosen(made)
        return replace(made, risk=self._risk(made))

    def _name(self) -> str:
        name = self.row.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            text = "must be lower-case letters, digits and _, at most 48, beginning with a letter"
            self.fault(("name",), text)
            return ""
        if name in RESERVED:
            self.fault(("name",), f"{name} means something else in requests; choose another name")
        return name

    def _texts(self, name: str, least: int, most: int, length: int) -> tuple[str, ...]:
        given = self.row.get(name, [])
        if (
            not isinstance(given, list)
            or not least <= len(given) <= most
            or not all(isinstance(each, str) and 0 < len(each) <= length for each in given)
            or not all(each.isprintable() and each == each.strip() for each in given)
            or len(set(given)) != len(given)
        ):
            self.fault((name,), f"must be {least} to {most} different texts of at most {length} characters")
            return ()
        return tuple(given)

    def _numeric(self, made: Feature) -> Feature:
        for name in ("minimum", "maximum"):
            if name not in self.row:
                self.fault((name,), "missing: the accepted range keeps typing errors out")
        low, high = self.number("minimum", 0), self.number("maximum", 1)
        if low >= high and {"minimum", "maximum"} <= self.row.keys():
            self.fault(("maximum",), f"must be more than minimum, {low:g}")
        step = self.number("step", 1 if made.type == "integer" else 0.1)
        if step <= 0:
            self.fault(("step",), "must be more than 0")
        if "values" in self.row:
            self.fault(("values",), "only a category has values; a number has minimum and maximum")
        return replace(made, minimum=low, maximum=high, step=step, units=self._units(made))

    def _units(self, made: Feature) -> tuple[Unit, ...]:
        given = self.row.get("units", {})
        if not isinstance(given, Mapping) or len(given) > 8:
            self.fault(("units",), "must be a mapping such as {°C: {scale: 1.8, offset: 32}}")
            return ()
        if given and not made.unit:
            self.fault(("unit",), "missing: units converts to it")
        units = []
        for name, row in given.items():
            where: Path = ("units", str(name))
            numbers = [row.get("scale"), row.get("offset", 0)] if isinstance(row, Mapping) else [None]
            if (
                not isinstance(name, str)
                or not 0 < len(name) <= 24
                or not all(type(n) in (int, float) and math.isfinite(n) for n in numbers)
                or not numbers[0]
                or not row.keys() <= {"scale", "offset"}
            ):
                text = "must be {scale: S, offset: O}: a value x in it is x * S + O in the feature's unit"
                self.fault(where, text)
                continue
            units.append(Unit(name, *numbers))
        labels = [unit_name(name) for name in (made.unit, *(unit.name for unit in units))]
        if len(set(labels)) != len(labels):
            self.fault(("units",), f"names {', '.join(labels)} must differ, the degree sign aside")
        return tuple(units)

    def _chosen(self, made: Feature) -> Feature:
        for name in ("minimum", "maximum", "step", "unit", "units"):
            if name in self.row:
                self.fault((name,), f"a {made.type} has none")
        if made.type == "boolean":
            if "values" in self.row:
                self.fault(("values",), "a boolean is true or false")
            return made
        return replace(made, values=self._texts("values", 2, MOST_VALUES, 60))

    def _risk(self, made: Feature) -> Risk | None:
        if "risk" not in self.row:
            return None
        text = self.row["risk"]
        match = _RISK.fullmatch(text) if isinstance(text, str) else None
        if not match:
            self.fault(("risk",), 'must be "rises", "falls" or "rises outside LOW..HIGH"')
            return None
        if match["way"]:
            return Risk(match["way"] == "rises")
        low, high = float(match["low"]), float(match["high"])
        if not made.is_numeric:
            self.fault(("risk",), f'a {made.type} has no band: write "rises" or "falls"')
        elif not made.minimum <= low <= high <= made.maximum:
            self.fault(("risk",), f"the band must lie within {made.minimum:g} to {made.maximum:g}")
        return Risk(True, (low, high))


