"""Input drift: do today's patients look like those that the model was trained on?

The population stability index over the training deciles, sum of (p - q) ln(p / q) (Siddiqi,
Credit Risk Scorecards, 2006). By that author's rule of thumb 0.1 is worth a look and 0.25 is a
shift. Computed from the latest values when metrics are read, so a prediction pays nothing for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import log
from typing import Any

from riskpredictor_server.schema import VITAL_NAMES, Values

DRIFT_WINDOW = 2000
"""Predictions that the score looks back over."""
MIN_SAMPLES = 200
"""Fewer say nothing: ten bins of a few values each drift by chance."""


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
