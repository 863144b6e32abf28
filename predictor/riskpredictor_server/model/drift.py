"""Input drift: how far recent inputs differ from those that the model was trained on.

The measure is the population stability index over the training deciles, the sum of
``(p - q) ln(p / q)`` (Siddiqi, Credit Risk Scorecards, 2006). By that author's rule of thumb 0.1
is worth a look and 0.25 is a shift. It is computed when metrics are read: a prediction only
stores its values and the time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from math import log
from time import monotonic
from typing import Any

from riskpredictor_server.model.schema import Schema, Values

DRIFT_WINDOW = 2000
"""Largest number of predictions that the index is computed from."""
DRIFT_SECONDS = 3600.0
"""Age at which a prediction no longer counts."""
MIN_SAMPLES = 200
"""Fewer give no index: with ten bins of a few values each it would be chance."""


class Recent:
    """Holds the latest scored values with their times, in memory only."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._rows: deque[tuple[float, Values]] = deque(maxlen=DRIFT_WINDOW)

    def add(self, values: Values) -> None:
        """Add one record."""
        self._rows.append((self._clock(), values))

    def extend(self, rows: Iterable[Values]) -> None:
        """Add the records of a batch."""
        self._rows.extend(zip(repeat(self._clock()), rows))

    def values(self) -> list[Values]:
        """The records of the last DRIFT_SECONDS, at most DRIFT_WINDOW."""
        oldest = self._clock() - DRIFT_SECONDS
        # list() copies in one step; iterating a deque that another thread appends to would raise.
        return [values for time, values in list(self._rows) if time >= oldest]


def drift(
    recent: Sequence[Values], schema: Schema, features: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """Compute the index per feature; a feature of which fewer than MIN_SAMPLES are known has none.

    ``features`` are those of the model card, in the order of the schema: of a number, ``edges`` are
    the training deciles; of any other, ``values`` lists its values. ``shares`` is the fraction of
    training records in each bin between edges, or with each value. What was left out of a record
    does not count.
    """
    columns = zip(*recent, strict=True) if recent else ()
    indices = {}
    for name, column, row in zip(schema.names, columns, features, strict=False):
        known = [value for value in column if value is not None]
        if len(known) >= MIN_SAMPLES:
            baseline = row["baseline"]
            shares = baseline["shares"]
            indices[name] = _index(_counts(known, baseline, len(shares)), shares)
    return indices


def _counts(values: Sequence[Any], baseline: Mapping[str, Any], bins: int) -> list[int]:
    if "values" in baseline:
        return [values.count(value) for value in baseline["values"]]
    counts, edges = [0] * bins, baseline["edges"]
    for value in values:
        counts[bisect_right(edges, value)] += 1
    return counts


def _index(counts: Sequence[int], shares: Sequence[float]) -> float:
    # Half a count in every bin keeps an empty one from making the index infinite.
    total = sum(counts) + 0.5 * len(shares)
    floor = 0.5 / total
    index = 0.0
    for count, share in zip(counts, shares, strict=True):
        now, then = (count + 0.5) / total, max(share, floor)
        index += (now - then) * log(now / then)
    return index
