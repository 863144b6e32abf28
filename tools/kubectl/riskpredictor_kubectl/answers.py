"""Shows the answers of a predictor: tables, CSV, JSON, YAML."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from typing import Any

import click

from riskpredictor_kubectl.declaration import Declaration
from riskpredictor_kubectl.output import emit, notice, table
from riskpredictor_kubectl.predictor import Problem
from riskpredictor_kubectl.records import Row

Answer = dict[str, Any]
"""What ``POST /predict`` answers about one record."""


def show_one(
    answer: Answer, declaration: Declaration, form: str | None, named: Callable[[str], str]
) -> None:
    """Print one answer; ``named`` says how a field was called by who asked."""
    for warning in answer["warnings"]:
        notice(f"warning: {named(warning['field'])}: {warning['detail']}")
    if form in ("json", "yaml"):
        emit(answer, form)
        return
    cells = _cells(answer, declaration)
    if form == "csv":
        click.echo(_csv(list(cells), [list(cells.values())]), nl=False)
        return
    click.echo(table(_headings(cells), [list(cells.values())]))
    shares = answer["contributions"]
    if form == "wide" and shares:
        rows = [[each.name, f"{shares[each.name]:+.3f}"] for each in declaration.features]
        heading = f"PUSHES TOWARDS {declaration.levels[-1].upper()}"
        click.echo("\n" + table(["FEATURE", heading], rows))


def show_many(
    rows: list[Row], answers: list[Answer], declaration: Declaration, form: str | None
) -> None:
    """Print the answers about the rows of a file, each beside its row."""
    if form in ("json", "yaml"):
        lines = [
            {row.kind: row.number, **answer} for row, answer in zip(rows, answers, strict=True)
        ]
        emit({"predictions": lines}, form)
        return
    every = form in ("csv", "wide")
    header = [*rows[0].cells, *_cells(answers[0], declaration, every=every)]
    body = [
        [*row.cells.values(), *_cells(answer, declaration, every=every).values()]
        for row, answer in zip(rows, answers, strict=True)
    ]
    if form == "csv":
        click.echo(_csv(header, body), nl=False)
    else:
        click.echo(table(_headings(header), body))
    _warn(answers)


def placed(problem: Problem, rows: list[Row]) -> str:
    """A problem with the place in the file that it is about."""
    place = "" if problem.index is None else f"{rows[problem.index].place}: "
    return f"{place}{problem.field}: {problem.detail}"


def _warn(answers: list[Answer]) -> None:
    """Tell on standard error how many answers have warnings, and which kind."""
    outside = filled = 0
    for answer in answers:
        left_out = [warning.get("value", "") is None for warning in answer["warnings"]]
        filled += any(left_out)
        outside += not all(left_out)
    for count, what, more in (
        (outside, "lie outside the training data", "in which values"),
        (filled, "lack a value that the model fills in", "which"),
    ):
        if count:
            notice(f"warning: {count} of {len(answers)} {what}; -o json says {more}")


def _cells(answer: Answer, declaration: Declaration, *, every: bool = True) -> dict[str, str]:
    """The cells of an answer by their CSV columns; a file's own column may be ``risk_level``."""
    shares = answer["probabilities"]
    chances = {
        level.lower().replace(" ", "_"): f"{shares[level]:.4f}" for level in declaration.levels
    }
    return {
        "predicted_risk": answer["risk_level"],
        "confidence": f"{answer['confidence']:.4f}",
        **(chances if every else {}),
        "model_version": answer["model_version"],
    }


def _headings(names: Iterable[str]) -> list[str]:
    short = {"predicted_risk": "RISK", "model_version": "MODEL"}
    return [short.get(name) or name.upper().replace("_", " ") for name in names]


def _csv(header: list[str], rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()
