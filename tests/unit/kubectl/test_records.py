"""Patients from a CSV file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.records import SHOWN, number, read

HEADER = "id,heart_rate,blood_pressure,temperature,oxygen_level"


def _read(*lines: str, unit: str = "") -> list[dict[str, float | str]]:
    return [row.record for row in read([line + "\n" for line in lines], "p.csv", unit)]


def _error(*lines: str) -> str:
    with pytest.raises(PluginError) as caught:
        _read(*lines)
    return str(caught.value)


def test_a_row_becomes_a_record_of_what_the_predictor_asks_for() -> None:
    assert _read(HEADER, "ann,85,120,98.6,97", "bob, 60 ,110,97,99") == [
        {"heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97},
        {"heart_rate": 60, "blood_pressure": 110, "temperature": 97, "oxygen_level": 99},
    ]


def test_the_unit_comes_from_the_row_or_else_from_the_flag() -> None:
    header = f"{HEADER},temperature_unit"
    rows = _read(header, "a,85,120,37,97,", "b,85,120,98,97,F", unit="C")
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
    assert [number(text) for text in ("", "x", "nan", "inf", "1,5")] == [None] * 5


def test_what_stands_in_the_file_is_kept_for_the_answer() -> None:
    (row,) = read([f"{HEADER}\n", "ann,85,120,98.60,97\n"], "p.csv")
    assert row.line == 2
    assert row.cells["id"] == "ann"
    assert re.fullmatch(r"98\.60", row.cells["temperature"])


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(f"{HEADER}\nJos\xe9,85,120,98,97\n".encode("latin-1"))
    with (tmp_path / "p.csv").open(encoding="utf-8") as file, pytest.raises(PluginError) as caught:
        read(file, "p.csv")
    assert "p.csv is not UTF-8" in str(caught.value)
