"""Says how far the metrics of a card may be off: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from riskpredictor_server.training.calibration import BINS, bins_of, resampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES: Final = 500
_BOUNDS: Final = (0.025, 0.975)
_AT_ONCE: Final = 2_000_000
"""Most resampled records that are in memory at a time."""
_LEAST: Final = 0.95
"""Share of resamples that must have a figure: an interval of the rest would be too short."""


def intervals(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    levels: Sequence[str],
    groups: Sequence[str] | None,
    seed: int,
) -> dict[str, Any]:
    """Compute 95 % percentile intervals (Efron 1979) of accuracy, recall per level and calibration.

    Whole groups are drawn if there are any, for records of one patient are alike (cluster
    bootstrap: Field & Welsh, J. R. Stat. Soc. B 2007). None where a figure is undefined in too many
    resamples, such as the recall of a level that hardly occurs, or is the same in all: that all of
    twelve were right does not make it certain. The same seed gives the same bytes.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    whose = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    size, count = int(whose.max()) + 1, len(levels)
    right, of_level = predicted == truth, truth[:, None] == np.arange(count)
    confidence = probabilities.max(axis=1)
    # What is right beyond what was expected, by bin: the sum of its size is the ECE.
    beyond = (right - confidence)[:, None] * (bins_of(confidence)[:, None] == np.arange(BINS))
    columns = np.column_stack([right, of_level, of_level & right[:, None], beyond]).astype(float)
    drawn: dict[str, list[float]] = {}
    at_once = max(1, _AT_ONCE // len(truth))
    for start in range(0, RESAMPLES, at_once):
        times = np.stack(
            [
                np.bincount(rng.integers(size, size=size), minlength=size)[whose]
                for _ in range(min(at_once, RESAMPLES - start))
            ]
        ).astype(float)
        sums, records = times @ columns, times.sum(axis=1)
        found = {
            "accuracy": sums[:, 0] / records,
            "ece": np.abs(sums[:, 1 + 2 * count :]).sum(axis=1) / records,
        }
        for k in range(count):
            with np.errstate(invalid="ignore"):
                found[f"recall {k}"] = sums[:, 1 + count + k] / sums[:, 1 + k]
        found["intercept"], found["slope"] = resampled(probabilities[:, -1], of_level[:, -1], times)
        for name, values in found.items():
            drawn.setdefault(name, []).extend(values.tolist())
    return {
        "level": 0.95,
        "method": f"bootstrap of {'records' if groups is None else 'groups'}, percentiles of"
        f" {RESAMPLES} resamples, seed {seed}",
        "accuracy": _interval(drawn["accuracy"]),
        "recall": {name: _interval(drawn[f"recall {k}"]) for k, name in enumerate(levels)},
        "expected_calibration_error": _interval(drawn["ece"]),
        "calibration_intercept": _interval(drawn["intercept"]),
        "calibration_slope": _interval(drawn["slope"]),
    }


def _interval(figures: Sequence[float]) -> list[float] | None:
    known = [value for value in figures if np.isfinite(value)]
    if len(known) < _LEAST * len(figures):
        return None
    if min(known) == max(known):
        return None
    return [float(bound) for bound in np.quantile(known, _BOUNDS)]
