"""``kubectl riskpredictor completion``."""

from __future__ import annotations

import click


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print a shell's completion script.

    It completes "kubectl-riskpredictor". "kubectl riskpredictor" needs none: there, the completion
    of kubectl 1.26 and newer asks the plug-in.

    \b
      source <(kubectl riskpredictor completion bash)
    """
    # Here: it completes all commands, this one too.
    from riskpredictor_kubectl.completion import script

    click.echo(script(shell))
