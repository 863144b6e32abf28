"""Records are validated by what their model declares: every type, unit and optional feature."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.predictor.declared import PATIENT, WARD, value_of, values_of

from riskpredictor_server.api.records import InvalidRecordError, RecordReader
from riskpredictor_server.model.declaration import read_schema

READER = RecordReader(WARD, PATIENT)


def refused(record: Any) -> dict[str, dict[str, Any]]:
    with pytest.raises(InvalidRecordError) as caught:
        READER.read(record)
    return {error["field"]: error for error in caught.value.errors}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in PATIENT.items() if name not in names}


def test_a_valid_record_gives_its_values_in_order() -> None:
    assert READER.read(PATIENT) == (16, 98.6, 1.1, False, "Alert", "A")


@pytest.mark.parametrize(
    "record", [without("lactate", "ward"), PATIENT | {"lactate": None, "ward": None}]
)
def test_what_is_not_required_may_be_left_out_or_null(record: Any) -> None:
    assert READER.read(record) == (16, 98.6, None, False, "Alert", None)


def test_every_feature_may_come_in_a_unit_of_its_own() -> None:
    changes = {"temperature": 37, "temperature_unit": "C", "lactate": 10, "lactate_unit": "mg/dL"}
    values = READER.read(PATIENT | changes)
    assert values[1:3] == pytest.approx((98.6, 1.11), abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "field", "problem", "detail"),
    [
        ({"respiratory_rate": 16.5}, "respiratory_rate", "not_an_integer",
         "must be a whole number, 4 to 70 breaths/min"),
        ({"respiratory_rate": "16"}, "respiratory_rate", "not_a_number",
         "must be a whole number, 4 to 70 breaths/min; this is a string; write 16"),
        ({"respiratory_rate": 71}, "respiratory_rate", "out_of_range",
         "must be 4 to 70 breaths/min"),
        ({"supplemental_oxygen": 1}, "supplemental_oxygen", "not_a_boolean",
         "must be true or false; this is a number; write true"),
        ({"supplemental_oxygen": "No"}, "supplemental_oxygen", "not_a_boolean",
         "must be true or false; this is a string; write false"),
        ({"supplemental_oxygen": None}, "supplemental_oxygen", "not_a_boolean",
         "must be true or false; this is null"),
        ({"consciousness": "alert"}, "consciousness", "not_allowed",
         'must be "Alert", "Voice", "Pain" or "Unresponsive"; did you mean "Alert"?'),
        ({"consciousness": "U"}, "consciousness", "not_allowed",
         'must be "Alert", "Voice", "Pain" or "Unresponsive"; did you mean "Unresponsive"?'),
        ({"consciousness": ["Alert"]}, "consciousness", "not_allowed",
         'must be "Alert", "Voice", "Pain" or "Unresponsive"'),
        ({"lactate": 300}, "lactate", "out_of_range",
         "must be 0.1 to 30 mmol/L"),
        ({"lactate": 40}, "lactate", "out_of_range",
         ('must be 0.1 to 30 mmol/L; 40 may be mg/dL, that is 4.44 mmol/L; say so with'
          ' "lactate_unit": "mg/dL"')),
        ({"lactate_unit": "g"}, "lactate_unit", "not_allowed",
         'lactate_unit must be "mmol/L" or "mg/dL"'),
        ({"rr": 16}, "rr", "unknown_field", "unknown field; the fields are respiratory_rate,"),
    ],
    ids=lambda each: str(each)[:40],
)  # fmt: skip
def test_a_fault_names_field_and_fix(
    changes: dict[str, Any], field: str, problem: str, detail: str
) -> None:
    error = refused(PATIENT | changes)[field]
    assert error["problem"] == problem
    assert (
        error["detail"].startswith(detail)
        if problem == "unknown_field"
        else error["detail"] == detail
    )


def test_what_is_missing_is_named_with_what_it_may_be() -> None:
    errors = refused({})
    assert {name: error["detail"] for name, error in errors.items()} == {
        "respiratory_rate": "required, 4 to 70 breaths/min",
        "temperature": "required, 77 to 113 °F",
        "supplemental_oxygen": "required, true or false",
        "consciousness": "required, Alert, Voice, Pain, Unresponsive",
    }
    assert errors["consciousness"]["allowed"] == ["Alert", "Voice", "Pain", "Unresponsive"]


def test_a_whole_number_with_a_point_is_an_integer() -> None:
    """As in JSON Schema: 16.0 and 16 are one number."""
    assert READER.read(PATIENT | {"respiratory_rate": 16.0})[0] == 16


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 120),
    st.floats(-5, 120),
    st.sampled_from(["A", "Pain"]),
)
records = st.fixed_dictionaries(
    {}, optional={f.name: value_of(f) | anything for f in WARD.features} | {"other": anything}
)


@given(records)
def test_the_fast_way_and_the_thorough_way_agree(record: dict[str, Any]) -> None:
    """What the fast way takes, the other reads as the same; what it leaves may still be valid."""
    fast = READER._fast(record)
    if fast is not None:
        assert READER._inspect(record, "") == fast


@given(values_of(WARD))
def test_every_accepted_record_is_read_back(values: tuple[Any, ...]) -> None:
    record = dict(zip(WARD.names, values, strict=True))
    assert READER.read(record) == values
    given_only = {name: value for name, value in record.items() if value is not None}
    assert READER.read_many([given_only], "x") == [values]


def test_a_model_that_needs_nothing_may_have_an_example_of_nothing() -> None:
    schema = read_schema({"features": [{"name": "oxygen", "type": "boolean", "required": False}]})
    reader = RecordReader(schema, {})
    assert reader.read({}) == (None,)
    with pytest.raises(InvalidRecordError, match=r"name the values, as in \{\.\.\.\}"):
        reader.read([1])


def test_large_numbers_are_told_in_full() -> None:
    row = {"name": "platelets", "unit": "per nL", "minimum": 1000, "maximum": 1234567}
    reader = RecordReader(read_schema({"features": [row]}), {"platelets": 250_000})
    for value, detail in (
        (1_234_568, "must be 1000 to 1234567 per nL"),
        ("1034567", "; write 1034567"),
    ):
        with pytest.raises(InvalidRecordError) as caught:
            reader.read({"platelets": value})
        assert detail in caught.value.errors[0]["detail"]
