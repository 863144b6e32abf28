"""The entry points: ``kubectl riskpredictor``, and its completion through kubectl."""

from __future__ import annotations

import io
import os
import signal
import sys
from types import FrameType

import click
from click.shell_completion import ShellComplete

from riskpredictor_kubectl.cli import COMPLETE_VARIABLE, PROGRAM, cli
from riskpredictor_kubectl.errors import PluginError

INTERRUPTED = 130
DEFAULT, NO_FILES = 0, 4
"""Directives of kubectl's completion protocol, which comes from cobra."""


def main() -> None:
    """Run a command and end the process; an error is a message and an exit status."""
    # So that a plain kill also removes what was started: port-forwards and pods.
    signal.signal(signal.SIGTERM, _terminate)
    _write_utf8()
    sys.exit(_run())


def _write_utf8() -> None:
    """Write UTF-8, as kubectl does, where the language's code page may lack a character.

    A terminal is left as it is: Windows writes Unicode to its own.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _run() -> int:
    try:
        status = cli.main(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, standalone_mode=False)
    except PluginError as error:
        return _fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        return 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else PROGRAM
        return _fail(f"error: {error.format_message()}\nSee '{command} --help' for usage.")
    except click.ClickException as error:
        return _fail(f"error: {error.format_message()}")
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("RISKPREDICTOR_DEBUG"):
            raise
        return _fail(
            f"error: unexpected {type(error).__name__}: {error}; RISKPREDICTOR_DEBUG=1 shows where"
        )
    return status if isinstance(status, int) else 0


def _fail(text: str) -> int:
    click.echo(text, err=True)
    return 1


def _terminate(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def complete() -> None:
    """``kubectl_complete-riskpredictor``: the words so far, of which the last is incomplete.

    kubectl 1.26 and newer runs it at a TAB and expects a suggestion on each line, and a directive.
    """
    _write_utf8()
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


if __name__ == "__main__":
    main()
