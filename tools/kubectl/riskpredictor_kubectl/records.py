"""Reads patients from a CSV file; errors name the line."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from riskpredictor_kubectl.errors import PluginError

VITALS = ("heart_rate", "blood_pressure", "temperature", "oxygen_level")
UNIT = "temperature_unit"
SHOWN = 20
"""How many problems an error lists."""


@dataclass(frozen=True)
class Row:
    """One patient of a file."""

    line: int
    cells: dict[str, str]
    """All columns as they are in the file."""
    record: dict[str, float | str]
    """What is sent to the predictor: only the columns that it asks for."""


def read(lines: Iterable[str], name: str, unit: str = "") -> list[Row]:
    """The rows of a CSV file with a header line.

    Args:
        lines: the text.
        name: of the file, for messages.
        unit: of the temperatures of rows that name none.

    Raises:
        PluginError: the file cannot be read, with the first ``SHOWN`` problems.
    """
    reader = csv.DictReader(lines, strict=True)
    rows, problems = [], list[str]()
    try:
        header = [column.strip() for column in reader.fieldnames or ()]
        _check_header(header, name)
        reader.fieldnames = header
        for cells in reader:
            line = reader.line_num
            if None in cells or None in cells.values():
                problems.append(f"line {line}: {_count(cells)} cells, the header has {len(header)}")
                continue
            row, wrong = _row(line, cells, unit)
            rows.append(row)
            problems += wrong
    except UnicodeDecodeError as error:
        raise PluginError(f"{name} is not UTF-8: {error.reason} at byte {error.start}") from None
    except csv.Error as error:
        raise PluginError(f"{name}: line {reader.line_num + 1} is no CSV: {error}") from None
    if problems:
        raise refused(name, problems)
    if not rows:
        raise PluginError(f"{name} has a header and no rows")
    return rows


def refused(name: str, problems: list[str]) -> PluginError:
    """The error about refused values, of a file if there is a name."""
    more = len(problems) - SHOWN
    lines = problems[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
    if not name:
        # The server says how a JSON document tells the unit.
        lines = [re.sub(rf'"{UNIT}": "(\w)"', r"--temperature-unit \1", line) for line in lines]
    count = f"{len(problems)} value" + ("s" if len(problems) > 1 else "")
    head = f"{name}: " if name else ""
    return PluginError("\n  ".join([f"{head}{count} refused, nothing is predicted", *lines]))


def number(text: str) -> float | int | None:
    """A number that JSON can hold; None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value


def _check_header(header: list[str], name: str) -> None:
    missing = [column for column in VITALS if column not in header]
    if missing:
        raise PluginError(
            f"{name}: the header line lacks {', '.join(missing)}; it needs {', '.join(VITALS)}"
            f" and may have {UNIT}"
        )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise PluginError(f"{name}: the header line has {', '.join(twice)} more than once")


def _row(line: int, cells: dict[str, str], unit: str) -> tuple[Row, list[str]]:
    record: dict[str, float | str] = {}
    problems = []
    for column in VITALS:
        text = cells[column].strip()
        value = number(text)
        if value is not None:
            record[column] = value
        else:
            said = "is empty" if not text else f"{text[:40]!r} is not a number"
            problems.append(f"line {line}: {column}: {said}")
    said_unit = cells.get(UNIT, "").strip() or unit
    if said_unit:
        record[UNIT] = said_unit
    return Row(line, dict(cells), record), problems


def _count(cells: dict[str, str]) -> int:
    # DictReader puts surplus cells under the key None, and the value None for missing ones.
    extra = cells.get(None, [])  # type: ignore[call-overload]
    return len([c for c in cells.values() if isinstance(c, str)]) + len(extra)
