"""Reads patient records from a CSV file, labelled or not, validated like those of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from riskpredictor_server.api.records import InvalidRecordError, RecordReader
from riskpredictor_server.model.schema import Feature, Schema, Values
from riskpredictor_server.training import csv_file
from riskpredictor_server.training.csv_file import CsvFile, RecordsError, read_cells

__all__ = ["LABEL", "MIN_PER_LEVEL", "Dataset", "RecordsError", "read_csv", "read_unlabelled"]

LABEL: Final = "risk_level"
MIN_PER_LEVEL: Final = 10
"""Fewest records of a level that can be split and evaluated."""
_MAX_SHOWN: Final = 10


@dataclass(frozen=True)
class Dataset:
    """Checked records with their levels, and what should be told about them."""

    rows: list[Values]
    labels: list[str]
    groups: list[str] | None = None
    """Per record, whom it belongs to: records of one group must not be on both sides of a split."""
    notes: list[str] = field(default_factory=list)


def read_csv(path: Path, schema: Schema, target: str = LABEL, group: str | None = None) -> Dataset:
    """Read the schema's features and units, the column ``target`` of levels, and that of groups.

    A column ``<feature>_unit`` says the unit of that feature per row. Other columns are not read,
    which a note tells. Raises RecordsError with the first ten faults.
    """
    if target in schema.fields:
        raise RecordsError(f"column {target} is a feature; it cannot be the target as well")
    if group in (target, *schema.fields):
        raise RecordsError(
            f"column {group} is a feature or the target; it cannot be the group as well"
        )
    wanted = [*schema.names, target, *([group] if group else [])]
    file = read_cells(path, wanted)
    columns = {name: index for index, name in enumerate(file.header) if name}
    reader = _RowReader(file, schema, columns, target, group)
    for line, cells in file.rows:
        reader.read(line, cells)
    faults = (
        reader.faults
        or _few(path, schema, target, reader.labels)
        or _never(path, schema, reader.rows)
    )
    _refuse(faults)
    ignored = [name for name in columns if name not in (*wanted, *schema.fields)]
    notes = [f"{path}: not read: column {', '.join(ignored)}"] if ignored else []
    return Dataset(reader.rows, reader.labels, reader.groups if group else None, notes)


def read_unlabelled(path: Path, schema: Schema) -> list[Values]:
    """Read the schema's features and units, and nothing else; raises RecordsError."""
    file = read_cells(path, schema.names)
    columns = {name: index for index, name in enumerate(file.header) if name}
    reader = _RowReader(file, schema, columns)
    for line, cells in file.rows:
        reader.read(line, cells)
    _refuse(reader.faults or ([] if reader.rows else [f"{path}: has no records"]))
    return reader.rows


def _refuse(faults: list[str]) -> None:
    if len(faults) > _MAX_SHOWN:
        faults = [*faults[:_MAX_SHOWN], f"… and {len(faults) - _MAX_SHOWN} more"]
    if faults:
        raise RecordsError("\n".join(faults))


def _few(path: Path, schema: Schema, target: str, labels: Sequence[str]) -> list[str]:
    counts = Counter(labels)
    return [
        f"{path}: column {target}: {counts[level]} records are {level};"
        f" at least {MIN_PER_LEVEL} are needed"
        for level in schema.levels
        if counts[level] < MIN_PER_LEVEL
    ]


def _never(path: Path, schema: Schema, rows: Sequence[Values]) -> list[str]:
    return [
        f"{path}: column {feature.name}: is empty in every row; take it out of the schema"
        for feature, column in zip(schema.features, zip(*rows, strict=True), strict=True)
        if all(value is None for value in column)
    ]


class _RowReader:
    """Collects the rows of a file and what is wrong with them."""

    def __init__(
        self,
        file: CsvFile,
        schema: Schema,
        columns: dict[str, int],
        target: str | None = None,
        group: str | None = None,
    ) -> None:
        self.rows: list[Values] = []
        self.labels: list[str] = []
        self.groups: list[str] = []
        self.faults: list[str] = []
        self._file, self._schema, self._columns = file, schema, columns
        self._target, self._group = target, group
        self._reader = RecordReader(schema, {schema.names[0]: None})
        self._marks: dict[str, tuple[str, int]] = {}

    def read(self, line: int, cells: Sequence[str]) -> None:
        """Read one row; its faults name the line and the column."""
        if len(cells) != len(self._file.header):
            self._fault(line, "", f"{len(cells)} cells for {len(self._file.header)} columns")
            return
        record: dict[str, Any] = {}
        before = len(self.faults)
        for feature in self._schema.features:
            self._add(line, cells, feature, record)
        if self._target:
            label = cells[self._columns[self._target]]
            try:
                csv_file.category(label, self._schema.levels)
            except ValueError as error:
                self._fault(line, f"column {self._target}: value {label!r}: ", str(error))
        if self._group:
            whose = cells[self._columns[self._group]]
            if not whose:
                self._fault(line, f"column {self._group}: ", "is empty: whose record is it?")
            self.groups.append(whose)
        if len(self.faults) > before:
            return
        try:
            self.rows.append(self._reader.read(record))
        except InvalidRecordError as invalid:
            for wrong in invalid.errors:
                name = wrong["field"]
                text = cells[self._columns[name]] if name in self._columns else ""
                self._fault(line, f"column {name}: value {text!r}: ", wrong["detail"])
        if self._target:
            self.labels.append(label)

    def _add(
        self, line: int, cells: Sequence[str], feature: Feature, record: dict[str, Any]
    ) -> None:
        name, text = feature.name, cells[self._columns[feature.name]]
        where = f"column {name}: "
        unit = feature.unit_field if feature.units and feature.unit_field in self._columns else None
        if not text:
            if feature.required:
                self._fault(line, where, f"is empty; must be {feature.span()}")
            return
        try:
            record[name] = self._value(line, feature, text)
        except ValueError as error:
            self._fault(line, f"{where}value {text!r}: ", str(error))
        if unit:
            record[unit] = cells[self._columns[unit]].removeprefix("°")

    def _value(self, line: int, feature: Feature, text: str) -> Any:
        if feature.type == "boolean":
            return csv_file.boolean(text)
        if feature.type == "category":
            return text
        value = csv_file.number(text, decimal_comma=self._file.decimal_comma)
        mark = next((mark for mark in ".," if mark in text), None)
        if mark:
            first, since = self._marks.setdefault(feature.name, (mark, line))
            if first != mark:
                raise ValueError(
                    f"the decimal mark is {first!r} since line {since}; use one per column"
                )
        # Data frames write whole numbers of a column with empty cells as 12.0.
        return int(value) if feature.type == "integer" and value == int(value) else value

    def _fault(self, line: int, where: str, text: str) -> None:
        self.faults.append(f"{self._file.path}: line {line}: {where}{text}")
