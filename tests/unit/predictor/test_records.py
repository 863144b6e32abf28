"""Records of requests: every fault is named with value, range and unit."""

from __future__ import annotations

import math
from typing import Any

import pytest
from unit.predictor.support import HEALTHY

from riskpredictor_server.api.records import InvalidRecordError, read_record
from riskpredictor_server.model.vitals import VITALS


def refused(record: Any) -> dict[str, dict[str, Any]]:
    with pytest.raises(InvalidRecordError) as caught:
        read_record(record)
    return {error["field"]: error for error in caught.value.errors}


def test_a_valid_record_gives_its_values_in_order() -> None:
    assert read_record(HEALTHY) == (85, 120, 98.6, 97)


@pytest.mark.parametrize("vital", VITALS, ids=lambda vital: vital.name)
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
