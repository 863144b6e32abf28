"""Fetches a model that the pod can do without: a failure is told to the server, and ends nothing.

The fetch runs in a process of its own, so that a candidate that crashes, or takes for ever to
load, is one more failure. Whatever fails, the folder then holds a file ERROR and no model.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from riskpredictor_server.model.artifact import ERROR
from riskpredictor_server.store import place
from riskpredictor_server.store.errors import FETCH_FAILED, StoreError, termination_line

log = logging.getLogger("riskpredictor")

LOAD_SECONDS = 30.0
"""For the start of the process, and for loading and checking what was fetched."""


def run(argv: Sequence[str], folder: Path, seconds: float) -> int:
    """Run the fetch step ``argv``, which may take ``seconds`` for the store. Returns 0."""
    try:
        failure = _failure(argv, seconds + LOAD_SECONDS)
    except Exception as error:
        log.exception("the fetch step cannot be run")
        failure = FETCH_FAILED, f"the fetch step cannot be run: {error}"
    return without(folder, *failure) if failure else 0


def without(folder: Path, reason: str, message: str) -> int:
    """Leave the reason in the folder, and nothing else. Returns 0."""
    log.error("%s: %s", reason, message)
    log.warning("the pod starts without this model: %s says why", folder / ERROR)
    try:
        place.remove_leftovers(folder)
        with place.beside(folder, {ERROR: termination_line(reason, message)}) as made:
            place.put(made, folder)
    except (StoreError, OSError) as error:
        # A model that was there before is not the declared one.
        shutil.rmtree(folder, ignore_errors=True)
        log.error("%s", error)  # noqa: TRY400 - its message is all there is to say
    return 0


def _failure(argv: Sequence[str], seconds: float) -> tuple[str, str] | None:
    """Run it; return reason and message if it failed."""
    reading, writing = os.pipe()
    # Whatever has it open still: its end is not waited for.
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb") as said:
        try:
            step = subprocess.Popen(  # noqa: S603 - this program itself
                [
                    *(sys.executable, "-m", "riskpredictor_server", "fetch", *argv),
                    *("--model-optional=off", f"--termination-log=/dev/fd/{writing}"),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[writing],
            )
        finally:
            os.close(writing)
        try:
            status = step.wait(seconds)
        except subprocess.TimeoutExpired:
            return FETCH_FAILED, f"the fetch step did not end within {seconds:g} s"
        finally:
            # Also when this process is told to go.
            step.kill()
            step.wait()
        if status == 0:
            return None
        line = said.read()
        if line:
            told = json.loads(line)
            return told["reason"], told["message"]
        return FETCH_FAILED, _ended(status)


def _ended(status: int) -> str:
    by = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
    return f"the fetch step {by}; its log says more"
