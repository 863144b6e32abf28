"""The command line: which commands there are."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from riskpredictor_kubectl import __version__
from riskpredictor_kubectl.commands.load import load
from riskpredictor_kubectl.commands.model import model
from riskpredictor_kubectl.commands.open import open_command
from riskpredictor_kubectl.commands.predict import predict
from riskpredictor_kubectl.commands.rollout import rollout
from riskpredictor_kubectl.commands.status import status
from riskpredictor_kubectl.options import target_flags

PROGRAM = "kubectl riskpredictor"
COMPLETE_VARIABLE = "_KUBECTL_RISKPREDICTOR_COMPLETE"
"""The variable by which a shell's completion script asks the program."""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@target_flags
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, /, **_: str) -> None:
    """Inspect, ask and load RiskPredictors, go back to an earlier version, and compare models.

    \b
      kubectl riskpredictor status -A                    all RiskPredictors
      kubectl riskpredictor status health-predictor      one, with its children and what to do
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell's completion script.

    It completes "kubectl-riskpredictor". "kubectl riskpredictor" needs none: there, the completion
    of kubectl 1.26 and newer asks the plug-in.

    \b
      source <(kubectl riskpredictor completion bash)
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the argument offers only shells that click knows
    click.echo(kind(cli, {}, "kubectl-riskpredictor", COMPLETE_VARIABLE).source())


for command in (status, predict, rollout, load, open_command, model):
    cli.add_command(command)
