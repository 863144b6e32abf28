"""Validates patient records of requests: types, ranges, temperature unit, unknown fields.

The OpenAPI description is generated from the same rules.
"""

from __future__ import annotations

import math
from typing import Any, Final

from riskpredictor_server.api.hints import (
    document_meant,
    field_meant,
    value_meant,
    wrapper_meant,
)
from riskpredictor_server.model.vitals import VITAL_NAMES, VITALS, Values, Vital

TEMPERATURE_UNITS: Final = ("F", "C")
UNIT_FIELD: Final = "temperature_unit"
PROBLEMS: Final = (
    "missing",
    "not_a_number",
    "out_of_range",
    "not_allowed",
    "unknown_field",
    "not_an_object",
)
"""Every value of an error's ``problem``."""

# 25 to 45 °C is exactly 77 to 113 °F, so both units accept the same temperatures.
CELSIUS: Final = Vital("temperature", "Temperature", "°C", "°C", 25, 45, 0.1, "Temperature (°C).")
_FIELDS: Final = frozenset((*VITAL_NAMES, UNIT_FIELD))
_UNKNOWN: Final = f"unknown field; the fields are {', '.join(VITAL_NAMES)}, {UNIT_FIELD}"
_MAX_ERRORS: Final = 100
_NUMBER: Final = frozenset((int, float))
"""Exact types: bool is a subclass of int, and true is no measurement."""
(_HR_LO, _HR_HI), (_BP_LO, _BP_HI), (_T_LO, _T_HI), (_OX_LO, _OX_HI) = (
    (vital.minimum, vital.maximum) for vital in VITALS
)


class InvalidRecordError(ValueError):
    """A record is refused; ``errors`` has one entry per bad, missing or unknown field."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(f"{errors[0]['field']}: {errors[0]['detail']}".removeprefix(": "))
        self.errors = errors


def fahrenheit(celsius: float) -> float:
    """Convert °C to °F."""
    return celsius * 9 / 5 + 32


def read_record(record: Any, unit_field: str = UNIT_FIELD) -> Values:
    """Validate a decoded JSON record and return its values, temperature in °F.

    ``unit_field`` is where the request says the unit, for errors. Raises InvalidRecordError with
    the errors of all fields. The first branch applies the rules of :func:`_inspect` to the common
    valid record in a fraction of its time.
    """
    if type(record) is dict and len(record) == 4:
        try:
            hr = record["heart_rate"]
            bp = record["blood_pressure"]
            t = record["temperature"]
            ox = record["oxygen_level"]
        except KeyError:
            return _inspect(record, unit_field)
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
    return _inspect(record, unit_field)


def read_records(records: Any, path: str, unit_field: str = UNIT_FIELD) -> list[Values]:
    """Validate a list of decoded records.

    Raises InvalidRecordError; its errors name fields as ``path[index].field``, and no further
    record is checked once there are 100.
    """
    rows: list[Values] = []
    errors: list[dict[str, Any]] = []
    read, add = read_record, rows.append
    for index, record in enumerate(records):
        try:
            add(read(record, unit_field))
        except InvalidRecordError as invalid:
            for error in invalid.errors:
                field = f"{path}[{index}].{error['field']}".removesuffix(".")
                errors.append({**error, "field": field})
            if len(errors) >= _MAX_ERRORS:
                break
    if errors:
        raise InvalidRecordError(errors)
    return rows


def _inspect(record: Any, unit_field: str) -> Values:
    if not isinstance(record, dict):
        detail = (
            f"a record is a JSON object with {', '.join(VITAL_NAMES)}; this is {_json_type(record)}"
            f"{document_meant(record)}"
        )
        raise InvalidRecordError([{"field": "", "problem": "not_an_object", "detail": detail}])
    unknown = [str(name)[:64] for name in list(record)[:64] if name not in _FIELDS]
    wrapper = wrapper_meant(record) if len(unknown) == len(record) else None
    if wrapper:
        # Four missing fields would only hide the one that tells why.
        name, detail = wrapper[0][:64], f"unknown field; {wrapper[1]}"
        raise InvalidRecordError([{"field": name, "problem": "unknown_field", "detail": detail}])
    meant = {name: field for name in unknown if (field := field_meant(name)) not in record}
    errors: list[dict[str, Any]] = []
    unit = record.get("temperature_unit", "F")
    if unit not in TEMPERATURE_UNITS:
        errors.append(
            {
                "field": "temperature_unit",
                "problem": "not_allowed",
                "value": shown(unit),
                "allowed": list(TEMPERATURE_UNITS),
                "detail": 'temperature_unit must be "F" or "C"',
            }
        )
    values = []
    for vital in VITALS:
        rule = CELSIUS if vital.name == CELSIUS.name and unit == "C" else vital
        error = _field_error(rule, record, meant, unit_field)
        if error:
            errors.append(error)
        else:
            values.append(float(record[vital.name]))
    errors.extend(
        {"field": name, "problem": "unknown_field", "detail": _unknown(meant.get(name))}
        for name in unknown
    )
    if errors:
        raise InvalidRecordError(errors)
    hr, bp, t, ox = values
    return (hr, bp, fahrenheit(t) if unit == "C" else t, ox)


def _unknown(meant: str | None) -> str:
    return f'{_UNKNOWN}; did you mean "{meant}"?' if meant else _UNKNOWN


def _field_error(
    vital: Vital, record: dict[str, Any], meant: dict[str, str | None], unit_field: str
) -> dict[str, Any] | None:
    """Return what is wrong with a field; ``meant`` has the fields that unknown names stand for."""
    value: Any = record.get(vital.name)
    # NaN is in no range: every comparison with it is false.
    if type(value) in _NUMBER and vital.minimum <= value <= vital.maximum:
        return None
    span = f"{vital.minimum:g} to {vital.maximum:g} {vital.unit}"
    sent = {"value": shown(value)}
    if vital.name not in record:
        problem, detail, sent = "missing", f"required, {span}", {}
        renamed = next((name for name, field in meant.items() if field == vital.name), None)
        if renamed:
            detail += f'; was it sent as "{renamed}"?'
    elif type(value) in _NUMBER:
        problem = "out_of_range"
        detail = f"must be {span}{value_meant(vital, value, unit_field)}"
    else:
        problem = "not_a_number"
        detail = (
            f"must be a JSON number, {span}; this is {_json_type(value)}"
            f"{value_meant(vital, value, unit_field)}"
        )
    return {
        "field": vital.name,
        "problem": problem,
        **sent,
        "detail": detail,
        "minimum": vital.minimum,
        "maximum": vital.maximum,
        "unit": vital.unit,
    }


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


def shown(value: Any) -> Any:
    """Shorten a client's value to what an error repeats: at most 64 characters of valid JSON."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else "a huge whole number"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else _json_type(value)
    return text if len(text) <= 64 else f"{text[:63]}…"
