"""The one description of a patient record: what validates input also documents the API."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

RISK_LEVELS: Final = ("Low", "Medium", "High")

Values = tuple[float, float, float, float]
"""Vitals in the order of ``VITALS``; temperature always in °F."""


@dataclass(frozen=True)
class Vital:
    """One input. ``minimum`` and ``maximum`` bound what a living patient's monitor can show."""

    name: str
    title: str
    unit: str
    unit_label: str
    minimum: float
    maximum: float
    step: float
    description: str


VITALS: Final = (
    Vital("heart_rate", "Heart rate", "bpm", "bpm", 20, 300, 1, "Heart rate, beats per minute."),
    Vital(
        "blood_pressure",
        "Blood pressure",
        "mmHg",
        "mmHg, systolic",
        40,
        300,
        1,
        "Systolic blood pressure, millimetres of mercury.",
    ),
    Vital("temperature", "Temperature", "°F", "°F", 77, 113, 0.1, "Body temperature (°F)."),
    Vital(
        "oxygen_level",
        "Oxygen level",
        "%",
        "% SpO₂",
        40,
        100,
        1,
        "Peripheral oxygen saturation, SpO2, in percent.",
    ),
)
VITAL_NAMES: Final = tuple(vital.name for vital in VITALS)
TEMPERATURE_UNITS: Final = ("F", "C")
PROBLEMS: Final = (
    "missing",
    "not_a_number",
    "out_of_range",
    "not_allowed",
    "unknown_field",
    "not_an_object",
)
"""Every value of ``problem`` in an error."""

# 77 to 113 °F is 25 to 45 °C exactly, so both units refuse the same patients.
CELSIUS: Final = Vital("temperature", "Temperature", "°C", "°C", 25, 45, 0.1, "Temperature (°C).")
_FIELDS: Final = frozenset((*VITAL_NAMES, "temperature_unit"))
_MAX_ERRORS: Final = 100
_NUMBER: Final = frozenset((int, float))
_T: Final = VITALS[2]
(_HR_LO, _HR_HI), (_BP_LO, _BP_HI), (_T_LO, _T_HI), (_OX_LO, _OX_HI) = (
    (vital.minimum, vital.maximum) for vital in VITALS
)


class InvalidRecordError(ValueError):
    """A record that is refused; ``errors`` has one entry per bad, missing or unknown field."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(f"{errors[0]['field']}: {errors[0]['detail']}".removeprefix(": "))
        self.errors = errors


def fahrenheit(celsius: float) -> float:
    """Convert °C to °F."""
    return celsius * 9 / 5 + 32


def read_record(record: Any) -> Values:
    """Four checked values (temperature in °F) of a decoded JSON record.

    Raises InvalidRecordError with every field error at once. The first branch is the same
    rules as :func:`_inspect`, arranged for the common valid record.
    """
    if type(record) is dict and len(record) == 4:
        try:
            hr = record["heart_rate"]
            bp = record["blood_pressure"]
            t = record["temperature"]
            ox = record["oxygen_level"]
        except KeyError:
            return _inspect(record)
        if (
            type(hr) in _NUMBER
            and type(bp) in _NUMBER
            and type(t) in _NUMBER
            and type(ox) in _NUMBER
            and _HR_LO <= hr <= _HR_HI
            and _BP_LO <= bp <= _BP_HI
            and _T_LO <= t <= _T_HI
            and _OX_LO <= ox <= _OX_HI
        ):
            return (hr, bp, t, ox)
    return _inspect(record)


def read_records(records: Any, path: str) -> list[Values]:
    """Check a list of decoded records; errors name them as ``path[index].field``.

    Raises InvalidRecordError with the first hundred errors or so.
    """
    rows: list[Values] = []
    errors: list[dict[str, Any]] = []
    read, add = read_record, rows.append
    for index, record in enumerate(records):
        try:
            add(read(record))
        except InvalidRecordError as invalid:
            for error in invalid.errors:
                field = f"{path}[{index}].{error['field']}".removesuffix(".")
                errors.append({**error, "field": field})
            if len(errors) >= _MAX_ERRORS:
                break
    if errors:
        raise InvalidRecordError(errors)
    return rows


def _inspect(record: Any) -> Values:
    if not isinstance(record, dict):
        error = [
            {
                "field": "",
                "problem": "not_an_object",
                "detail": f"a record is a JSON object with {', '.join(VITAL_NAMES)};"
                f" this is {_json_type(record)}",
            }
        ]
        raise InvalidRecordError(error)
    errors: list[dict[str, Any]] = []
    unit = record.get("temperature_unit", "F")
    if unit not in TEMPERATURE_UNITS:
        errors.append(
            {
                "field": "temperature_unit",
                "problem": "not_allowed",
                "value": _shown(unit),
                "allowed": list(TEMPERATURE_UNITS),
                "detail": 'temperature_unit must be "F" or "C"',
            }
        )
    values = []
    for vital in VITALS:
        rule = CELSIUS if vital is _T and unit == "C" else vital
        wrong = _field_error(rule, record)
        if wrong:
            errors.append(wrong)
        else:
            values.append(float(record[vital.name]))
    errors.extend(
        {
            "field": str(name)[:64],
            "problem": "unknown_field",
            "detail": f"unknown field; the fields are {', '.join(VITAL_NAMES)}, temperature_unit",
        }
        for name in list(record)[:64]
        if name not in _FIELDS
    )
    if errors:
        raise InvalidRecordError(errors)
    hr, bp, t, ox = values
    return (hr, bp, fahrenheit(t) if unit == "C" else t, ox)


def _field_error(vital: Vital, record: dict[str, Any]) -> dict[str, Any] | None:
    allowed = {"minimum": vital.minimum, "maximum": vital.maximum, "unit": vital.unit}
    span = f"{vital.minimum:g} to {vital.maximum:g} {vital.unit}"
    error: dict[str, Any] = {"field": vital.name}
    if vital.name not in record:
        return error | {"problem": "missing", "detail": f"required, {span}", **allowed}
    value = record[vital.name]
    if type(value) not in _NUMBER:
        detail = f"must be a JSON number, {span}; this is {_json_type(value)}"
        return (
            error | {"problem": "not_a_number", "value": _shown(value), "detail": detail} | allowed
        )
    # NaN and the infinities fail this comparison too.
    if not vital.minimum <= value <= vital.maximum:
        detail = f"must be {span}"
        return (
            error | {"problem": "out_of_range", "value": _shown(value), "detail": detail} | allowed
        )
    return None


def _json_type(value: Any) -> str:
    for kinds, name in (
        (bool, "a boolean"),
        ((int, float), "a number"),
        (str, "a string"),
        (list, "an array"),
        (dict, "an object"),
    ):
        if isinstance(value, kinds):
            return name
    return "null"


def _shown(value: Any) -> Any:
    """The value as an error may repeat it: short, and always valid JSON."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else "a huge whole number"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else _json_type(value)
    return text if len(text) <= 64 else f"{text[:63]}…"
