"""``kubectl riskpredictor completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

COMPLETE_VARIABLE = "_KUBECTL_RISKPREDICTOR_COMPLETE"
"""By it a shell's script asks the program for suggestions."""


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print a shell's completion script.

    It completes "kubectl-riskpredictor". "kubectl riskpredictor" needs none: there, the completion
    of kubectl 1.26 and newer asks the plug-in.

    \b
      source <(kubectl riskpredictor completion bash)
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the argument offers those that there are
    whole = context.find_root().command
    click.echo(kind(whole, {}, "kubectl-riskpredictor", COMPLETE_VARIABLE).source())
