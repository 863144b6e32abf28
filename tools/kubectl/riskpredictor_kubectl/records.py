"""Reads patients from a CSV or JSON file for the model that answers; errors name the line."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from riskpredictor_kubectl.declaration import Declaration, Feature
from riskpredictor_kubectl.errors import PluginError

Record = dict[str, Any]
"""What is sent to the predictor, by field."""
SHOWN = 20
"""How many problems an error lists."""
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Row:
    """One patient of a file."""

    number: int
    """Its line in a CSV file, its place from 1 in a list of JSON."""
    cells: dict[str, str]
    """What is shown of it: all columns as they are in the file."""
    record: Record
    """What is sent: of a CSV file only the columns that the model asks for."""
    kind: str = "line"

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.kind} {self.number}"


def read_csv(
    lines: Iterable[str],
    name: str,
    declaration: Declaration,
    units: Mapping[str, str] | None = None,
) -> list[Row]:
    """The rows of a CSV file with a header line.

    Args:
        lines: the text.
        name: of the file, for messages.
        declaration: of the model.
        units: of rows that name none, by the field that names the unit.

    Raises:
        PluginError: the file cannot be read, with the first ``SHOWN`` problems.
    """
    reader = csv.DictReader(lines, strict=True)
    rows, problems = [], list[str]()
    try:
        header = [column.strip() for column in reader.fieldnames or ()]
        _check_header(header, name, declaration)
        reader.fieldnames = header
        for cells in reader:
            line = reader.line_num
            if None in cells or None in cells.values():
                problems.append(f"line {line}: {_count(cells)} cells, the header has {len(header)}")
                continue
            row, wrong = _row(line, cells, declaration, units or {})
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


def read_json(file: TextIO, name: str) -> Record | list[Row]:
    """The record of a JSON file, or the rows of a list of them, or of ``{"instances": [...]}``.

    The predictor checks the values.

    Raises:
        PluginError: the file is no such thing.
    """
    try:
        document = json.load(file)
    except UnicodeDecodeError as error:
        raise PluginError(f"{name} is not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise PluginError(f"{name} is no JSON: {error}") from None
    if isinstance(document, dict) and "instances" not in document:
        return document
    records = document["instances"] if isinstance(document, dict) else document
    if not isinstance(records, list) or not records:
        raise PluginError(f"{name} must hold a record, such as {{...}}, or a list of records")
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise PluginError(f"{name}: record {number} must be an object with the fields")
    columns = list(dict.fromkeys(column for record in records for column in record))
    return [
        Row(number, {c: _shown(record.get(c)) for c in columns}, record, "record")
        for number, record in enumerate(records, 1)
    ]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def refused(name: str, problems: list[str]) -> PluginError:
    """The error about refused values, of a file if there is a name."""
    more = len(problems) - SHOWN
    lines = problems[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
    count = f"{len(problems)} value" + ("s" if len(problems) > 1 else "")
    head = f"{name}: " if name else ""
    return PluginError("\n  ".join([f"{head}{count} refused, nothing is predicted", *lines]))


def number(text: str) -> float | int | None:
    """A number as JSON holds one; None for anything else, such as 8_5, which Python would take."""
    if not _NUMBER.fullmatch(text.strip()):
        return None
    value = float(text)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value


def _check_header(header: list[str], name: str, declaration: Declaration) -> None:
    needed = [feature.name for feature in declaration.features if feature.required]
    optional = [feature.name for feature in declaration.features if not feature.required]
    may = ", ".join(optional + declaration.unit_fields)
    missing = [column for column in needed if column not in header]
    if missing:
        raise PluginError(
            f"{name}: the header line lacks {', '.join(missing)}; it needs {', '.join(needed)}"
            + (f" and may have {may}" if may else "")
        )
    if not needed and not any(column in header for column in optional):
        raise PluginError(f"{name}: the header line has none of {may}")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise PluginError(f"{name}: the header line has {', '.join(twice)} more than once")


def _row(
    line: int, cells: dict[str, str], declaration: Declaration, units: Mapping[str, str]
) -> tuple[Row, list[str]]:
    record: Record = {}
    problems = []
    for feature in declaration.features:
        text = cells.get(feature.name, "").strip()
        if not text:
            if feature.required:
                problems.append(f"line {line}: {feature.name}: is empty")
            continue
        value, kind = _value(feature, text)
        if value is None:
            problems.append(f"line {line}: {feature.name}: {text[:40]!r} is not {kind}")
        record[feature.name] = value
        unit = cells.get(feature.unit_field, "").strip() or units.get(feature.unit_field, "")
        if feature.units and unit:
            record[feature.unit_field] = unit
    return Row(line, dict(cells), record), problems


def _value(feature: Feature, text: str) -> tuple[Any, str]:
    """The value of a cell, None if it is none, and what it should be."""
    if feature.is_numeric:
        return number(text), "a number"
    if feature.type == "boolean":
        return _BOOLEANS.get(text.lower()), "true or false"
    return text, ""


def _count(cells: dict[str, str]) -> int:
    # DictReader puts surplus cells under the key None, and the value None for missing ones.
    extra = cells.get(None, [])  # type: ignore[call-overload]
    return len([c for c in cells.values() if isinstance(c, str)]) + len(extra)
