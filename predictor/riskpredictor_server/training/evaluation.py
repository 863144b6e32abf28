"""Evaluates a fitted model on records that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from riskpredictor_server.model.vitals import VITALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RISK_LEVELS = VITALS.levels
_BINS = 10


def evaluate(probabilities: NDArray[np.float64], truth: Sequence[str]) -> dict[str, Any]:
    """Compute the metrics of held-out predictions for the model card.

    ``probabilities`` has shape (n, 3), columns in the order of RISK_LEVELS; ``truth`` has n levels.
    Brier is the multiclass score of Brier (1950): mean squared distance of the probability vector
    from the one-hot truth, 0 to 2. ECE is the expected calibration error of the predicted class
    over 10 equal-width bins (Guo et al. 2017). Log loss takes a probability of 0, which a forest
    can give, for the machine epsilon, as scikit-learn does.
    """
    levels = np.array(RISK_LEVELS)
    index = np.array([RISK_LEVELS.index(level) for level in truth])
    predicted = probabilities.argmax(axis=1)
    precision, recall, _, support = precision_recall_fscore_support(
        truth, levels[predicted], labels=levels, zero_division=0.0
    )
    of_truth = probabilities[np.arange(len(index)), index]
    reliability = _reliability(probabilities.max(axis=1), predicted == index)
    return {
        "records": len(index),
        "accuracy": float((predicted == index).mean()),
        "brier": float(((probabilities - np.eye(len(levels))[index]) ** 2).sum(axis=1).mean()),
        "expected_calibration_error": float(
            sum(
                row["records"] / len(index) * abs(row["accuracy"] - row["mean_confidence"])
                for row in reliability
            )
        ),
        "log_loss": float(-np.log(np.maximum(of_truth, np.finfo(float).eps)).mean()),
        "per_class": {
            name: {
                "precision": float(precision[k]),
                "recall": float(recall[k]),
                "f1": _f1(float(precision[k]), float(recall[k])),
                "support": int(support[k]),
            }
            for k, name in enumerate(RISK_LEVELS)
        },
        "confusion": {
            "rows": "true level",
            "columns": "predicted level",
            "levels": list(RISK_LEVELS),
            "counts": confusion_matrix(truth, levels[predicted], labels=levels).tolist(),
        },
        "reliability": reliability,
    }


def _f1(precision: float, recall: float) -> float:
    # scikit-learn's F1 differs in the last digit, and cards of one recipe must not.
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _reliability(confidence: NDArray[Any], right: NDArray[Any]) -> list[dict[str, float]]:
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


def summary(metrics: dict[str, Any]) -> str:
    """Format the metrics of a model card for the terminal."""
    folds = metrics.get("cross_validation")
    crossed = ""
    if folds:
        mean, deviation = folds["accuracy_mean"], folds["accuracy_std"]
        crossed = f" (cross-validated {mean:.3f} ± {deviation:.3f})"
    text = (
        f"held-out accuracy {metrics['accuracy']:.3f}{crossed},"
        f" Brier {metrics['brier']:.3f}, ECE {metrics['expected_calibration_error']:.3f}"
    )
    for name, row in metrics["per_class"].items():
        text += (
            f"\n          {name:<7} precision {row['precision']:.2f}  recall {row['recall']:.2f}"
            f"  f1 {row['f1']:.2f}  of {row['support']}"
        )
    return text
