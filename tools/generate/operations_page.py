"""Writes the tables of docs/OPERATIONS.md from the code: reasons and settings.

Run ``make reference`` after a change of core/reasons.py or settings.py; with ``--check`` it writes
nothing and fails when the guide is stale. The text around the tables is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from riskpredictor_operator.core import reasons
from riskpredictor_operator.settings import PREFIX, Settings

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "OPERATIONS.md"
SOURCE = Path(reasons.__file__)


@dataclass(frozen=True)
class Reason:
    """One reason as its docstring explains it."""

    name: str
    group: str
    """The comment above the group of constants it stands in."""
    meaning: str
    symptom: str
    fix: str


def main(argv: list[str]) -> int:
    """Write or check the guide; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the guide is stale")
    present = GUIDE.read_text()
    wanted = with_tables(present)
    if not parser.parse_args(argv).check:
        GUIDE.write_text(wanted)
        return 0
    if present == wanted:
        return 0
    print(
        "docs/OPERATIONS.md is stale: run python tools/generate/operations_page.py", file=sys.stderr
    )
    return 1


def with_tables(guide: str) -> str:
    """The guide with new tables between its marks."""
    for name, table in (("reasons", reason_tables()), ("settings", setting_table())):
        begin, end = (
            f"<!-- {name}: made by tools/generate/operations_page.py -->",
            f"<!-- /{name} -->",
        )
        before, found, rest = guide.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{GUIDE.name} has no {begin} ... {end}")
        guide = f"{before}{begin}\n{table}{end}{after}"
    return guide


def reason_tables() -> str:
    """One table for every group, in the order of the code."""
    lines: list[str] = []
    group = ""
    for reason in documented_reasons():
        if reason.group != group:
            group = reason.group
            lines += ["", f"### {group}", ""]
            lines += _row("You see", "Reason", "It means", "What to do") + _row(*["---"] * 4)
        lines += _row(reason.symptom, f"`{reason.name}`", reason.meaning, reason.fix)
    return "\n".join([*lines, "", ""])


def documented_reasons() -> Iterator[Reason]:
    """Every constant of reasons.py.

    Raises:
        ValueError: one has no symptom or no fix.
    """
    source = SOURCE.read_text()
    body = ast.parse(source).body
    comments = {
        number: line[2:].split(". ")[0].rstrip(".")
        for number, line in enumerate(source.splitlines(), 1)
        if line.startswith("# ")
    }
    for node, below in itertools.pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            group = comments[max(number for number in comments if number < node.lineno)]
            value = getattr(reasons, node.target.id)
            # There are sets of reasons, too.
            if isinstance(value, str):
                yield _documented(value, group, _docstring(below))


def _docstring(node: ast.stmt) -> str:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return inspect.cleandoc(str(node.value.value)) if is_text else ""  # type: ignore[attr-defined]


def _documented(name: str, group: str, text: str) -> Reason:
    form = r"(?P<meaning>.+?)\n\nSymptom: (?P<symptom>.+?)\nFix: (?P<fix>.+)"
    found = re.fullmatch(form, text, re.DOTALL)
    if found is None:
        raise ValueError(f"{SOURCE.name}: {name} needs a meaning, 'Symptom: ...' and 'Fix: ...'")
    parts = {
        part: " ".join(said.split()).replace("``", "`") for part, said in found.groupdict().items()
    }
    return Reason(name, group, **parts)


def setting_table() -> str:
    """Every setting of the operator."""
    lines = _row("Variable", "Flag", "Default", "Meaning") + _row(*["---"] * 4)
    for setting in fields(Settings):
        flag = "--" + setting.name.replace("_", "-")
        default = "" if setting.default == "" else f"`{setting.default}`"
        lines += _row(
            f"`{PREFIX}{setting.name.upper()}`", f"`{flag}`", default, _explained(setting.metadata)
        )
    return "\n".join(["", *lines, "", ""])


def _explained(metadata: Mapping[str, Any]) -> str:
    choices = " or ".join(f"`{choice}`" for choice in metadata["choices"])
    return f"{metadata['help']} {choices}".strip()


def _row(*cells: str) -> list[str]:
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
