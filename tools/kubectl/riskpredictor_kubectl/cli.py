"""The command line: which commands there are."""

from __future__ import annotations

import click

from riskpredictor_kubectl import __version__
from riskpredictor_kubectl.commands.completion import completion_command
from riskpredictor_kubectl.commands.load import load
from riskpredictor_kubectl.commands.open import open_command
from riskpredictor_kubectl.commands.predict import predict
from riskpredictor_kubectl.commands.rollout import rollout
from riskpredictor_kubectl.commands.status import status
from riskpredictor_kubectl.options import target_flags

PROGRAM = "kubectl riskpredictor"


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@target_flags
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, /, **_: str) -> None:
    """Look at RiskPredictors, ask them, and find the way back.

    \b
      kubectl riskpredictor status -A                    all of them
      kubectl riskpredictor status health-predictor      one, with its children and what to do
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (status, predict, rollout, load, open_command, completion_command):
    cli.add_command(command)
