"""``kubectl riskpredictor``: runs a command, and turns every failure into one line and a status."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click

from riskpredictor_kubectl.cli import PROGRAM, cli
from riskpredictor_kubectl.commands.completion import COMPLETE_VARIABLE
from riskpredictor_kubectl.errors import PluginError

INTERRUPTED = 130


def main() -> None:
    """The entry point; ends the process."""
    # So that what was started (port-forwards, pods) is taken away by a plain kill, too.
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_run())


def _run() -> int:
    try:
        status = cli.main(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, standalone_mode=False)
    except PluginError as error:
        return _say(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        return 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else PROGRAM
        return _say(f"error: {error.format_message()}\nSee '{command} --help' for usage.")
    except click.ClickException as error:
        return _say(f"error: {error.format_message()}")
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("RISKPREDICTOR_DEBUG"):
            raise
        return _say(
            f"error: unexpected {type(error).__name__}: {error}; RISKPREDICTOR_DEBUG=1 shows where"
        )
    return status if isinstance(status, int) else 0


def _say(text: str) -> int:
    click.echo(text, err=True)
    return 1


def _terminate(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
