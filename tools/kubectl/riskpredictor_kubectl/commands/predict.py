"""``kubectl riskpredictor predict``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from functools import partial
from typing import TextIO

import click
from click.shell_completion import CompletionItem

from riskpredictor_kubectl import answers, flags
from riskpredictor_kubectl.answers import Answer
from riskpredictor_kubectl.declaration import Declaration
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.forward import forwarding
from riskpredictor_kubectl.options import (
    COMPLETION_SECONDS,
    client_of,
    name_argument,
    output_flag,
    target_flags,
)
from riskpredictor_kubectl.predictor import Predictor, RefusedError
from riskpredictor_kubectl.records import Record, Row, read_csv, read_json, refused

HELP_SECONDS = 5.0
"""How long --help waits for the model."""


class _Command(flags.Command):
    """Completes the flags of the model, too."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        if not incomplete.startswith("-") or not ctx.params.get("name"):
            return found
        try:
            declaration = _ask(ctx, ctx.params["name"], COMPLETION_SECONDS)
        except PluginError:
            # The command itself reports the error when it runs.
            return found
        return [*found, *flags.offers(declaration, ctx, incomplete)]


@click.command(cls=_Command)
@name_argument()
@click.option("--csv", "table", type=click.File(encoding="utf-8-sig"), metavar="FILE",
              help="Has a header line and a row per patient; - is standard input.")  # fmt: skip
@click.option("--json", "document", type=click.File(encoding="utf-8-sig"), metavar="FILE",
              help="A record as POST /predict takes it, or a list of records.")  # fmt: skip
@output_flag("json", "yaml", "wide", "csv")
@target_flags
@click.pass_context
def predict(
    context: click.Context,
    /,
    name: str,
    table: TextIO | None,
    document: TextIO | None,
    form: str | None,
    **_: str,
) -> None:
    """Predict the risk of one patient, or of those in a file.

    The model that answers has a flag for each of its features: NAME --help lists them. Write the
    NAME before them. With the model of the demonstration:

    \b
      kubectl riskpredictor predict health-predictor --heart-rate 85 --blood-pressure 120 \\
          --temperature 36.8 --temperature-unit C --oxygen-level 97
      kubectl riskpredictor predict health-predictor --csv patients.csv -o csv > risks.csv

    A CSV file has a column for each feature; those that may be left out, and units, may be missing.
    Other columns are shown again and not sent. If a row is refused, nothing is predicted, and the
    error names the line and the field.
    """
    if table and document:
        raise click.UsageError("--csv and --json exclude each other")
    if context.meta[flags.HELP]:
        _help(context, name)
        return
    with forwarding(client_of(context), name) as forward:
        predictor = Predictor(forward.url)
        declaration = predictor.declaration()
        record, units = flags.read(declaration, context, name)
        if table:
            _exclude(record, "--csv", context, name)
            rows = read_csv(table, table.name, declaration, units)
            answers.show_many(rows, _many(predictor, table.name, rows), declaration, form)
        elif document:
            _exclude(record | units, "--json", context, name)
            _from_json(predictor, document, declaration, form)
        else:
            missing = flags.missing(declaration, record, context)
            if missing:
                said = f"missing {', '.join(missing)} (or --csv FILE)"
                raise flags.error(said, context, name)
            named = partial(flags.flag_of, context=context)
            answer = _one(predictor, record | units, named)
            answers.show_one(answer, declaration, form, named)


def _help(context: click.Context, name: str) -> None:
    """Print the help, with the flags of the model if it can be asked."""
    click.echo(context.get_help())
    try:
        declaration = _ask(context, name, HELP_SECONDS)
    except PluginError as error:
        click.echo(f"\nThe model of {name} cannot be asked for its flags: {error.args[0]}")
        return
    click.echo("\n" + flags.text(declaration, context))


def _ask(context: click.Context, name: str, seconds: float) -> Declaration:
    """What the model that answers declares; raises PluginError, also if it takes too long."""
    client = client_of(context, patience=seconds)
    with forwarding(client, name, seconds=seconds) as forward:
        return Predictor(forward.url).declaration()


def _exclude(values: Iterable[str], other: str, context: click.Context, name: str) -> None:
    for field in values:
        flag = flags.flag_of(field, context)
        raise flags.error(f"{flag} and {other} exclude each other", context, name)


def _from_json(
    predictor: Predictor, file: TextIO, declaration: Declaration, form: str | None
) -> None:
    found = read_json(file, file.name)
    if isinstance(found, list):
        answers.show_many(found, _many(predictor, file.name, found), declaration, form)
    else:
        answers.show_one(_one(predictor, found, str), declaration, form, str)


def _one(predictor: Predictor, record: Record, named: Callable[[str], str]) -> Answer:
    try:
        return predictor.predict(record)
    except RefusedError as error:
        problems = [f"{named(p.field)}: {p.detail}" for p in error.problems]
    if named is not str:
        problems = [_with_unit_flags(problem, named) for problem in problems]
    raise refused("", problems)


def _with_unit_flags(problem: str, named: Callable[[str], str]) -> str:
    """The problem with a flag where the predictor says how a JSON document tells the unit."""
    return re.sub(
        r'"(\w+_unit)": "([^"]+)"',
        lambda match: f"{named(match[1])} {shlex.quote(match[2])}",
        problem,
    )


def _many(predictor: Predictor, file: str, rows: list[Row]) -> list[Answer]:
    try:
        return predictor.predict_many([row.record for row in rows])
    except RefusedError as error:
        raise refused(file, [answers.placed(each, rows) for each in error.problems]) from None
