"""Guesses what a refused name, value or document was meant to be, for the error's detail.

A guess is only ever told: nothing that is refused is converted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from riskpredictor_server.model.vitals import VITAL_NAMES, Vital

_WORDS: Final = {
    "heart_rate": ("hr", "pulse", "bpm"),
    "blood_pressure": ("bp", "sbp", "sys", "systolic"),
    "temperature": ("temp",),
    "oxygen_level": ("spo2", "sao2", "o2", "o2sat", "oxygen", "saturation"),
    "temperature_unit": ("unit", "temp_unit"),
}
"""What else a field is called."""
_OTHER_MEASURES: Final = ("diastolic", "pulsepressure")
"""They contain such a word, and are no input."""
_LEAST_WORD: Final = 4
"""Length from which such a word is also looked for among the words of a name."""
_LEAST_PART: Final = 6
"""Length from which inside of them, too: shorter ones are part of others, such as attempt."""
_UNITS: Final[Mapping[str, Mapping[str, Callable[[float], float]]]] = {
    "bpm": {"Hz": lambda value: value * 60},
    "mmHg": {"kPa": lambda value: value * 7.50062, "cmHg": lambda value: value * 10},
    "°F": {
        "°C": lambda value: value * 9 / 5 + 32,
        "K": lambda value: (value - 273.15) * 9 / 5 + 32,
    },
    "°C": {"°F": lambda value: (value - 32) * 5 / 9, "K": lambda value: value - 273.15},
    "%": {"a fraction": lambda value: value * 100},
}
"""For the unit of a rule, others that values come in, and the conversion."""
_LEADING_NUMBER: Final = re.compile(r"\s*([+-]?\d{1,9}(?:[.,]\d{1,9})?)(?![\d.,]|[eE]\d)")


def _squeezed(name: str) -> str:
    """Return a name without case and punctuation: heartRate and Heart-Rate are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


_FIELD_OF: Final = {
    _squeezed(word): field for field, words in _WORDS.items() for word in (field, *words)
}
_IN_NAMES: Final = sorted(
    (word for word in _FIELD_OF if len(word) >= _LEAST_WORD and word != "unit"),
    key=len, reverse=True,
)  # fmt: skip
"""Such words, longest first. Many things have a unit, and a hospital has several."""
_CAMEL_WORD: Final = re.compile(r"[A-Z]?[a-z]+\d*|[A-Z]+\d*(?![a-z])")


def _words_of(name: str) -> set[str]:
    """Return the words of a name, told apart by punctuation or by capitals."""
    return {word.lower() for word in (*re.split(r"[\W_]+", name), *_CAMEL_WORD.findall(name))}


def field_meant(name: str) -> str | None:
    """Return the field that an unknown name stands for, if that is plain."""
    squeezed = _squeezed(name[:64])
    if any(part in squeezed for part in _OTHER_MEASURES):
        return None
    if squeezed in _FIELD_OF:
        return _FIELD_OF[squeezed]
    words = _words_of(name[:64])
    return next(
        (
            _FIELD_OF[word]
            for word in _IN_NAMES
            if word in words or (len(word) >= _LEAST_PART and word in squeezed)
        ),
        None,
    )


def value_meant(rule: Vital, value: Any, unit_field: str) -> str:
    """Return what a refused value of a field may mean, to be added to the detail; or nothing.

    ``unit_field`` is where a request says its unit of temperatures.
    """
    number = _number_in(value)
    if number is None:
        several = isinstance(value, list) and len(value) > 1
        return '; several patients are {"instances": [...]}, a record each' if several else ""
    if rule.minimum <= number <= rule.maximum:
        return f"; write {number:g}"
    meant = {
        unit: f"{unit}, that is {converted:.4g} {rule.unit}"
        for unit, convert in _UNITS.get(rule.unit, {}).items()
        if rule.minimum <= (converted := convert(number)) <= rule.maximum
    }
    if not meant:
        return ""
    named = [f'; say so with "{unit_field}": "{unit[1]}"' for unit in meant if unit[0] == "°"]
    return f"; {number:g} may be {' or '.join(meant.values())}{''.join(named)}"


def document_meant(value: Any) -> str:
    """Return how to send what is no record, to be added to the detail; or nothing."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return "; it is JSON inside of a string: encode it once"
    if not isinstance(value, list):
        return ""
    if value and isinstance(value[0], dict | list):
        return '; several patients are {"instances": [...]}, a record each'
    return '; name the values, as in {"heart_rate": 85, ...}'


def wrapper_meant(record: dict[str, Any]) -> tuple[str, str] | None:
    """Return the member of an object of no known field that holds the records, and what to do."""
    for name, inner in list(record.items())[:64]:
        if field_meant(name):
            continue
        if isinstance(inner, dict):
            return name, f'send the members of "{name[:64]}" without it: a record is not nested'
        if isinstance(inner, list):
            if any(isinstance(each, dict) and "datatype" in each for each in inner[:1]):
                return name, "tensors go to /v2/models/NAME/infer, records to /predict"
            if any(isinstance(each, dict) for each in inner[:1]):
                return name, 'a batch is {"instances": [...]}: use that name'
            fields = ", ".join(VITAL_NAMES)
            return name, f"name the values: a record is a JSON object with {fields}"
    return None


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
