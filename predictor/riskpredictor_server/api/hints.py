"""Guesses what a refused name, value or document was meant to be, for the error's detail.

A guess is only ever told: nothing that is refused is converted.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from riskpredictor_server.model.schema import Feature, Schema, Unit, number_text, unit_name

_OTHER_MEASURES: Final = ("diastolic", "pulsepressure")
"""They contain the name of another measure, and are none."""
_LEAST_WORD: Final = 4
"""Length from which a name is also looked for among the words of another."""
_LEAST_PART: Final = 6
"""Length from which inside of them, too: shorter ones are part of others, such as attempt."""
_UNITS: Final = {
    "bpm": (Unit("Hz", 60),),
    "mmHg": (Unit("kPa", 7.50062), Unit("cmHg", 10)),
    "°F": (Unit("°C", 1.8, 32), Unit("K", 1.8, -459.67)),
    "%": (Unit("a fraction", 100),),
}
"""By unit, others that values come in although the model does not declare them."""
_LEADING_NUMBER: Final = re.compile(r"\s*([+-]?\d{1,9}(?:[.,]\d{1,9})?)(?![\d.,]|[eE]\d)")
_CAMEL_WORD: Final = re.compile(r"[A-Z]?[a-z]+\d*|[A-Z]+\d*(?![a-z])")
_TRUE_FALSE: Final = {
    "true": "true", "yes": "true", "y": "true", "on": "true", "1": "true",
    "false": "false", "no": "false", "n": "false", "off": "false", "0": "false",
}  # fmt: skip


def listed(names: Sequence[str]) -> str:
    """List names for an error: all, unless that would be longer than what it says."""
    most = 12
    more = f" and {len(names) - most} more, see /openapi.json" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _squeezed(name: str) -> str:
    """Return a name without case and punctuation: heartRate and Heart-Rate are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _words_of(name: str) -> set[str]:
    """Return the words of a name, told apart by punctuation or by capitals."""
    return {word.lower() for word in (*re.split(r"[\W_]+", name), *_CAMEL_WORD.findall(name))}


