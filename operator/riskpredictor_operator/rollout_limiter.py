"""A bounded number of predictors at a time for changes that the operator itself brings about.

A new default or a new version of the operator may change the pods of every predictor. All at once
they would ask for twice the pods, and a default that is broken would break them all. So only a few
roll at a time, and one that does not come up keeps its place: after those few it goes no further.
Who waits serves on as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from riskpredictor_operator import metrics
from riskpredictor_operator.core.api import Key


@dataclass
class Rolls:
    """Places for the predictors that roll."""

    limit: int
    """How many at a time."""
    wake: Callable[[Key], None]
    """Called with the next one in the queue when a place is free."""
    _under_way: set[Key] = field(default_factory=set, init=False)
    _waiting: dict[Key, None] = field(default_factory=dict, init=False)

    def recover(self, rolling: Iterable[Key]) -> None:
        """After a restart: those that an operator before this one set rolling."""
        self._under_way.update(rolling)
        self._tell()

    def admit(self, key: Key) -> bool:
        """Whether a predictor may roll now; otherwise it is woken when it is its turn."""
        if key not in self._under_way:
            if len(self._under_way) >= self.limit:
                self._waiting[key] = None
                self._tell()
                return False
            self._under_way.add(key)
        self._waiting.pop(key, None)
        self._tell()
        return True

    def waits(self, key: Key) -> bool:
        """Whether a predictor waits for its turn."""
        return key in self._waiting

    def withdraw(self, key: Key) -> None:
        """A predictor need not wait any more: what it waited for was overtaken."""
        if key in self._waiting:
            del self._waiting[key]
            self._tell()
            self._wake_next()

    def done(self, key: Key) -> None:
        """A predictor has settled, or is gone or not to be touched: its place is free."""
        self._waiting.pop(key, None)
        self._under_way.discard(key)
        self._tell()
        self._wake_next()

    def _wake_next(self) -> None:
        """Also when no place has just become free: the one that was woken for it may be gone."""
        free = max(0, self.limit - len(self._under_way))
        for waiting in tuple(islice(self._waiting, free)):
            self.wake(waiting)

    def _tell(self) -> None:
        metrics.ROLLS.labels("under way").set(len(self._under_way))
        metrics.ROLLS.labels("waiting").set(len(self._waiting))
