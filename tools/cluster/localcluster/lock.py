"""Locks between processes, so that two terminals do not build or start the same thing twice."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ClusterError
from .progress import say


@contextmanager
def file_lock(path: Path, what: str, timeout: float = 1800) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; the kernel frees it when the process ends, however.

    Raises :class:`ClusterError` after ``timeout`` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        deadline = time.monotonic() + timeout
        told = False
        while not _try_lock(handle.fileno()):
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"another process has held {what} for {timeout:.0f} s",
                    f"see who holds {path}: `fuser -v {path}`",
                )
            if not told:
                say(f"waiting for another process that holds {what}")
                told = True
            time.sleep(0.3)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
