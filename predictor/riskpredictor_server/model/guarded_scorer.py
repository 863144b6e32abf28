"""Scores with a candidate whose faults must cost nothing: counts them, and switches it off."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, Final

from riskpredictor_server.model.artifact import Model
from riskpredictor_server.model.schema import Values
from riskpredictor_server.model.scorer import Scored, ScoredMany

log = logging.getLogger("riskpredictor")

RAISED, INVALID, SLOW = KINDS = ("raised", "invalid", "slow")
"""Of errors: it raised, its score is not one, it took too long."""
FUSE: Final = 3
"""Errors after which it is switched off. One would be enough for what is a pure function; of three
the counts show whether it is always the same kind."""
SLOW_SECONDS: Final = 0.02
"""CPU time of the thread at which a score is slow. The largest form that is loaded takes less than
a hundredth of it on a slow processor. It is CPU time, since a throttled pod is stopped for up to a
tenth of a second in the middle of a score; and more than the tick of 0.01 s in which some sandboxes
count CPU time."""
SLOW_SECONDS_PER_RECORD: Final = 0.001
"""What each record of a batch may add to that."""
TOLERANCE: Final = 1e-6
"""Largest difference of a sum of probabilities from 1; rounding errors are far smaller."""
_LEAST, _MOST = 1.0 - TOLERANCE, 1.0 + TOLERANCE


class CandidateError(Exception):
    """The candidate gave no score that can be used. It is counted already."""


class GuardedScorer:
    """The scorer of a candidate; what it raises is CandidateError and nothing else."""

    explains = True

    def __init__(
        self,
        model: Model,
        wall_clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """The clocks give seconds: of time, and of CPU time of the thread."""
        self._scorer = model.scorer
        self._version = model.version
        self._levels, self._features = len(model.schema.levels), len(model.schema.names)
        self._wall_clock, self._cpu_clock = wall_clock, cpu_clock
        self._lock = threading.Lock()
        self.errors = dict.fromkeys(KINDS, 0)
        self.switched_off = False
        """Whether it has failed too often to be asked again by this process."""

    def score(self, values: Values) -> Scored:
        """Score one record; raises CandidateError."""
        if self.switched_off:
            raise self._off()
        clock, score = self._wall_clock, self._scorer.score
        try:
            begun = clock()
            scored = score(values)
            slow = clock() - begun > SLOW_SECONDS and self._takes(score, values) > SLOW_SECONDS
        except Exception as error:
            raise self.failed(RAISED, type(error).__name__) from None
        try:
            probabilities, shares = scored
            # A sum with NaN is NaN, which no comparison holds for; one with infinity is not 1.
            valid = (
                _LEAST <= sum(probabilities) <= _MOST
                and min(probabilities) >= 0.0
                and len(probabilities) == self._levels
                and shares is not None
                and isfinite(sum(shares))
                and len(shares) == self._features
            )
        except (TypeError, ValueError):
            valid = False
        if slow or not valid:
            raise self.failed(SLOW if slow else INVALID)
        return scored

    def score_many(self, rows: Sequence[Values]) -> ScoredMany:
        """Score a batch; raises CandidateError if it cannot be used for any of its records."""
        if self.switched_off:
            raise self._off()
        clock, score = self._wall_clock, self._scorer.score_many
        limit = SLOW_SECONDS + SLOW_SECONDS_PER_RECORD * len(rows)
        try:
            begun = clock()
            scored = score(rows)
            slow = clock() - begun > limit and self._takes(score, rows) > limit
        except Exception as error:
            raise self.failed(RAISED, type(error).__name__) from None
        try:
            probabilities, shares = scored
            sums = list(map(sum, probabilities))
            valid = (
                shares is not None
                and len(probabilities) == len(shares) == len(rows)
                and set(map(len, probabilities)) == {self._levels}
                and set(map(len, shares)) == {self._features}
                # Before the least is looked for: NaN is not less than anything.
                and isfinite(sum(sums))
                and _LEAST <= min(sums) <= max(sums) <= _MOST
                and min(map(min, probabilities)) >= 0.0
                and isfinite(sum(map(sum, shares)))
            )
        except (TypeError, ValueError):
            valid = False
        if slow or not valid:
            raise self.failed(SLOW if slow else INVALID)
        return scored

    def failed(self, kind: str, what: str = "") -> CandidateError:
        """Count an error, and return what to raise. No text of it is kept: it may have values."""
        with self._lock:
            self.errors[kind] += 1
            off = sum(self.errors.values()) >= FUSE and not self.switched_off
            self.switched_off = self.switched_off or off
        text = f"candidate {self._version}: {kind}{what and ' '}{what}"
        if off:
            log.error("%s; %s: it is switched off", text, self.told())
        else:
            log.warning("%s", text)
        return CandidateError(text)

    def told(self) -> str:
        """Its errors for people."""
        return "errors: " + ", ".join(f"{kind} {count}" for kind, count in self.errors.items())

    def _off(self) -> CandidateError:
        return CandidateError(f"candidate {self._version} is switched off; {self.told()}")

    def _takes(self, score: Callable[[Any], Any], what: Any) -> float:
        """CPU time of another try: the first may have been interrupted, or collected garbage."""
        begun = self._cpu_clock()
        score(what)
        return self._cpu_clock() - begun
