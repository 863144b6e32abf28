"""How good the fitted model is on records it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BINS = 10


def evaluate(
    probabilities: NDArray[np.float64], truth: Sequence[str], classes: Sequence[str]
) -> dict[str, Any]:
    """Metrics of held-out predictions; ``probabilities`` has shape (n, len(classes)).

    Brier is the multiclass score of Brier (1950): mean squared distance of the probability vector
    from the one-hot truth, 0 to 2. ECE is the expected calibration error of the predicted class
    over 10 equal-width bins (Guo et al. 2017).
    """
    index = np.array([list(classes).index(level) for level in truth])
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(confusion, (index, predicted), 1)
    one_hot = np.eye(len(classes))[index]
    return {
        "records": len(index),
        "accuracy": float((predicted == index).mean()),
        "brier": float(((probabilities - one_hot) ** 2).sum(axis=1).mean()),
        "expected_calibration_error": _calibration_error(probabilities, index),
        "log_loss": float(-np.log(probabilities[np.arange(len(index)), index]).mean()),
        "per_class": _per_class(confusion, classes),
        "confusion": {
            "rows": "true level",
            "columns": "predicted level",
            "levels": list(classes),
            "counts": confusion.tolist(),
        },
        "reliability": _reliability(probabilities, index),
    }


def _per_class(confusion: NDArray[Any], classes: Sequence[str]) -> dict[str, Any]:
    table = {}
    for k, name in enumerate(classes):
        hit, true, said = confusion[k, k], confusion[k].sum(), confusion[:, k].sum()
        precision = float(hit / said) if said else 0.0
        recall = float(hit / true) if true else 0.0
        both = precision + recall
        table[name] = {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / both if both else 0.0,
            "support": int(true),
        }
    return table


def _reliability(probabilities: NDArray[Any], index: NDArray[Any]) -> list[dict[str, float]]:
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == index
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


def _calibration_error(probabilities: NDArray[Any], index: NDArray[Any]) -> float:
    total = len(index)
    return float(
        sum(
            row["records"] / total * abs(row["accuracy"] - row["mean_confidence"])
            for row in _reliability(probabilities, index)
        )
    )