class Hints:
    """Guesses by the names and units of one schema."""

    def __init__(self, schema: Schema, example: Mapping[str, Any]) -> None:
        """``example`` is a valid record."""
        self._schema = schema
        self._field_of = {
            _squeezed(word): feature.name
            for feature in schema.features
            for word in (feature.name, *feature.aliases)
        }
        with_units = [feature for feature in schema.features if feature.units]
        for feature in with_units:
            for word in (feature.unit_field, *(f"{alias}_unit" for alias in feature.aliases)):
                self._field_of[_squeezed(word)] = feature.unit_field
        self._in_names = sorted(
            (word for word in self._field_of if len(word) >= _LEAST_WORD), key=len, reverse=True
        )
        if len(with_units) == 1:
            # Not looked for inside of names: many things have a unit, and a hospital has several.
            self._field_of.setdefault("unit", with_units[0].unit_field)
        self._not_meant = [
            part for part in _OTHER_MEASURES if not any(part in word for word in self._field_of)
        ]
        first = next((f'"{name}": {json.dumps(value)}, ' for name, value in example.items()), "")
        self._shortest = f"{{{first}...}}"

    def field_meant(self, name: str) -> str | None:
        """Return the field that an unknown name stands for, if that is plain."""
        squeezed = _squeezed(name[:64])
        if any(part in squeezed for part in self._not_meant):
            return None
        if squeezed in self._field_of:
            return self._field_of[squeezed]
        words = _words_of(name[:64])
        return next(
            (
                self._field_of[word]
                for word in self._in_names
                if word in words or (len(word) >= _LEAST_PART and word in squeezed)
            ),
            None,
        )

    def value_meant(self, feature: Feature, rule: Feature, value: Any, unit_prefix: str) -> str:
        """Return what a refused number may mean, to be added to the detail; or nothing.

        ``rule`` is the feature in the unit of the request, which says units in a field that begins
        with ``unit_prefix``.
        """
        number = _number_in(value)
        if number is None:
            several = isinstance(value, list) and len(value) > 1
            return '; several patients are {"instances": [...]}, a record each' if several else ""
        if rule.minimum <= number <= rule.maximum:
            return f"; write {number_text(number)}" if rule.accepts(number) else ""
        meant = {
            unit: f"{unit}, that is {converted:.4g} {rule.unit}"
            for unit, convert in _other_units(feature, rule)
            if rule.minimum <= (converted := convert(number)) <= rule.maximum
        }
        if not meant:
            return ""
        field = f"{unit_prefix}{feature.unit_field}"
        named = [
            f'; say so with "{field}": "{unit_name(unit)}"'
            for unit in meant
            if feature.units and unit_name(unit) in feature.unit_names
        ]
        return f"; {number_text(number)} may be {' or '.join(meant.values())}{''.join(named)}"

    def choice_meant(self, rule: Feature, value: Any) -> str:
        """Return which value a refused one may mean, to be added to the detail; or nothing."""
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return ""
        text = str(value).strip().lower()[:64]
        if rule.type == "boolean":
            return f"; write {_TRUE_FALSE[text]}" if text in _TRUE_FALSE else ""
        lower = {choice.lower(): choice for choice in rule.values}
        near = difflib.get_close_matches(text, lower, n=1)
        starting = [choice for choice in lower if text and choice.startswith(text)]
        found = near or (starting if len(starting) == 1 else [])
        return f'; did you mean "{lower[found[0]]}"?' if found else ""

    def document_meant(self, value: Any) -> str:
        """Return how to send what is no record, to be added to the detail; or nothing."""
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            return "; it is JSON inside of a string: encode it once"
        if not isinstance(value, list):
            return ""
        if value and isinstance(value[0], dict | list):
            return '; several patients are {"instances": [...]}, a record each'
        return f"; name the values, as in {self._shortest}"

    def wrapper_meant(self, record: dict[str, Any]) -> tuple[str, str] | None:
        """Return which member of an object of no known field is the record, and what to do."""
        for name, inner in list(record.items())[:64]:
            if self.field_meant(name):
                continue
            if isinstance(inner, dict):
                return name, f'send the members of "{name[:64]}" without it: a record is not nested'
            if isinstance(inner, list):
                if any(isinstance(each, dict) and "datatype" in each for each in inner[:1]):
                    return name, "tensors go to /v2/models/NAME/infer, records to /predict"
                if any(isinstance(each, dict) for each in inner[:1]):
                    return name, 'a batch is {"instances": [...]}: use that name'
                names = listed(self._schema.names)
                return name, f"name the values: a record is a JSON object with {names}"
        return None


def _other_units(feature: Feature, rule: Feature) -> Iterator[tuple[str, Callable[[float], float]]]:
    """Every unit but the rule's that its values may come in, and the conversion to the rule's."""
    own = Unit(feature.unit, 1)
    declared = {unit.name: unit for unit in (own, *feature.units)}
    known = {unit.name: unit for unit in _UNITS.get(feature.unit, ())}
    target = declared[rule.unit]
    for name, unit in (declared | known).items():
        if name != rule.unit:
            yield name, lambda value, unit=unit: target.from_own(unit.to_own(value))  # type: ignore[misc]


def _number_in(value: Any) -> float | None:
    """Return the one number that a value holds: 85, "85 bpm", "120/80", [85], {"value": 85}."""
    if isinstance(value, list) and len(value) == 1:
        return _number_in(value[0]) if not isinstance(value[0], list | dict) else None
    if isinstance(value, dict):
        inner = value.get("value")
        return _number_in(inner) if not isinstance(inner, list | dict) else None
    if isinstance(value, str):
        found = _LEADING_NUMBER.match(value)
        return float(found[1].replace(",", ".")) if found else None
    # Numbers that no float holds are no measurement in another unit.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and -1e9 < value < 1e9 else None
