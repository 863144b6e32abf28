"""CSV files of records: what is read, and that every fault is named with its line and column."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.predictor.support import VITAL_NAMES, records, write_records

from riskpredictor_server.model.declaration import read_schema
from riskpredictor_server.model.schema import Schema
from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.train import main
from riskpredictor_server.training.dataset import Dataset, RecordsError, read_csv

COLUMNS = (*VITAL_NAMES, "risk_level")
HEADER = ",".join(COLUMNS)
MIXED = read_schema(
    {
        "levels": ["No", "Yes"],
        "features": [
            {"name": "rate", "type": "integer", "minimum": 0, "maximum": 100},
            {"name": "oxygen", "type": "boolean"},
            {"name": "mind", "type": "category", "values": ["Alert", "Voice", "Pain"]},
            {"name": "lactate", "minimum": 0, "maximum": 30, "required": False},
        ],
    }
)
MIXED_HEADER = "rate,oxygen,mind,lactate,risk_level\n"
ENOUGH = "1,true,Alert,,No\n" * 10 + "2,false,Voice,1.5,Yes\n" * 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.csv"


def faults(
    path: Path, content: str | bytes | None = None, schema: Schema = VITALS, **more: Any
) -> str:
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecordsError) as caught:
        read_csv(path, schema, **more)
    return str(caught.value).replace(f"{path}: ", "")


def mixed(path: Path, content: str | bytes, **more: Any) -> Dataset:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv(path, MIXED, **more)


def test_every_bad_cell_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = records(300)
    rows[0][0] = 999
    rows[1][1] = "high"
    rows[2][4] = "Severe"
    rows[3][3] = ""
    write_records(path, rows)
    assert main(["--model-version", "v1", "--data", str(path), "--out", "unused"]) == 2
    text = capsys.readouterr().err
    assert f"{path}: line 2: column heart_rate: value '999': must be 20 to 300 bpm\n" in text
    assert "line 3: column blood_pressure: value 'high': is no number" in text
    assert "line 4: column risk_level: value 'Severe': must be one of Low, Medium, High" in text
    assert "line 5: column oxygen_level: is empty; must be 40 to 100 %" in text


def test_only_the_first_ten_faults_are_shown(path: Path) -> None:
    rows = [[999, *row[1:]] for row in records(30)]
    lines = faults(write_records(path, rows)).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "… and 20 more"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("heart_rate,blood_pressure\n1,2\n", "temperature, oxygen_level, risk_level is missing"),
        ("Heart_Rate,bp\n1,2\n", "heart_rate may be 'Heart_Rate'"),
        ("", "is missing"),
        (HEADER + "\n", "column risk_level: 0 records are Low; at least 10 are needed"),
        (f"{HEADER},heart_rate\n", "column heart_rate is there more than once; keep one"),
        (f"{HEADER},note,note\n", "column note is there more than once"),
        (HEADER.encode("utf-16"), "is UTF-16; save it as CSV UTF-8"),
        (b"PK\x03\x04", "is a spreadsheet or another ZIP file; save it as CSV UTF-8"),
        (f"{HEADER},ort\n1,1,1,1,Low,Z".encode() + b"\xfcrich\n", "line 2: byte 0xfc is not UTF-8"),
        (f'{HEADER}\n80,"120"x,98.6,97,Low\n', "line 2: not CSV"),
        (f'{HEADER}\n80,"120,98.6,97,Low\n', "not CSV: unexpected end of data"),
        (f"sep=|\n{HEADER}\n", "line 1: sep=|: must be a comma, a semicolon or a tab"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_trained_on_says_why(
    path: Path, content: str | bytes, words: str
) -> None:
    assert words in faults(path, content)


@pytest.mark.parametrize(
    "text",
    [
        "8_5", "\uff18\uff15", "9\u066b5", "1e400", "nan", "inf", "-Infinity", "0x55", "85 bpm",
        "1 085", "1e", "--85", "1.085,5",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_number_is_refused_with_line_and_column(
    path: Path, text: str
) -> None:
    found = faults(path, f'{HEADER}\n"{text}",120,98.6,97,Low\n')
    assert f"line 2: column heart_rate: value {text!r}: is no number" in found


@pytest.mark.parametrize("text", ["85", "85.0", " 85 ", "+85", "8.5e1", ".85E+2", "85."])
def test_what_is_a_number_is_read(path: Path, text: str) -> None:
    rows = "".join(f"{text},120,98.6,97,{level}\n" * 10 for level in VITALS.levels)
    path.write_text(f"{HEADER}\n{rows}")
    assert {row[0] for row in read_csv(path, VITALS).rows} == {85.0}


def test_lines_are_those_of_the_file(path: Path) -> None:
    note = '"two\nlines"'
    text = faults(path, f"{HEADER},note\n\n80,120,98.6,97,Low,{note}\n\n999,120,98.6,97,Low,x\n")
    assert "line 6: column heart_rate" in text


def test_ragged_rows_are_named(path: Path) -> None:
    text = faults(path, f"{HEADER}\n80,120\n80,120,98.6,97,Low,extra\n")
    assert "line 2: 2 cells for 5 columns" in text
    assert "line 3: 6 cells for 5 columns" in text


def test_a_column_with_the_unit_of_temperature_is_honoured(path: Path) -> None:
    fahrenheit = records(300)
    celsius = [
        [*row[:2], (row[2] - 32) * 5 / 9, *row[3:], ("C", "°C")[i % 2]]
        for i, row in enumerate(fahrenheit)
    ]
    mixed_units = [[*row, "F"] for row in fahrenheit[:150]] + celsius[150:]
    plain = read_csv(write_records(path, fahrenheit), VITALS).rows
    with_unit = read_csv(write_records(path, mixed_units, "temperature_unit"), VITALS).rows
    for one, two in zip(plain, with_unit, strict=True):
        assert one == pytest.approx(two, abs=1e-9)


def test_an_unknown_unit_of_temperature_is_named(path: Path) -> None:
    rows: list[Any] = [[*row, unit] for row, unit in zip(records(3), ["K", "", "F"], strict=True)]
    (one, two) = faults(write_records(path, rows, "temperature_unit")).splitlines()
    assert "line 2: column temperature_unit: value 'K': temperature_unit must be" in one
    assert "line 3: column temperature_unit: value ''" in two


def test_values_have_the_types_of_their_features(path: Path) -> None:
    data = mixed(path, MIXED_HEADER + ENOUGH)
    assert data.rows[0] == (1, True, "Alert", None)
    assert data.rows[10] == (2, False, "Voice", 1.5)
    assert [type(value) for value in data.rows[10]] == [int, bool, str, float]
    assert data.labels[::10] == ["No", "Yes"]
    assert data.notes == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("YES", True), ("1", True), ("False", False), ("No", False), ("0", False)],
)  # fmt: skip
def test_booleans_are_read_in_words_and_digits(path: Path, text: str, expected: bool) -> None:
    data = mixed(path, MIXED_HEADER + ENOUGH + f"1,{text},Alert,,No\n")
    assert data.rows[-1][1] is expected


def test_a_whole_number_of_a_data_frame_is_read(path: Path) -> None:
    assert mixed(path, MIXED_HEADER + ENOUGH + "12.0,true,Alert,,No\n").rows[-1][0] == 12


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1.5,true,Alert,,No", "column rate: value '1.5': must be a whole number"),
        ("1,maybe,Alert,,No", "column oxygen: value 'maybe': must be true or false"),
        ("1,,Alert,,No", "column oxygen: is empty; must be true or false"),
        (
            "1,true,alert,,No",
            ("column mind: value 'alert': must be \"Alert\", \"Voice\" or \"Pain\";"
            ' did you mean "Alert"?'),
        ),
        ("1,true,,,No", "column mind: is empty; must be Alert, Voice, Pain"),
        ("1,true,Alert,31,No", "column lactate: value '31': must be 0 to 30"),
        (
            "1,true,Alert,,no",
            "column risk_level: value 'no': must be one of No, Yes; did you mean 'No'?",
        ),
        ('1,true,Alert,"0,5",No', "column lactate: value '0,5': is no number: a decimal comma is"),
    ],
)  # fmt: skip
def test_a_cell_that_does_not_fit_its_feature_is_named(path: Path, row: str, words: str) -> None:
    assert f"line 22: {words}" in faults(path, MIXED_HEADER + ENOUGH + row + "\n", MIXED)


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("first", ["", "sep={}\n", '"sep={}"\n'])
@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_files_of_spreadsheets_are_read(
    path: Path, separator: str, first: str, mark: str, end: str, bom: str
) -> None:
    expected = mixed(path, MIXED_HEADER + ENOUGH).rows
    text = (MIXED_HEADER + ENOUGH).replace(",", separator).replace(".", mark)
    # The last lines that a spreadsheet writes are empty.
    text = bom + first.format(separator) + text + separator * 4 + "\n\n"
    assert mixed(path, text.replace("\n", end).encode()).rows == expected


def test_a_column_has_one_decimal_mark(path: Path) -> None:
    text = MIXED_HEADER + ENOUGH + "1,true,Alert,2#5,No\n"
    found = faults(path, text.replace(",", ";").replace("#", ","), MIXED)
    assert (
        found == "line 22: column lactate: value '2,5': the decimal mark is '.' since line 12;"
        " use one per column"
    )


def test_target_and_group_are_columns_of_choice(path: Path) -> None:
    text = "who," + MIXED_HEADER.replace("risk_level", "died")
    data = mixed(
        path,
        text + "".join(f"P{i},{row}\n" for i, row in enumerate(ENOUGH.splitlines())),
        target="died",
        group="who",
    )
    assert data.labels[::10] == ["No", "Yes"]
    assert data.groups == [f"P{i}" for i in range(20)]


def test_a_feature_that_no_record_has_is_named(path: Path) -> None:
    found = faults(path, MIXED_HEADER + ENOUGH.replace("1.5", ""), MIXED)
    assert found == "column lactate: is empty in every row; take it out of the schema"


def test_an_empty_group_is_named(path: Path) -> None:
    text = "who," + MIXED_HEADER + "".join(f"P,{row}\n" for row in ENOUGH.splitlines())
    found = faults(path, text + ",1,true,Alert,,No\n", MIXED, group="who")
    assert found == "line 22: column who: is empty: whose record is it?"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"target": "rate"}, "column rate is a feature; it cannot be the target as well"),
        (
            {"group": "rate"},
            "column rate is a feature or the target; it cannot be the group as well",
        ),
        ({"group": "risk_level"}, "column risk_level is a feature or the target"),
        ({"target": "outcome"}, "column outcome is missing"),
        ({"group": "patient"}, "column patient is missing"),
    ],
)
def test_a_column_has_one_role(path: Path, more: dict[str, str], words: str) -> None:
    assert words in faults(path, MIXED_HEADER + ENOUGH, MIXED, **more)


def test_columns_that_are_not_read_are_told(path: Path) -> None:
    text = MIXED_HEADER.strip() + ",ward,note\n" + ENOUGH.replace("\n", ",7,x\n")
    assert mixed(path, text).notes == [f"{path}: not read: column ward, note"]


VALUES = st.tuples(
    st.integers(0, 100),
    st.booleans(),
    st.sampled_from(["Alert", "Voice", "Pain"]),
    st.none() | st.floats(0, 30),
)


@given(st.lists(VALUES, min_size=20, max_size=40), st.sampled_from(",;\t"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_python_writes_is_read_to_the_last_bit(
    path: Path, rows: list[Any], separator: str
) -> None:
    rows[0] = (*rows[0][:3], 1.5)
    labels = ["No", "Yes"] * 20
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator)
    writer.writerow(MIXED_HEADER.strip().split(","))
    writer.writerows([*row, label] for row, label in zip(rows, labels, strict=False))
    assert mixed(path, stream.getvalue()).rows == rows
