"""Reads the cells of a CSV file as spreadsheets and data frames write it, and says what it is not.

Read: UTF-8 with or without a byte order mark; commas, semicolons or tabs, told by the header;
Excel's line ``sep=;``; quotes, any line ends, empty lines. Spaces around a cell are not part of it.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_SEP_LINE: Final = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_BOOLEANS: Final = {
    "true": True, "yes": True, "1": True, "false": False, "no": False, "0": False,
}  # fmt: skip


class RecordsError(ValueError):
    """The file cannot be trained on; the message has a line per fault."""


@dataclass(frozen=True)
class CsvFile:
    """The cells of a file; ``rows`` have the line in which each ends."""

    path: Path
    separator: str
    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]

    @property
    def decimal_comma(self) -> bool:
        """Whether a comma may be a decimal mark, for it separates nothing."""
        return self.separator != ","


def read_cells(path: Path, wanted: Sequence[str]) -> CsvFile:
    """Read a file whose header should name the columns ``wanted``; raises RecordsError."""
    lines = list(io.StringIO(_text(path), newline=""))
    named = _SEP_LINE.fullmatch(lines[0].strip("\r\n ")) if lines else None
    skipped = 1 if named else 0
    separator = named[1] if named else _separator(lines, wanted)
    if separator not in SEPARATORS:
        raise RecordsError(
            f"{path}: line 1: sep={separator}: must be a comma, a semicolon or a tab"
        )
    rows: list[tuple[int, list[str]]] = []
    reader = csv.reader(lines[skipped:], delimiter=separator, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            # Spreadsheets end with lines of separators only.
            if any(stripped):
                rows.append((reader.line_num + skipped, stripped))
    except csv.Error as error:
        raise RecordsError(f"{path}: line {reader.line_num + skipped}: not CSV: {error}") from error
    header = tuple(rows[0][1]) if rows else ()
    _check_header(path, header, wanted, separator)
    return CsvFile(path, separator, header, rows[1:])


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordsError(f"{path}: cannot be read: {error.strerror}") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise RecordsError(f"{path}: is UTF-16; save it as CSV UTF-8")
    if content.startswith(b"PK\x03\x04"):
        raise RecordsError(f"{path}: is a spreadsheet or another ZIP file; save it as CSV UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RecordsError(
            f"{path}: line {line}: byte {content[error.start]:#04x} is not UTF-8;"
            " save it as CSV UTF-8"
        ) from error


def _separator(lines: Sequence[str], wanted: Sequence[str]) -> str:
    """The separator by which the header names the most of the wanted columns."""
    first = next((line for line in lines if line.strip()), "")

    def named(separator: str) -> int:
        cells = next(csv.reader([first], delimiter=separator), [])
        return len({cell.strip() for cell in cells} & set(wanted))

    return max(SEPARATORS, key=lambda each: (named(each), first.count(each)))


def _check_header(path: Path, header: Sequence[str], wanted: Sequence[str], separator: str) -> None:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise RecordsError(f"{path}: column {', '.join(twice)} is there more than once; keep one")
    missing = [name for name in wanted if name not in header]
    if not missing:
        return
    unused = [name for name in header if name not in wanted]
    near = {name: _nearest(name, unused) for name in missing}
    hints = [f"{name} may be {found!r}" for name, found in near.items() if found]
    hint = f" ({'; '.join(hints)})" if hints else ""
    raise RecordsError(
        f"{path}: column {', '.join(missing)} is missing{hint}; the header must name"
        f" {', '.join(wanted)}; it was read with {SEPARATORS[separator]} as separators"
    )


def _nearest(text: str, choices: Iterable[str]) -> str | None:
    folded = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=0.7)
    return folded[found[0]] if found else None


def number(text: str, *, decimal_comma: bool) -> float:
    """Read a number in ASCII digits; raises ValueError that says what is wrong.

    ``float()`` would also read 8_5, digits of other scripts, nan and inf.
    """
    if _DECIMAL_COMMA.fullmatch(text):
        if not decimal_comma:
            raise ValueError(
                "is no number: a decimal comma is read only in files that are separated by"
                " semicolons or tabs"
            )
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        raise ValueError(
            "is no number: write digits, at most one decimal mark, and no units or spaces"
        )
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("is no number: it is too large")
    return value


def boolean(text: str) -> bool:
    """Read true, false, yes, no, 1 or 0, in any case; raises ValueError."""
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise ValueError("must be true or false (yes, no, 1 and 0 are read, too)")
    return value


def category(text: str, values: Sequence[str]) -> str:
    """Check that a text is one of the values; raises ValueError that names the nearest."""
    if text in values:
        return text
    found = _nearest(text, values)
    hint = f"; did you mean {found!r}?" if found else ""
    raise ValueError(f"must be one of {', '.join(values)}{hint}")
