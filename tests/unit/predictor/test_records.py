"""Records of requests: every fault is named with value, range and unit."""

from __future__ import annotations

import math
from typing import Any

import pytest
from unit.predictor.support import HEALTHY

from riskpredictor_server.api.records import InvalidRecordError, RecordReader
from riskpredictor_server.model.vitals import EXAMPLES, VITALS

read_record = RecordReader(VITALS, EXAMPLES[0]["record"]).read


def refused(record: Any) -> dict[str, dict[str, Any]]:
    with pytest.raises(InvalidRecordError) as caught:
        read_record(record)
    return {error["field"]: error for error in caught.value.errors}


def test_a_valid_record_gives_its_values_in_order() -> None:
    assert read_record(HEALTHY) == (85, 120, 98.6, 97)


@pytest.mark.parametrize("vital", VITALS.features, ids=lambda vital: vital.name)
def test_the_edges_of_a_range_are_allowed_and_what_lies_beyond_is_not(vital: Any) -> None:
    for edge, beyond in (
        (vital.minimum, math.nextafter(vital.minimum, -math.inf)),
        (vital.maximum, math.nextafter(vital.maximum, math.inf)),
    ):
        assert edge in read_record(HEALTHY | {vital.name: edge})
        error = refused(HEALTHY | {vital.name: beyond})[vital.name]
        assert error["problem"] == "out_of_range"
        assert (error["minimum"], error["maximum"]) == (vital.minimum, vital.maximum)
        assert error["unit"] == vital.unit
        assert error["value"] == beyond


def test_every_problem_is_reported_at_once_with_value_range_and_unit() -> None:
    errors = refused({"heart_rate": 8500, "blood_pressure": "120", "temperature": True, "age": 7})
    assert {name: error["problem"] for name, error in errors.items()} == {
        "heart_rate": "out_of_range",
        "blood_pressure": "not_a_number",
        "temperature": "not_a_number",
        "oxygen_level": "missing",
        "age": "unknown_field",
    }
    assert errors["heart_rate"]["detail"] == "must be 20 to 300 bpm"
    assert errors["blood_pressure"]["value"] == "120"


@pytest.mark.parametrize(
    "value",
    [True, None, "85", "", [85], {"value": 85}, math.nan, math.inf, -math.inf, 10**400],
    ids=lambda value: "huge" if value == 10**400 else repr(value),
)
def test_only_finite_json_numbers_are_numbers(value: Any) -> None:
    assert refused(HEALTHY | {"heart_rate": value}).keys() == {"heart_rate"}


@pytest.mark.parametrize("record", [None, 1, "x", [], [HEALTHY], True], ids=repr)
def test_a_record_is_an_object(record: Any) -> None:
    assert refused(record)[""]["problem"] == "not_an_object"


def test_celsius_is_converted() -> None:
    record = HEALTHY | {"temperature": 37, "temperature_unit": "C"}
    assert list(read_record(record)) == pytest.approx([85, 120, 98.6, 97])
    assert read_record(HEALTHY | {"temperature_unit": "F"}) == read_record(HEALTHY)


def test_celsius_ranges_are_named_in_celsius() -> None:
    error = refused(HEALTHY | {"temperature_unit": "C"})["temperature"]
    assert (error["minimum"], error["maximum"], error["unit"]) == (25, 45, "°C")


@pytest.mark.parametrize("unit", ["K", "f", "", 1, None, [], {}], ids=repr)
def test_an_unknown_temperature_unit_is_refused(unit: Any) -> None:
    error = refused(HEALTHY | {"temperature_unit": unit})["temperature_unit"]
    assert error["allowed"] == ["F", "C"]


def test_a_value_from_a_client_is_repeated_in_short_form() -> None:
    error = refused(HEALTHY | {"heart_rate": "x" * 10_000})["heart_rate"]
    assert len(error["value"]) == 64


@pytest.mark.parametrize(
    ("changes", "field", "meant"),
    [
        ({"temperature": 37.2}, "temperature", 'may be °C, that is 98.96 °F; say so with "temper'),
        ({"temperature": 310.3}, "temperature", "may be K, that is 98.87 °F"),
        ({"temperature": 98.6, "temperature_unit": "C"}, "temperature", '"temperature_unit": "F"'),
        ({"oxygen_level": 0.98}, "oxygen_level", "may be a fraction, that is 98 %"),
        ({"blood_pressure": 16}, "blood_pressure", "kPa, that is 120 mmHg or cmHg, that is 160"),
        ({"heart_rate": 1.4}, "heart_rate", "may be Hz, that is 84 bpm"),
        ({"heart_rate": "85"}, "heart_rate", "this is a string; write 85"),
        ({"blood_pressure": "120/80"}, "blood_pressure", "write 120"),
        ({"temperature": "98,6 F"}, "temperature", "write 98.6"),
        ({"temperature": "37.2"}, "temperature", "37.2 may be °C"),
        ({"oxygen_level": [97]}, "oxygen_level", "write 97"),
        ({"oxygen_level": {"value": 97, "unit": "%"}}, "oxygen_level", "write 97"),
    ],
    ids=str,
)
def test_a_value_in_another_form_is_refused_with_what_it_may_mean(
    changes: dict[str, Any], field: str, meant: str
) -> None:
    assert meant in refused(HEALTHY | changes)[field]["detail"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("heart_rate", 850), ("oxygen_level", 986), ("temperature", 986), ("heart_rate", "fast"),
        ("heart_rate", "1e999"), ("heart_rate", None), ("heart_rate", []), ("heart_rate", [[85]]),
        ("blood_pressure", "10.120.3.4"), ("heart_rate", math.nan), ("heart_rate", {"value": {}}),
    ],
)  # fmt: skip
def test_nothing_is_guessed_where_nothing_fits(field: str, value: Any) -> None:
    detail = refused(HEALTHY | {field: value})[field]["detail"]
    assert "write" not in detail
    assert "may be" not in detail


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("heartRate", "heart_rate"),
        ("HR", "heart_rate"),
        ("Heart Rate", "heart_rate"),
        ("patient.pulse", "heart_rate"),
        ("systolicBP", "blood_pressure"),
        ("body_temp", "temperature"),
        ("SpO2", "oxygen_level"),
        ("oxygenSaturation", "oxygen_level"),
        ("SpO2_percent", "oxygen_level"),
        ("tempF", "temperature"),
        ("bodytemperature", "temperature"),
    ],
)
def test_another_name_of_a_field_is_told_by_both_errors(name: str, field: str) -> None:
    record: dict[str, Any] = {**HEALTHY, name: HEALTHY[field]}
    del record[field]
    errors = refused(record)
    assert f'was it sent as "{name}"?' in errors[field]["detail"]
    assert f'did you mean "{field}"?' in errors[name]["detail"]


@pytest.mark.parametrize(
    "name",
    [
        "age", "diastolic_blood_pressure", "pulse_pressure", "id", "community", "care_unit",
        "unitId", "attempt", "template", "impulse", "hr_department", "system",
    ],
)  # fmt: skip
def test_another_measure_is_taken_for_no_field(name: str) -> None:
    record: dict[str, Any] = {name: 80}
    assert "did you mean" not in refused(record)[name]["detail"]


def test_a_name_is_not_suggested_if_its_field_is_there() -> None:
    assert "did you mean" not in refused(HEALTHY | {"hr": 85})["hr"]["detail"]
