"""Measures whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import expit, logit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS: Final = 10
_STEPS: Final = 50
_STEEPEST: Final = 100.0
"""A slope beyond means that the log odds separate the outcomes, and that there is no estimate."""


def reliability(confidence: NDArray[Any], right: NDArray[Any]) -> list[dict[str, float]]:
    """Compare confidence with accuracy in bins of confidence; empty bins are left out."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        {
            "from": b / _BINS,
            "to": (b + 1) / _BINS,
            "records": int((bins == b).sum()),
            "mean_confidence": float(confidence[bins == b].mean()),
            "accuracy": float(right[bins == b].mean()),
        }
        for b in range(_BINS)
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
    probability: NDArray[np.float64],
    outcome: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
) -> dict[str, float | None]:
    """Calibration intercept and slope of the probabilities of an outcome; ideal are 0 and 1.

    The slope is b of ``logit P(outcome) = a + b · logit(probability)``, the intercept is a with b
    fixed at 1 (Cox 1958; Van Calster et al., BMC Medicine 2019, 17:230): below 0, the risk is given
    as too high, and a slope below 1 says that probabilities are too extreme. None where the
    outcomes do not tell: all are alike, or the log odds separate them. Probabilities are clipped as
    for log loss. ``weights`` count each record that often.
    """
    counts = np.ones(len(outcome)) if weights is None else weights
    happened = float(counts[outcome].sum())
    if happened in (0.0, float(counts.sum())):
        return {"intercept": None, "slope": None}
    epsilon = np.finfo(float).eps
    odds = logit(np.clip(probability, epsilon, 1 - epsilon))
    y = outcome.astype(float)
    shift = _newton(np.ones((len(odds), 1)), odds, y, counts)
    line = _newton(np.column_stack([np.ones(len(odds)), odds]), np.zeros(len(odds)), y, counts)
    return {
        "intercept": None if shift is None else float(shift[0]),
        "slope": None if line is None or abs(line[1]) > _STEEPEST else float(line[1]),
    }


def _newton(
    columns: NDArray[np.float64],
    offset: NDArray[np.float64],
    y: NDArray[np.float64],
    counts: NDArray[np.float64],
) -> NDArray[np.float64] | None:
    """Coefficients of a logistic regression by Newton's method; None if there is no maximum."""
    found = np.zeros(columns.shape[1])
    if columns.shape[1] > 1:
        found[1] = 1.0
    for _ in range(_STEPS):
        p = expit(columns @ found + offset)
        gradient = columns.T @ (counts * (y - p))
        hessian = (columns * (counts * p * (1 - p))[:, None]).T @ columns
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return None
        # Where it overshoots, a shorter step in the same direction converges.
        found = found + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        if not np.isfinite(found).all():
            return None
        if np.abs(step).max() < 1e-10:
            return found
    return None
