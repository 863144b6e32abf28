"""Shell completion through kubectl itself. A shell's own: commands/completion.py."""

from __future__ import annotations

import sys

import click
from click.shell_completion import ShellComplete

from riskpredictor_kubectl.cli import PROGRAM, cli

DEFAULT, NO_FILES = 0, 4
"""Directives of the protocol that kubectl has from cobra."""


def main() -> None:
    """``kubectl_complete-riskpredictor``: the words so far, the last one to be completed.

    kubectl 1.26 and newer runs it at a TAB and expects a suggestion on each line, and a directive.
    """
    *words, incomplete = sys.argv[1:] or [""]
    # "--flag=val" is one word for kubectl and two for click.
    flag, equals, value = incomplete.partition("=")
    if equals and flag.startswith("-"):
        words, incomplete = [*words, flag], value
    found = ShellComplete(cli, {}, PROGRAM, "").get_completions(words, incomplete)
    directive = NO_FILES
    for item in found:
        if item.type == "plain":
            shown = f"{flag}={item.value}" if equals else item.value
            click.echo(f"{shown}\t{item.help}" if item.help else shown)
        else:
            directive = DEFAULT
    click.echo(f":{directive}")
