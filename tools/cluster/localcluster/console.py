"""What a person sees: errors with their next step, and lines of progress on standard error.

Standard output stays free for answers that scripts read (``status --json``, ``kubeconfig``).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class ClusterError(Exception):
    """An error that a person has to act on; printed without a stack trace.

    ``message`` says what went wrong, ``hint`` the next step.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message


def say(line: str) -> None:
    """Print one line of progress."""
    print(f"  {line}", file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step and, once it is done, how long it took."""
    start = time.monotonic()
    say(title)
    yield
    say(f"{title}: {time.monotonic() - start:.1f} s")
