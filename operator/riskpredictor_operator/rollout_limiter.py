"""Limits how many predictors roll out at a time a change that nobody asked for.

Another version or default of the operator may change the pods of every predictor. All at once they
would need twice the pods, and a broken default would break them all. So only a few roll out at a
time, and one that does not come up keeps its slot: the change goes no further than those few. The
others serve as before while they wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from riskpredictor_operator import metrics
from riskpredictor_operator.kube import Key


@dataclass
class RolloutLimiter:
    """Slots for predictors that roll out, and a queue of those that wait for one."""

    limit: int
    wake: Callable[[Key], None]
    """Called with the first one in the queue when a slot is free."""
    _rolling: set[Key] = field(default_factory=set, init=False)
    _waiting: dict[Key, None] = field(default_factory=dict, init=False)

    def recover(self, rolling: Iterable[Key]) -> None:
        """After a restart: give slots to those that are rolling out already."""
        self._rolling.update(rolling)
        self._update_metrics()

    def admit(self, key: Key) -> bool:
        """Whether a predictor may roll out now; if not, it is woken when a slot is free for it."""
        admitted = key in self._rolling or len(self._rolling) < self.limit
        if admitted:
            self._rolling.add(key)
            self._waiting.pop(key, None)
        else:
            self._waiting[key] = None
        self._update_metrics()
        return admitted

    def waits(self, key: Key) -> bool:
        """Whether a predictor waits for a slot."""
        return key in self._waiting

    def withdraw(self, key: Key) -> None:
        """A predictor needs no slot any more, because its spec changed while it waited."""
        if key in self._waiting:
            del self._waiting[key]
            self._update_metrics()
            self._wake_next()

    def done(self, key: Key) -> None:
        """Free the slot of a predictor that has settled, is gone or is suspended."""
        self._waiting.pop(key, None)
        self._rolling.discard(key)
        self._update_metrics()
        self._wake_next()

    def _wake_next(self) -> None:
        """Wake a waiting predictor for every free slot, not only for one that has just become free.

        A predictor that was woken earlier may be gone.
        """
        free = max(0, self.limit - len(self._rolling))
        for waiting in tuple(islice(self._waiting, free)):
            self.wake(waiting)

    def _update_metrics(self) -> None:
        metrics.ROLLS.labels("under way").set(len(self._rolling))
        metrics.ROLLS.labels("waiting").set(len(self._waiting))
