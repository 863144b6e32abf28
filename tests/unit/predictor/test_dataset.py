"""CSV files of records: every fault is named with its line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.predictor.support import records, write_records

from riskpredictor_server.train import main
from riskpredictor_server.training.dataset import COLUMNS, UNIT, RecordsError, read_csv

HEADER = ",".join(COLUMNS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.csv"


def faults(path: Path, content: str | None = None) -> str:
    if content is not None:
        path.write_text(content)
    with pytest.raises(RecordsError) as caught:
        read_csv(path)
    return str(caught.value)


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
    assert "line 3: column blood_pressure: value 'high': must be a JSON number" in text
    assert "line 4: column risk_level: value 'Severe': must be one of Low, Medium, High" in text
    assert "line 5: column oxygen_level: value ''" in text


def test_only_the_first_ten_faults_are_shown(path: Path) -> None:
    rows = [[999, *row[1:]] for row in records(30)]
    lines = faults(write_records(path, rows)).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "… and 20 more"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("heart_rate,blood_pressure\n1,2\n", "column temperature, oxygen_level, risk_level is m"),
        ("", "is missing"),
        (HEADER + "\n", "0 records are Low; at least 10 are needed"),
    ],
    ids=["columns", "empty file", "no rows"],
)
def test_a_file_that_cannot_be_trained_on_says_why(path: Path, content: str, words: str) -> None:
    assert words in faults(path, content)


def test_lines_are_those_of_the_file(path: Path) -> None:
    note = '"two\nlines"'
    text = faults(path, f"{HEADER},note\n\n80,120,98.6,97,Low,{note}\n\n999,120,98.6,97,Low,x\n")
    assert "line 6: column heart_rate" in text


def test_ragged_rows_are_named(path: Path) -> None:
    text = faults(path, f"{HEADER}\n80,120\n80,120,98.6,97,Low,extra\n")
    assert "line 2: column temperature" in text
    assert "line 3: 6 cells for 5 columns" in text


def test_a_column_with_the_unit_of_temperature_is_honoured(path: Path) -> None:
    fahrenheit = records(300)
    celsius = [[*row[:2], (row[2] - 32) * 5 / 9, *row[3:], "C"] for row in fahrenheit]
    mixed = [[*row, "F"] for row in fahrenheit[:150]] + celsius[150:]
    plain, _ = read_csv(write_records(path, fahrenheit))
    with_unit, _ = read_csv(write_records(path, mixed, UNIT))
    assert np.abs(plain - with_unit).max() < 1e-9


def test_an_unknown_unit_of_temperature_is_named(path: Path) -> None:
    rows: list[Any] = [[*row, unit] for row, unit in zip(records(3), ["K", "", "F"], strict=True)]
    (one, two) = faults(write_records(path, rows, UNIT)).splitlines()
    assert "line 2: column temperature_unit: value 'K': temperature_unit must be" in one
    assert "line 3: column temperature_unit: value ''" in two
