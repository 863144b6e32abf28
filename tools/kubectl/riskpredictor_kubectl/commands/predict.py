"""``kubectl riskpredictor predict``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any, TextIO

import click

from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.forward import forwarding
from riskpredictor_kubectl.options import name_argument, output_flag, with_client
from riskpredictor_kubectl.output import emit, notice, table
from riskpredictor_kubectl.predictor import Predictor, Record, RefusedError
from riskpredictor_kubectl.records import UNIT, VITALS, Row, number, read, refused

Answer = dict[str, Any]


class Number(click.ParamType[float]):
    """A number, sent as it was written: 85, not 85.0."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = number(str(value))
        if found is None:
            self.fail(f"{value!r} is not a number", param, ctx)
        return found


@click.command()
@name_argument()
@click.option("--heart-rate", type=Number(), help="Beats per minute.")
@click.option("--blood-pressure", type=Number(), help="Systolic, mmHg.")
@click.option("--temperature", type=Number(), help="Body temperature, in °F unless the unit is C.")
@click.option("--temperature-unit", type=click.Choice(["C", "F"]), help="Default F.")
@click.option("--oxygen-level", type=Number(), help="SpO2, percent.")
@click.option("--csv", "file", type=click.File(encoding="utf-8-sig"),
              help="Has a header line and a row per patient; - is standard input.")  # fmt: skip
@output_flag("json", "yaml", "wide", "csv")
@with_client
def predict(client: Client, name: str, file: TextIO | None, form: str | None,
            **flags: Any) -> None:  # fmt: skip
    """Predict the risk of one patient, or of those in a CSV file.

    \b
      kubectl riskpredictor predict health-predictor --heart-rate 85 --blood-pressure 120 \\
          --temperature 36.8 --temperature-unit C --oxygen-level 97
      kubectl riskpredictor predict health-predictor --csv patients.csv -o csv > risks.csv

    The CSV needs the columns heart_rate, blood_pressure, temperature and oxygen_level, and may have
    temperature_unit. Other columns are shown again and not sent. If a row is refused, nothing is
    predicted, and the error names the line and the field.
    """
    unit = flags.pop(UNIT) or ""
    given = [flag for flag in VITALS if flags[flag] is not None]
    if file is None:
        missing = [_flag(flag) for flag in VITALS if flag not in given]
        if missing:
            raise click.UsageError(f"missing {', '.join(missing)} (or --csv FILE)")
        _show_one(_one(client, name, {**flags, UNIT: unit} if unit else flags), form)
    elif given:
        raise click.UsageError(f"{_flag(given[0])} and --csv exclude each other")
    else:
        rows = read(file, file.name, unit)
        _show_many(rows, _many(client, name, file.name, rows), form)


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _one(client: Client, name: str, record: Record) -> Answer:
    with forwarding(client, name) as forward:
        try:
            return Predictor(forward.url).predict(record)
        except RefusedError as error:
            raise refused("", [f"{_flag(p.field)}: {p.detail}" for p in error.problems]) from None


def _many(client: Client, name: str, file: str, rows: list[Row]) -> list[Answer]:
    with forwarding(client, name) as forward:
        try:
            return Predictor(forward.url).predict_many([row.record for row in rows])
        except RefusedError as error:
            problems = [
                ("" if p.index is None else f"line {rows[p.index].line}: ")
                + f"{p.field}: {p.detail}"
                for p in error.problems
            ]
            raise refused(file, problems) from None


def _show_one(answer: Answer, form: str | None) -> None:
    for warning in answer["warnings"]:
        notice(f"warning: {_flag(warning['field'])}: {warning['detail']}")
    if form in ("json", "yaml"):
        emit(answer, form)
        return
    cells = _cells(answer)
    if form == "csv":
        click.echo(_csv(list(cells), [list(cells.values())]), nl=False)
        return
    click.echo(table(_headings(cells), [list(cells.values())]))
    shares = answer["contributions"]
    if form == "wide" and shares:
        rows = [[vital, f"{shares[vital]:+.3f}"] for vital in VITALS]
        click.echo("\n" + table(["VITAL", "PUSHES TOWARDS HIGH"], rows))


def _show_many(rows: list[Row], answers: list[Answer], form: str | None) -> None:
    if form in ("json", "yaml"):
        lines = [{"line": row.line, **answer} for row, answer in zip(rows, answers, strict=True)]
        emit({"predictions": lines}, form)
        return
    every = form in ("csv", "wide")
    header = [*rows[0].cells, *_cells(answers[0], every=every)]
    body = [
        [*row.cells.values(), *_cells(answer, every=every).values()]
        for row, answer in zip(rows, answers, strict=True)
    ]
    if form == "csv":
        click.echo(_csv(header, body), nl=False)
    else:
        click.echo(table(_headings(header), body))
    outside = sum(bool(answer["warnings"]) for answer in answers)
    if outside:
        notice(
            f"warning: {outside} of {len(rows)} lie outside the training data;"
            " -o json says in which values"
        )


def _cells(answer: Answer, *, every: bool = True) -> dict[str, str]:
    """The cells of an answer by their CSV columns; a file's own column may be ``risk_level``."""
    chances = {level.lower(): f"{p:.4f}" for level, p in answer["probabilities"].items()}
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
