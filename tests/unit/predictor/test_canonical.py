"""A record as bytes: alike for equal records, different for others."""

from __future__ import annotations

import pytest
from hypothesis import given
from unit.predictor.declared import WARD, values_of

from riskpredictor_server.model.canonical import canonical
from riskpredictor_server.model.declaration import read_schema
from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.model.vitals import VITALS


@given(values_of(WARD), values_of(WARD))
def test_the_bytes_are_equal_if_and_only_if_the_records_are(one: Values, other: Values) -> None:
    write = canonical(WARD)
    assert (write(one) == write(other)) == (one == other)
    assert write(one) == write(tuple(one))


@given(values_of(VITALS), values_of(VITALS))
def test_likewise_of_numbers_alone(one: Values, other: Values) -> None:
    write = canonical(VITALS)
    assert (write(one) == write(other)) == (one == other)


def _one(**feature: object) -> Schema:
    return read_schema({"features": [{"name": "x", "minimum": -5, "maximum": 50, **feature}]})


@pytest.mark.parametrize(
    ("one", "other"), [(37, 37.0), (0.0, -0.0), (0, -0.0)], ids=["int", "zero", "whole zero"]
)
@pytest.mark.parametrize("required", [True, False])
def test_equal_numbers_of_other_types_or_signs(one: float, other: float, required: bool) -> None:
    write = canonical(_one(required=required))
    assert write((one,)) == write((other,))


def test_what_was_left_out_is_no_number() -> None:
    write = canonical(_one(required=False))
    assert write((None,)) not in (write((0,)), write((-5,)), write((50,)))
