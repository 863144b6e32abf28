"""Reads the declaration of a schema: part of a model card, or a schema file of training."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from riskpredictor_server.model.schema import (
    DEFAULT_LEVELS,
    TYPES,
    Feature,
    Risk,
    Schema,
    Unit,
    unit_name,
)

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
    features = [
        _Reader(row, ("features", index), faults).feature() for index, row in enumerate(rows)
    ]
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
    "name", "type", "title", "unit", "unit_label", "minimum", "maximum", "step", "required",
    "units", "values", "description", "aliases", "risk",
)  # fmt: skip
_OF_CARDS: Final = frozenset(
    (
        "accepted",
        "trained_on",
        "mean",
        "standard_deviation",
        "baseline",
        "fill",
        "left_out",
        "monotone",
    )
)
"""What a card tells about a feature besides its declaration."""


class _Reader:
    """Reads one feature; adds what is wrong to ``faults``."""

    def __init__(self, row: Any, path: Path, faults: list[tuple[Path, str]]) -> None:
        self.row: Mapping[str, Any] = row if isinstance(row, Mapping) else {}
        self.given, self.path, self.faults = row, path, faults

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
        if not isinstance(self.given, Mapping):
            self.fault(
                (), "must be a mapping with name and type, such as {name: age, type: integer}"
            )
            return Feature("")
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
            self.fault(
                (name,), f"must be {least} to {most} different texts of at most {length} characters"
            )
            return ()
        return tuple(given)

    def _numeric(self, made: Feature) -> Feature:
        for name in ("minimum", "maximum"):
            if name not in self.row:
                self.fault((name,), "missing: the accepted range keeps typing errors out")
        low, high = self.number("minimum", 0), self.number("maximum", 1)
        if made.type == "integer":
            for name, value in (("minimum", low), ("maximum", high)):
                if value != int(value):
                    self.fault((name,), "must be a whole number, as all values of an integer are")
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
            numbers: list[Any] = [None]
            if isinstance(row, Mapping):
                numbers = [row.get("scale"), row.get("offset", 0)]
            if (
                not isinstance(name, str)
                or not 0 < len(name) <= 24
                or not all(type(n) in (int, float) and math.isfinite(n) for n in numbers)
                or not numbers[0]
                or not row.keys() <= {"scale", "offset"}
            ):
                text = "must be {scale: S, offset: O}; a value x in it is x * S + O in the own unit"
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
