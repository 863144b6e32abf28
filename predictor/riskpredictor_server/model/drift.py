"""Input drift: do today's patients look like those that the model was trained on?

The population stability index over the training deciles, sum of (p - q) ln(p / q) (Siddiqi,
Credit Risk Scorecards, 2006). By that author's rule of thumb 0.1 is worth a look and 0.25 is a
shift. Computed from the latest values when metrics are read, so a prediction pays for little more
than a look at the clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from math import log
from time import monotonic
from typing import Any

from riskpredictor_server.api.records import VITAL_NAMES, Values

DRIFT_WINDOW = 2000
"""Predictions that the score looks back over, at most."""
DRIFT_SECONDS = 3600.0
"""And how far back in time: patients of last night say nothing of those of today."""
MIN_SAMPLES = 200
"""Fewer say nothing: ten bins of a few values each drift by chance."""


class Recent:
    """The latest scored values and when; in memory only."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._rows: deque[tuple[float, Values]] = deque(maxlen=DRIFT_WINDOW)

    def add(self, values: Values) -> None:
        """Remember one record."""
        self._rows.append((self._clock(), values))

    def extend(self, rows: Iterable[Values]) -> None:
        """Remember the records of a batch."""
        self._rows.extend(zip(repeat(self._clock()), rows))

    def values(self) -> list[Values]:
        """Those of the last DRIFT_SECONDS, at most DRIFT_WINDOW."""
        oldest = self._clock() - DRIFT_SECONDS
        # A copy in one step: other threads may add.
        return [values for time, values in list(self._rows) if time >= oldest]


def drift(recent: Sequence[Values], features: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The index per vital; ``features`` as in the model card. Empty for too few samples."""
    if len(recent) < MIN_SAMPLES:
        return {}
    return {
        row["name"]: _index(
            [values[VITAL_NAMES.index(row["name"])] for values in recent],
            row["baseline"]["edges"],
            row["baseline"]["shares"],
        )
        for row in features
    }


def _index(values: Sequence[float], edges: Sequence[float], shares: Sequence[float]) -> float:
    counts = [0] * len(shares)
    for value in values:
        counts[bisect_right(edges, value)] += 1
    # Half a count in every bin keeps an empty one from making the index infinite.
    total = len(values) + 0.5 * len(shares)
    floor = 0.5 / total
    index = 0.0
    for count, share in zip(counts, shares, strict=True):
        now, then = (count + 0.5) / total, max(share, floor)
        index += (now - then) * log(now / then)
    return index
