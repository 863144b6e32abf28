"""A bound on the time of a whole run of pytest, which ends in order and says why."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def bounded(seconds: float, advice: str) -> Iterator[None]:
    """End the run, with status 1, if the block takes longer; fixtures are still torn down.

    Args:
        seconds: the bound.
        advice: what to do about it, for the message.
    """

    def give_up(*_: object) -> None:
        where = os.environ.get("PYTEST_CURRENT_TEST", "between two tests")
        pytest.exit(
            f"the bound of {seconds:g} s is over at {where}; what is left was not run. {advice}",
            returncode=1,
        )

    before = signal.signal(signal.SIGUSR1, give_up)
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        signal.signal(signal.SIGUSR1, before)
