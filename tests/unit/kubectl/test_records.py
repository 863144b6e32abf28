"""Patients from a CSV or JSON file, for whatever model answers."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from unit.kubectl.cards import VITALS, WARD_MODEL

from riskpredictor_kubectl.declaration import Declaration, Feature
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.records import SHOWN, Record, Row, number, read_csv, read_json

HEADER = "id,heart_rate,blood_pressure,temperature,oxygen_level"


def _read(*lines: str, model: Declaration = VITALS, **units: str) -> list[Record]:
    text = [line + "\n" for line in lines]
    return [row.record for row in read_csv(text, "p.csv", model, units)]


def _error(*lines: str, model: Declaration = VITALS) -> str:
    with pytest.raises(PluginError) as caught:
        _read(*lines, model=model)
    return str(caught.value)


def test_a_row_becomes_a_record_of_what_the_predictor_asks_for() -> None:
    assert _read(HEADER, "ann,85,120,98.6,97", "bob, 60 ,110,97,99") == [
        {"heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97},
        {"heart_rate": 60, "blood_pressure": 110, "temperature": 97, "oxygen_level": 99},
    ]


def test_the_unit_comes_from_the_row_or_else_from_the_flag() -> None:
    header = f"{HEADER},temperature_unit"
    rows = _read(header, "a,85,120,37,97,", "b,85,120,98,97,F", temperature_unit="C")
    assert [row["temperature_unit"] for row in rows] == ["C", "F"]
    assert "temperature_unit" not in _read(HEADER, "a,85,120,98,97")[0]


def test_every_bad_value_is_named_by_line_and_column() -> None:
    assert _error(HEADER, "a,85,120,98,97", "b,fast,120,98,", "c,85,nan,98,97") == (
        "error: p.csv: 3 values refused, nothing is predicted\n"
        "  line 3: heart_rate: 'fast' is not a number\n"
        "  line 3: oxygen_level: is empty\n"
        "  line 4: blood_pressure: 'nan' is not a number"
    )


def test_many_bad_values_are_counted() -> None:
    said = _error(HEADER, *["x,,120,98,97"] * 50).splitlines()
    assert said[0].startswith("error: p.csv: 50 values refused")
    assert said[-1] == f"  and {50 - SHOWN} more"
    assert len(said) == SHOWN + 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "the header line lacks heart_rate, blood_pressure, temperature, oxygen_level"),
        (["heart_rate;temperature"], "the header line lacks heart_rate"),
        ([f"{HEADER},id", "a,1,2,3,4,b"], "the header line has id more than once"),
        ([HEADER], "p.csv has a header and no rows"),
        ([HEADER, "a,85,120"], "line 2: 3 cells, the header has 5"),
        ([HEADER, "a,85,120,98,97,7,8"], "line 2: 7 cells, the header has 5"),
        ([HEADER, 'a,"85,120'], "p.csv: line 2 is no CSV: unexpected end of data"),
    ],
    ids=["empty", "semicolons", "twice", "no rows", "too few", "too many", "open quote"],
)
def test_what_is_no_table_is_told(lines: list[str], said: str) -> None:
    assert said in _error(*lines)


def test_a_number_is_one_that_json_has() -> None:
    assert [number(text) for text in ("85", "85.0", "36.6", "1e2")] == [85, 85, 36.6, 100]
    wrong = ("", "x", "nan", "inf", "1,5", "8_5", "٨٥", "1e999", "0x10")
    assert [number(text) for text in wrong] == [None] * len(wrong)


def test_what_stands_in_the_file_is_kept_for_the_answer() -> None:
    (row,) = read_csv([f"{HEADER}\n", "ann,85,120,98.60,97\n"], "p.csv", VITALS)
    assert row.place == "line 2"
    assert row.cells["id"] == "ann"
    assert re.fullmatch(r"98\.60", row.cells["temperature"])


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(f"{HEADER}\nJos\xe9,85,120,98,97\n".encode("latin-1"))
    with (tmp_path / "p.csv").open(encoding="utf-8") as file, pytest.raises(PluginError) as caught:
        read_csv(file, "p.csv", VITALS)
    assert "p.csv is not UTF-8" in str(caught.value)


WARD_HEADER = "bed,respiratory_rate,glucose,lactate,supplemental_oxygen,consciousness"


def test_the_columns_are_those_of_the_model_each_with_its_type() -> None:
    assert _read(WARD_HEADER, "1,14,5.5,1.0,TRUE,Voice", "2,14,5.5,,0,", model=WARD_MODEL) == [
        {"respiratory_rate": 14, "glucose": 5.5, "lactate": 1, "supplemental_oxygen": True,
         "consciousness": "Voice"},
        {"respiratory_rate": 14, "glucose": 5.5, "supplemental_oxygen": False},
    ]  # fmt: skip


def test_columns_of_features_that_may_be_left_out_may_be_missing() -> None:
    header = "supplemental_oxygen,glucose,respiratory_rate"
    assert _read(header, "false,7,20", model=WARD_MODEL) == [
        {"respiratory_rate": 20, "glucose": 7, "supplemental_oxygen": False}
    ]
    assert _error("glucose,respiratory_rate", "7,20", model=WARD_MODEL) == (
        "error: p.csv: the header line lacks supplemental_oxygen; it needs respiratory_rate, "
        "glucose, supplemental_oxygen and may have lactate, consciousness, glucose_unit"
    )


def test_a_file_of_nothing_that_the_model_knows_is_an_error() -> None:
    age = Feature("age", "integer", "Age", "years", required=False)
    said = _error("id,name", "1,ann", model=Declaration("a1", (age,)))
    assert said == "error: p.csv: the header line has none of age"


def test_a_bad_value_of_any_type_is_named() -> None:
    said = _error(WARD_HEADER, "1,many,5.5,low,perhaps,Asleep", model=WARD_MODEL)
    assert said.splitlines()[1:] == [
        "  line 2: respiratory_rate: 'many' is not a number",
        "  line 2: lactate: 'low' is not a number",
        "  line 2: supplemental_oxygen: 'perhaps' is not true or false",
    ], "which categories there are says the predictor"


def test_a_unit_goes_with_a_value_only() -> None:
    glucose = Feature("glucose", "number", "", "mmol/L", required=False, units=("mmol/L", "mg/dL"))
    model = Declaration("g1", (glucose,))
    rows = _read("glucose,glucose_unit", "99,mg/dL", ",mg/dL", "5,", model=model)
    assert rows == [{"glucose": 99, "glucose_unit": "mg/dL"}, {}, {"glucose": 5}]


def _json(document: Any) -> Record | list[Row]:
    return read_json(io.StringIO(json.dumps(document)), "p.json")


def test_a_json_document_is_a_record_or_a_list_of_them() -> None:
    assert _json({"a": 1}) == {"a": 1}
    for document in ([{"a": 1}, {"b": None, "c": True}], {"instances": [{"a": 1}, {"c": True}]}):
        rows = _json(document)
        assert isinstance(rows, list)
        assert [row.place for row in rows] == ["record 1", "record 2"]
        assert [row.record["a"] for row in rows[:1]] == [1]
        assert (rows[0].cells["a"], rows[0].cells["c"], rows[1].cells["c"]) == ("1", "", "true")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "p.json is no JSON: Expecting property name"),
        ("[]", "p.json must hold a record"),
        ("7", "p.json must hold a record"),
        ('{"instances": {}}', "p.json must hold a record"),
        ('[{"a": 1}, 2]', "p.json: record 2 must be an object"),
    ],
)
def test_json_that_holds_no_records_is_told(text: str, said: str) -> None:
    with pytest.raises(PluginError) as caught:
        read_json(io.StringIO(text), "p.json")
    assert said in str(caught.value)
