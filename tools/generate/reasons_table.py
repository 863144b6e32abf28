"""riskpredictor_kubectl/reasons.json: the operator's reasons, for the kubectl plug-in.

The plug-in is a package of its own and does not import the operator.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from generate import ROOT
from riskpredictor_operator.core import reasons

SOURCE = Path(reasons.__file__)
TABLE = ROOT / "tools" / "kubectl" / "riskpredictor_kubectl" / "reasons.json"
MADE_BY = "`make reference` from operator/riskpredictor_operator/core/reasons.py"

NOTHING = "Nothing to do."
_FORM = re.compile(
    r"(?P<meaning>.+?)\n\nSymptom: (?P<symptom>.+?)\nFix: (?P<fix>.+?)(?P<run>(?:\nRun: .+)*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Reason:
    """One reason as its docstring explains it, in Markdown."""

    name: str
    group: str
    """The comment above the group of constants it stands in."""
    meaning: str
    symptom: str
    fix: str
    commands: tuple[str, ...]


def files() -> Mapping[Path, bytes]:
    """The table."""
    advice = {
        reason.name: {
            "meaning": _plain(reason.meaning),
            "steps": [] if reason.fix == NOTHING else [_plain(reason.fix)],
            "commands": reason.commands,
        }
        for reason in documented()
    }
    body = {"made_by": MADE_BY, "reasons": advice}
    return {TABLE: f"{json.dumps(body, indent=2)}\n".encode()}


def documented() -> Iterator[Reason]:
    """Every constant of reasons.py.

    Raises:
        ValueError: one has no symptom or no fix.
    """
    source = SOURCE.read_text()
    comments = {
        number: line[2:].split(". ")[0].rstrip(".")
        for number, line in enumerate(source.splitlines(), 1)
        if line.startswith("# ")
    }
    for node, below in itertools.pairwise(ast.parse(source).body):
        # There is a set of reasons, too.
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant):
            group = comments[max(number for number in comments if number < node.lineno)]
            yield _reason(str(node.value.value), group, _docstring(below))


def _docstring(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(str(node.value.value))
    return ""


def _reason(name: str, group: str, text: str) -> Reason:
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{SOURCE.name}: {name} needs a meaning, 'Symptom: ...' and 'Fix: ...'")
    meaning, symptom, fix = (
        " ".join(found[part].split()).replace("``", "`") for part in ("meaning", "symptom", "fix")
    )
    return Reason(name, group, meaning, symptom, fix, tuple(found["run"].split("\nRun: ")[1:]))


def _plain(text: str) -> str:
    """Text without Markdown: code and links as their words."""
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text).replace("`", "")
