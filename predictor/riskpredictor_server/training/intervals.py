"""Says how far the metrics of a card may be off: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from riskpredictor_server.training.calibration import calibration, expected_error, reliability

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES: Final = 500
_BOUNDS: Final = (0.025, 0.975)
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
    resamples, such as the recall of a level that hardly occurs. The same seed gives the same bytes.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    whose = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    right, confidence = predicted == truth, probabilities.max(axis=1)
    highest = truth == len(levels) - 1
    drawn: dict[str, list[float | None]] = {}
    for _ in range(RESAMPLES):
        size = int(whose.max()) + 1
        times = np.bincount(rng.integers(size, size=size), minlength=size)[whose]
        picked = np.repeat(np.arange(len(truth)), times)
        figures: dict[str, float | None] = {"accuracy": float(right[picked].mean())}
        for k in range(len(levels)):
            of_level = picked[truth[picked] == k]
            figures[f"recall {k}"] = float(right[of_level].mean()) if len(of_level) else None
        figures["ece"] = expected_error(reliability(confidence[picked], right[picked]))
        fitted = calibration(probabilities[:, -1], highest, times.astype(float))
        for name, value in (figures | fitted).items():
            drawn.setdefault(name, []).append(value)
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


def _interval(figures: Sequence[float | None]) -> list[float] | None:
    known = [value for value in figures if value is not None]
    if len(known) < _LEAST * len(figures):
        return None
    return [float(bound) for bound in np.quantile(known, _BOUNDS)]
