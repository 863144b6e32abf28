"""Labelled patient records from a CSV file, checked with the rules that serving uses."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from riskpredictor_server.api.records import (
    RISK_LEVELS,
    VITAL_NAMES,
    InvalidRecordError,
    Values,
    read_record,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABEL = "risk_level"
COLUMNS = (*VITAL_NAMES, LABEL)
UNIT = "temperature_unit"
"""An optional column, F or C in every row; without it temperatures are °F."""
MIN_PER_LEVEL = 10
"""Fewer of one level can be neither split nor evaluated."""
_MAX_SHOWN = 10


class RecordsError(ValueError):
    """The file cannot be trained on; one line per finding."""


def read_csv(path: Path) -> tuple[NDArray[np.float64], list[str]]:
    """Vitals of shape (n, 4), temperature in °F, and labels; RecordsError lists what is wrong."""
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
    vitals: list[Values] = []
    levels: list[str] = []
    findings: list[str] = []
    for line, row in rows:
        found = _read_row(row, vitals, levels)
        findings.extend(f"{path}: line {line}: {finding}" for finding in found)
    findings.extend(f"{path}: {finding}" for finding in ([] if findings else _too_few(levels)))
    if findings:
        shown = findings[:_MAX_SHOWN]
        if len(findings) > _MAX_SHOWN:
            shown.append(f"… and {len(findings) - _MAX_SHOWN} more")
        raise RecordsError("\n".join(shown))
    return np.array(vitals, dtype=float), levels


def _read_row(row: dict[str, str], vitals: list[Values], levels: list[str]) -> list[str]:
    record: dict[str, float | str] = {}
    for name in VITAL_NAMES:
        text = row[name] or ""
        try:
            record[name] = float(text)
        except ValueError:
            record[name] = text
    if UNIT in row:
        record[UNIT] = row[UNIT] or ""
    findings = []
    values = None
    try:
        values = read_record(record)
    except InvalidRecordError as invalid:
        findings = [
            f"column {error['field']}: value {row[error['field']]!r}: {error['detail']}"
            for error in invalid.errors
        ]
    if row[LABEL] not in RISK_LEVELS:
        findings.append(
            f"column {LABEL}: value {row[LABEL]!r}: must be one of {', '.join(RISK_LEVELS)}"
        )
    # DictReader keeps cells beyond the header's columns under the key None.
    extra = row.get(None)  # type: ignore[call-overload]
    if extra:
        findings.append(f"{len(row) - 1 + len(extra)} cells for {len(row) - 1} columns")
    if values and not findings:
        vitals.append(values)
        levels.append(row[LABEL])
    return findings


def _too_few(levels: list[str]) -> list[str]:
    counts = Counter(levels)
    return [
        f"column {LABEL}: {counts[level]} records are {level}; at least {MIN_PER_LEVEL} are needed"
        for level in RISK_LEVELS
        if counts[level] < MIN_PER_LEVEL
    ]
