"""The flags of ``predict``, of which most are the model's: one for each of its features.

They are read in two steps, because the model is known only when the command has a name and a
cluster: what the command itself does not know is put aside, and read when the model has answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from riskpredictor_kubectl.declaration import Declaration, Feature
from riskpredictor_kubectl.records import Record, number

MODEL_FLAGS = "riskpredictor.model_flags"
"""Where a context keeps the words that are for the model."""
HELP = "riskpredictor.help"
"""Whether help about a RiskPredictor was asked for."""
_NUMBER = re.compile(r"-[\d.]")


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


class Command(click.Command):
    """A command that puts the flags aside that it does not know."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command's own flags; see :func:`split`."""
        takes_value = {
            flag: isinstance(param, click.Option) and not param.is_flag
            for param in self.get_params(ctx)
            for flag in param.opts
            if flag.startswith("-")
        }
        own, ctx.meta[MODEL_FLAGS], names = split(args, takes_value)
        helps = [word for word in own if word in ctx.help_option_names]
        ctx.meta[HELP] = bool(names and helps) and not ctx.resilient_parsing
        if not ctx.meta[HELP]:
            return super().parse_args(ctx, [*own, *names])
        # As with any --help, the values of other flags do not matter: a file may not be there.
        ctx.resilient_parsing = True
        rest = super().parse_args(ctx, [*(word for word in own if word not in helps), *names])
        ctx.resilient_parsing = False
        return rest


def split(
    words: list[str], takes_value: Mapping[str, bool]
) -> tuple[list[str], list[str], list[str]]:
    """The words of a command line for the command, for the model, and the names.

    A word after a flag of the model is its value; so a name stands before the flags of the model,
    or after one that has its value.

    Args:
        words: the command line.
        takes_value: the command's own flags, and whether a value follows each.
    """
    own: list[str] = []
    model: list[str] = []
    names: list[str] = []
    left = list(words)
    # Whether the word before is a flag of the model that may have a value.
    waiting = False
    while left:
        word = left.pop(0)
        if word == "--":
            names += left
            break
        flag, equals, _ = word.partition("=")
        if waiting and (not word.startswith("-") or _NUMBER.match(word)):
            model.append(word)
            waiting = False
        elif flag.startswith("--") and flag not in takes_value:
            model.append(word)
            waiting = not equals
        elif word.startswith("-") and len(word) > 1:
            waiting = False
            own.append(word)
            # "--output=json" and "-ojson" have their value with them.
            if takes_value.get(word) and left:
                own.append(left.pop(0))
        else:
            names.append(word)
    return own, model, names


def read(
    declaration: Declaration, context: click.Context, name: str
) -> tuple[Record, dict[str, str]]:
    """The record that the flags of the model make, and the units among them.

    Args:
        declaration: of the model.
        context: of the command, which put the flags aside.
        name: of the RiskPredictor.

    Raises:
        click.UsageError: a flag or a value is wrong; it lists the flags if there is no such one.
    """
    options = _options(declaration, context)
    command = click.Command(None, params=[*options], add_help_option=False)
    words = list(context.meta[MODEL_FLAGS])
    try:
        found = command.make_context(_title(context, name), words, context.parent).params
    except click.NoSuchOption as wrong:
        listed = ", ".join(option.opts[0] for option in options)
        said = f"{wrong.message} Model {declaration.version} has {listed}."
        raise error(said, context, name) from None
    except click.UsageError as wrong:
        raise error(wrong.format_message(), context, name) from None
    given = {field: value for field, value in found.items() if value is not None}
    units = {field: given.pop(field) for field in declaration.unit_fields if field in given}
    return given, units


def error(said: str, context: click.Context, name: str) -> click.UsageError:
    """An error about the flags of a model; it points to the help that lists them."""
    here = click.Context(click.Command(None), context.parent, _title(context, name))
    return click.UsageError(said, here)


def _title(context: click.Context, name: str) -> str:
    return f"{context.info_name} {name}"


def missing(declaration: Declaration, record: Record, context: click.Context) -> list[str]:
    """The flags of required features that a record lacks."""
    return [
        flag_of(feature.name, context)
        for feature in declaration.features
        if feature.required and feature.name not in record
    ]


def flag_of(field: str, context: click.Context) -> str:
    """The flag of a field: --heart-rate; --feature-context where the command has a --context."""
    flag = f"--{field.replace('_', '-')}"
    taken = {name for param in context.command.get_params(context) for name in param.opts}
    return flag.replace("--", "--feature-", 1) if flag in taken else flag


def text(declaration: Declaration, context: click.Context) -> str:
    """The section of the help about the flags of a model."""
    formatter = context.make_formatter()
    records = [option.get_help_record(context) for option in _options(declaration, context)]
    with formatter.section(f"Flags of model {declaration.version}"):
        formatter.write_dl([record for record in records if record])
    return formatter.getvalue().rstrip()


def offers(
    declaration: Declaration, context: click.Context, incomplete: str
) -> list[CompletionItem]:
    """The flags of a model that begin so, for a shell."""
    return [
        CompletionItem(option.opts[0], help=option.help)
        for option in _options(declaration, context)
        if option.opts[0].startswith(incomplete)
    ]


def _options(declaration: Declaration, context: click.Context) -> list[click.Option]:
    found = []
    for feature in declaration.features:
        flag = flag_of(feature.name, context)
        found.append(_option(feature, flag))
        if feature.units:
            found.append(
                click.Option(
                    [flag_of(feature.unit_field, context), feature.unit_field],
                    type=click.Choice(feature.units),
                    help=f"Default {feature.units[0]}.",
                )
            )
    return found


def _option(feature: Feature, flag: str) -> click.Option:
    about = feature.title if feature.type == "category" else f"{feature.title}, {feature.span()}"
    about = f"{about.rstrip(', ')}."
    if feature.description.rstrip(".") not in ("", feature.title):
        about += f" {feature.description}"
    about += "" if feature.required else " May be left out."
    names = [flag, feature.name]
    if feature.type == "boolean":
        # Alone it means true.
        return click.Option(names, type=click.BOOL, is_flag=False, flag_value="true",
                            metavar="[true|false]", help=about)  # fmt: skip
    if feature.type == "category":
        return click.Option(names, type=click.Choice(feature.values), help=about)
    return click.Option(names, type=Number(), help=about)
