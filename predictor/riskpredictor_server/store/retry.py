"""Tries again, with full jitter, until an attempt succeeds or the time of the whole fetch is over.

"Full jitter" is uniform between nothing and an exponentially growing bound, so that the pods of a
Deployment that starts do not ask a busy store at the same moments.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from riskpredictor_server.store.errors import FETCH_FAILED, StoreError, TransientError

T = TypeVar("T")
ATTEMPTS = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds: the bound of the first pause, and of any."""


@dataclass
class Retries:
    """One per fetch: its deadline is that of everything together."""

    seconds: float
    """From now until the deadline."""
    attempts: int = ATTEMPTS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform  # noqa: S311 - no secret
    report: Callable[[str], None] = lambda _: None
    """Told each time that another attempt follows."""
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = self.clock() + self.seconds

    def left(self) -> float:
        """Seconds until the deadline, never below 0."""
        return max(0.0, self._end - self.clock())

    def call(self, what: str, attempt: Callable[[], T]) -> T:
        """Return what ``attempt`` returns; it raises TransientError to be called again.

        Raises StoreError FETCH_FAILED after the last attempt and at the deadline, with the message
        of the last TransientError; ``what`` opens the message. Any other error passes.
        """
        failure = what
        for number in range(1, self.attempts + 1):
            if not self.left():
                raise StoreError(FETCH_FAILED, f"{failure}; {self._out_of_time()}")
            try:
                return attempt()
            except TransientError as error:
                pause = self._pause(number, error.retry_after)
                failure = f"{what}: {error.message}"
                if number == self.attempts:
                    raise StoreError(
                        FETCH_FAILED, f"{failure}; {number} attempts failed"
                    ) from error
                if pause >= self.left():
                    raise StoreError(FETCH_FAILED, f"{failure}; {self._out_of_time()}") from error
                self.report(
                    f"{failure}; attempt {number} of {self.attempts}, next in {pause:.1f} s"
                )
                self.sleep(pause)
        raise AssertionError("attempts must be positive")

    def _pause(self, number: int, retry_after: float | None) -> float:
        if retry_after is not None:
            return max(0.0, retry_after)
        return self.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (number - 1)))

    def _out_of_time(self) -> str:
        return f"the time for the whole fetch, {self.seconds:g} s, is over"
