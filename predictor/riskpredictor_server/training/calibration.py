"""Measures whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import expit, logit

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS: Final = 10
_STEPS: Final = 50
_PRECISION: Final = 1e-9
_STEEPEST: Final = 100.0
"""A slope beyond means that the log odds separate the outcomes, and that there is no estimate."""


def bins_of(confidence: NDArray[Any]) -> NDArray[np.int64]:
    """The bin of each confidence, of ten of equal width."""
    found: NDArray[np.int64] = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return found


def reliability(confidence: NDArray[Any], right: NDArray[Any]) -> list[dict[str, float]]:
    """Compare confidence with accuracy in bins of confidence; empty bins are left out."""
    bins = bins_of(confidence)
    return [
        {
            "from": b / BINS,
            "to": (b + 1) / BINS,
            "records": int((bins == b).sum()),
            "mean_confidence": float(confidence[bins == b].mean()),
            "accuracy": float(right[bins == b].mean()),
        }
        for b in range(BINS)
        if (bins == b).any()
    ]


def expected_error(rows: Sequence[dict[str, float]]) -> float:
    """The expected calibration error of a reliability table."""
    records = sum(row["records"] for row in rows)
    return float(
        sum(
            row["records"] / records * abs(row["accuracy"] - row["mean_confidence"]) for row in rows
        )
    )


def calibration(
    probability: NDArray[np.float64], outcome: NDArray[np.bool_]
) -> dict[str, float | None]:
    """Calibration intercept and slope of the probabilities of an outcome; ideal are 0 and 1.

    The slope is b of ``logit P(outcome) = a + b · logit(probability)``, the intercept is a with b
    fixed at 1 (Cox 1958; Van Calster et al., BMC Medicine 2019, 17:230): below 0, the risk is given
    as too high, and a slope below 1 says that probabilities are too extreme. None where the
    outcomes do not tell: all are alike, or the log odds separate them. Probabilities are clipped as
    for log loss.
    """
    found = resampled(probability, outcome, np.ones((1, len(outcome))))
    intercept, slope = (float(each[0]) for each in found)
    return {
        "intercept": intercept if np.isfinite(intercept) else None,
        "slope": slope if np.isfinite(slope) else None,
    }


def resampled(
    probability: NDArray[np.float64], outcome: NDArray[np.bool_], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intercepts and slopes of r resamples, NaN where unknown.

    ``counts`` of shape (r, n) says how often a resample has each of the n records.
    """
    epsilon = np.finfo(float).eps
    odds = logit(np.clip(probability, epsilon, 1 - epsilon))
    y = outcome.astype(float)
    intercept, _ = _newton(odds, y, counts, free=False)
    _, slope = _newton(odds, y, counts, free=True)
    happened = counts @ y
    alike = (happened == 0) | (happened == counts.sum(axis=1))
    unknown = alike | (np.abs(slope) > _STEEPEST)
    return np.where(alike, np.nan, intercept), np.where(unknown, np.nan, slope)


def _newton(
    odds: NDArray[np.float64], y: NDArray[np.float64], counts: NDArray[np.float64], *, free: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients of logistic regressions on ``odds`` by Newton's method, NaN without a maximum.

    The slope is 1 unless it is ``free``.
    """
    a, b = np.zeros(len(counts)), np.ones(len(counts))
    size = np.full(len(counts), np.inf)
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            p = expit(a[:, None] + b[:, None] * odds)
            residual, weight = counts * (y - p), counts * p * (1 - p)
            g, h = residual.sum(axis=1), weight.sum(axis=1)
            if free:
                g_odds, h_odds, h_squares = residual @ odds, weight @ odds, weight @ odds**2
                determinant = h * h_squares - h_odds**2
                step_a = (h_squares * g - h_odds * g_odds) / determinant
                step_b = (h * g_odds - h_odds * g) / determinant
            else:
                step_a, step_b = g / h, np.zeros(len(counts))
            size = np.maximum(np.abs(step_a), np.abs(step_b))
            # Where it overshoots, a shorter step in the same direction converges.
            shorter = np.minimum(1.0, 2.0 / size)
            a, b = a + step_a * shorter, b + step_b * shorter
            if not (size > _PRECISION).any():
                break
    unsure = ~(size <= _PRECISION)
    return np.where(unsure, np.nan, a), np.where(unsure, np.nan, b)
