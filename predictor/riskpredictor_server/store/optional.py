"""Fetches a model that the pod can do without: a failure is told to the server, and ends nothing.

The fetch runs in a process of its own, so that a candidate that crashes, takes for ever to load, or
is too large for the container, is one more failure. Whatever fails, the folder then holds a file
ERROR and no model.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from riskpredictor_server.model.artifact import ERROR
from riskpredictor_server.store import place
from riskpredictor_server.store.errors import FETCH_FAILED, StoreError, termination_line

log = logging.getLogger("riskpredictor")

LOAD_SECONDS = 30.0
"""For the start of the process, and for loading and checking what was fetched."""
MEMORY_SHARE = 0.9
"""Of the memory of the container: one that takes all of it is ended with all of its processes."""
LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where a container reads its own limit, by versions 2 and 1 of cgroups."""
_POLL_SECONDS = 0.02


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
    log.warning("the pod starts without this model, and %s says why", folder / ERROR)
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
            failure = _wait(step, seconds)
        finally:
            # Also when this process is told to go.
            step.kill()
            step.wait()
        line = said.read() if step.returncode else b""
        if line:
            told = json.loads(line)
            return told["reason"], told["message"]
        if failure:
            log.error("%s: %s", *failure)
        return failure


def _wait(step: subprocess.Popen[bytes], seconds: float) -> tuple[str, str] | None:
    """Wait for its end; return reason and message if it fails, or must be ended."""
    deadline = time.monotonic() + seconds
    room = MEMORY_SHARE * container_memory() - _memory_of(os.getpid())
    while True:
        try:
            status = step.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                return FETCH_FAILED, f"the fetch step did not end within {seconds:g} s"
            if _memory_of(step.pid) > room:
                return FETCH_FAILED, (
                    f"the model needs more than the {room / 2**20:.0f} MiB of memory that the"
                    " container leaves to it: raise spec.resources.limits.memory, or make the"
                    " model smaller"
                )
            continue
        if status == 0:
            return None
        name = (
            f"was ended by {signal.Signals(-status).name}"
            if status < 0
            else f"ended with code {status}"
        )
        return FETCH_FAILED, f"the fetch step {name}; its log says more"


def container_memory() -> float:
    """Return the bytes that this container may use; infinity if there is no limit."""
    for path in LIMITS:
        try:
            return float(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return math.inf


def _memory_of(pid: int) -> int:
    """Return the bytes of a process that cannot be given back; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0
