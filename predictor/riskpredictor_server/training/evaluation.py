"""Evaluates a fitted model on records that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from riskpredictor_server.training.calibration import calibration, expected_error, reliability
from riskpredictor_server.training.intervals import intervals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def levels_of(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the most probable level per row; of equal ones the highest, as Schema.level_of."""
    last = probabilities.shape[1] - 1
    found: NDArray[np.int64] = last - probabilities[:, ::-1].argmax(axis=1)
    return found


def log_loss(of_truth: NDArray[np.float64]) -> float:
    """Mean log loss of the probabilities that were given to the true levels, shape (n,).

    A probability of 0, which a forest can give, counts as the machine epsilon, as in scikit-learn.
    """
    epsilon = np.finfo(float).eps
    return float(-np.log(np.clip(of_truth, epsilon, 1 - epsilon)).mean())


def evaluate(
    probabilities: NDArray[np.float64],
    truth: Sequence[str],
    levels: Sequence[str],
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute the metrics of held-out predictions for the model card.

    ``probabilities`` has shape (n, levels); ``truth`` has n levels; ``groups`` says per record whom
    it belongs to, for the intervals, which ``seed`` decides. Raises ValueError if a probability is
    no number.
    Brier is the multiclass score of Brier (1950): mean squared distance of the probability vector
    from the one-hot truth, 0 to 2. ECE is the expected calibration error of the predicted class
    over 10 equal-width bins (Guo et al. 2017).
    """
    if not np.isfinite(probabilities).all():
        raise ValueError("a probability is not a number")
    names = np.array(levels)
    index = np.array([list(levels).index(level) for level in truth])
    predicted = levels_of(probabilities)
    right = predicted == index
    precision, recall, _, support = precision_recall_fscore_support(
        truth, names[predicted], labels=names, zero_division=0.0
    )
    of_truth = probabilities[np.arange(len(index)), index]
    rows = reliability(probabilities.max(axis=1), right)
    return {
        "records": len(index),
        "accuracy": float(right.mean()),
        "brier": float(((probabilities - np.eye(len(levels))[index]) ** 2).sum(axis=1).mean()),
        "expected_calibration_error": expected_error(rows),
        "log_loss": log_loss(of_truth),
        "calibration": {
            "of": f"{levels[-1]} against the other levels",
            **calibration(probabilities[:, -1], index == len(levels) - 1),
        },
        "per_class": {
            name: {
                "precision": float(precision[k]),
                "recall": float(recall[k]),
                "f1": _f1(float(precision[k]), float(recall[k])),
                "support": int(support[k]),
            }
            for k, name in enumerate(levels)
        },
        "intervals": intervals(probabilities, index, predicted, levels, groups, seed),
        "confusion": {
            "rows": "true level",
            "columns": "predicted level",
            "levels": list(levels),
            "counts": confusion_matrix(truth, names[predicted], labels=names).tolist(),
        },
        "reliability": rows,
    }


def _f1(precision: float, recall: float) -> float:
    # scikit-learn's F1 differs in the last digit, and cards of one recipe must not.
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def summary(metrics: dict[str, Any]) -> str:
    """Format the metrics of a model card for the terminal."""
    folds = metrics.get("cross_validation")
    crossed = ""
    if folds:
        mean, deviation = folds["accuracy_mean"], folds["accuracy_std"]
        crossed = f" (cross-validated {mean:.3f} ± {deviation:.3f})"
    ranges = metrics["intervals"]
    slope = metrics["calibration"]["slope"]
    text = (
        f"held-out accuracy {metrics['accuracy']:.3f}{_range(ranges['accuracy'], 3)}{crossed},"
        f" Brier {metrics['brier']:.3f}, ECE {metrics['expected_calibration_error']:.3f},"
        f" calibration slope {'unknown' if slope is None else f'{slope:.2f}'}"
    )
    for name, row in metrics["per_class"].items():
        text += (
            f"\n          {name:<7} precision {row['precision']:.2f}"
            f"  recall {row['recall']:.2f}{_range(ranges['recall'][name], 2)}"
            f"  f1 {row['f1']:.2f}  of {row['support']}"
        )
    return text


def _range(interval: list[float] | None, digits: int) -> str:
    """A 95 % interval for people, if there is one."""
    return f" [{interval[0]:.{digits}f} to {interval[1]:.{digits}f}]" if interval else ""
