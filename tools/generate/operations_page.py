"""docs/OPERATIONS.md: the tables of reasons and settings, from the operator's code.

The text around the tables is written by hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from generate import ROOT, escaped, table
from generate.reasons_table import Reason, documented
from riskpredictor_operator.settings import PREFIX, Settings

GUIDE = ROOT / "docs" / "OPERATIONS.md"


def files() -> Mapping[Path, bytes]:
    """The guide with its present text and new tables."""
    return {GUIDE: with_tables(GUIDE.read_text()).encode()}


def with_tables(guide: str) -> str:
    """The guide with new tables between its marks.

    Raises:
        ValueError: a mark is missing.
    """
    for name, made in (("reasons", reason_tables()), ("settings", setting_table())):
        begin, end = f"<!-- {name}: made by `make reference` -->", f"<!-- /{name} -->"
        before, found, rest = guide.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{GUIDE.name} has no {begin} ... {end}")
        guide = f"{before}{begin}\n\n{made}\n{end}{after}"
    return guide


def reason_tables() -> str:
    """One table for every group of reasons, in the order of the code."""
    head = ("You see", "Reason", "It means", "What to do")
    return "\n".join(
        f"### {group}\n\n{table(head, map(_reason, reasons))}"
        for group, reasons in itertools.groupby(documented(), lambda reason: reason.group)
    )


def _reason(reason: Reason) -> list[str]:
    commands = ", ".join(f"`{command}`" for command in reason.commands)
    fix = f"{reason.fix} Run {commands}." if commands else reason.fix
    return [escaped(reason.symptom), f"`{reason.name}`", escaped(reason.meaning), escaped(fix)]


def setting_table() -> str:
    """Every setting of the operator."""
    rows = []
    for setting in fields(Settings):
        default = "" if setting.default == "" else f"`{setting.default}`"
        variable, flag = PREFIX + setting.name.upper(), "--" + setting.name.replace("_", "-")
        rows.append([f"`{variable}`", f"`{flag}`", default, escaped(_help(setting.metadata))])
    return table(("Variable", "Flag", "Default", "Meaning"), rows)


def _help(metadata: Mapping[str, Any]) -> str:
    choices = " or ".join(f"`{choice}`" for choice in metadata["choices"])
    return f"{metadata['help']} {choices}".strip()
