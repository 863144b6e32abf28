"""Output as kubectl writes it: aligned columns, short ages, JSON, YAML."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import yaml

GAP = "   "
NONE = "<none>"
NARROW = 40
"""A column narrower than this holds no message; the message gets a line of its own."""


def emit(data: Any, form: str, *, several: bool = False) -> None:
    """Print plain data as ``json`` or ``yaml``; ``several`` separates documents of a stream."""
    if form == "json":
        click.echo(as_json(data))
        return
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    click.echo(("---\n" if several else "") + text, nl=False)


def as_json(data: Any) -> str:
    """JSON as kubectl writes it."""
    return json.dumps(data, indent=4)


def notice(text: str) -> None:
    """Print to standard error: a text for a person, which is not part of the result."""
    click.echo(text, err=True)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, indent: str = "") -> str:
    """Columns under their headings; an empty cell reads ``<none>``."""
    lines = [tuple(header), *(tuple(cell or NONE for cell in row) for row in rows)]
    return align(lines, indent=indent)


def align(lines: Sequence[Sequence[str]], *, indent: str = "", widths: Sequence[int] = ()) -> str:
    """Lines of cells, each column as wide as its widest cell, or ``widths`` where that is more."""
    most = list(widths) + [0] * (max(map(len, lines)) - len(widths))
    for line in lines:
        most = [max(width, len(cell)) for width, cell in zip(most, line, strict=True)]
    return "\n".join(
        indent
        + GAP.join(cell.ljust(width) for cell, width in zip(line, most, strict=True)).rstrip()
        for line in lines
    )


def right(lines: Sequence[Sequence[str]]) -> list[list[str]]:
    """Cells for ``align`` in which all columns but the first end at the right, as numbers do."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        [line[0], *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    ]


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A name and a value on each line, without empty values; long ones are folded."""
    known = [(name, value) for name, value in rows if value]
    width = max(len(name) for name, _ in known) + len(GAP)
    return "\n".join(fold(value, name.ljust(width), " " * width) for name, value in known)


def folded_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose last column is folded, or has lines of its own on a narrow terminal."""
    front = align([header[:-1], *(row[:-1] for row in rows)]).splitlines()
    width = max(map(len, front)) + len(GAP)
    if columns() - width < NARROW:
        texts = ["", *(f"\n{fold(row[-1], '    ')}" for row in rows)]
        return "\n".join(line + text for line, text in zip(front, texts, strict=True))
    return "\n".join(
        fold(text, line.ljust(width), " " * width)
        for line, text in zip(front, [header[-1], *(row[-1] for row in rows)], strict=True)
    )


def fold(text: str, indent: str, hanging: str | None = None) -> str:
    """A paragraph as wide as the terminal; on one line where the output is no terminal."""
    # textwrap splits "kubectl-x" and long names otherwise, which then cannot be copied.
    return textwrap.fill(
        text,
        columns(),
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def columns() -> int:
    """Width of the terminal, at most 120."""
    if not sys.stdout.isatty():
        return 10_000
    return min(shutil.get_terminal_size().columns, 120)


def age(since: str | None, now: datetime | None = None) -> str:
    """How long ago, as kubectl prints it."""
    if not since:
        return "<unknown>"
    passed = (now or datetime.now(UTC)) - datetime.fromisoformat(since)
    return duration(int(passed.total_seconds()))


def duration(seconds: int) -> str:
    """A duration as kubectl prints it: two units at most, as 3m5s."""
    seconds = max(0, seconds)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}" + (f"{small}{small_unit}" if small else "")
