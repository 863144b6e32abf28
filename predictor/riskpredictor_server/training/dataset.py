"""Reads labelled patient records from a CSV file, validated like those of requests."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from riskpredictor_server.api.records import InvalidRecordError, RecordReader
from riskpredictor_server.model.schema import Values
from riskpredictor_server.model.vitals import EXAMPLES, VITALS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABEL = "risk_level"
RISK_LEVELS, VITAL_NAMES = VITALS.levels, VITALS.names
COLUMNS = (*VITAL_NAMES, LABEL)
UNIT = "temperature_unit"
"""An optional column, F or C in every row; without it temperatures are °F."""
MIN_PER_LEVEL = 10
"""Fewest records of a level that can be split and evaluated."""
_MAX_SHOWN = 10


class RecordsError(ValueError):
    """The file cannot be trained on; the message has a line per fault."""


def read_csv(path: Path) -> tuple[NDArray[np.float64], list[str]]:
    """Read vitals of shape (n, 4), temperature in °F, and their labels.

    Raises RecordsError with the first ten faults.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise RecordsError(
                    f"{path}: column {', '.join(missing)} is missing;"
                    f" the header must name {', '.join(COLUMNS)}"
                )
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordsError(f"{path}: cannot be read as UTF-8 CSV: {error}") from error
    reader_of_records = RecordReader(VITALS, EXAMPLES[0]["record"])
    vitals: list[Values] = []
    faults: list[str] = []
    for line, row in rows:
        try:
            vitals.append(reader_of_records.read(_record(row)))
        except InvalidRecordError as invalid:
            faults += [
                f"{path}: line {line}: column {error['field']}: value {row[error['field']]!r}:"
                f" {error['detail']}"
                for error in invalid.errors
            ]
        faults += [f"{path}: line {line}: {fault}" for fault in _other_faults(row)]
    labels = [row[LABEL] for _, row in rows]
    if not faults:
        faults = [
            f"{path}: column {LABEL}: {count} records are {level};"
            f" at least {MIN_PER_LEVEL} are needed"
            for level in RISK_LEVELS
            if (count := labels.count(level)) < MIN_PER_LEVEL
        ]
    if faults:
        if len(faults) > _MAX_SHOWN:
            faults[_MAX_SHOWN:] = [f"… and {len(faults) - _MAX_SHOWN} more"]
        raise RecordsError("\n".join(faults))
    return np.array(vitals, dtype=float), labels


def _record(row: dict[str, str]) -> dict[str, float | str]:
    """Turn a row into a record as requests have it; what is no number stays text."""
    record: dict[str, float | str] = {name: row[name] or "" for name in VITAL_NAMES}
    for name, text in record.items():
        with suppress(ValueError):
            record[name] = float(text)
    if UNIT in row:
        record[UNIT] = row[UNIT] or ""
    return record


def _other_faults(row: dict[str, str]) -> list[str]:
    faults = []
    if row[LABEL] not in RISK_LEVELS:
        levels = ", ".join(RISK_LEVELS)
        faults.append(f"column {LABEL}: value {row[LABEL]!r}: must be one of {levels}")
    # DictReader keeps cells beyond the header's columns under the key None.
    extra = row.get(None)  # type: ignore[call-overload]
    if extra:
        faults.append(f"{len(row) - 1 + len(extra)} cells for {len(row) - 1} columns")
    return faults
