"""Plots beside the model card: reliability diagram and confusion matrix, reproducible PNGs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

RELIABILITY, CONFUSION = "reliability.png", "confusion.png"


def draw(metrics: dict[str, Any], model_version: str, folder: Path) -> None:
    """Write both plots; ``metrics`` as in the model card. Raises OSError."""
    # The bytes must not depend on the user's matplotlibrc.
    with mpl.rc_context(mpl.rcParamsDefault):
        _save(_reliability(metrics, model_version), folder / RELIABILITY)
        _save(_confusion(metrics, model_version), folder / CONFUSION)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _reliability(metrics: dict[str, Any], model_version: str) -> Figure:
    rows = metrics["reliability"]
    figure = Figure(figsize=(5, 5), layout="constrained")
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    curve.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="perfect calibration")
    confidence = [row["mean_confidence"] for row in rows]
    curve.plot(confidence, [row["accuracy"] for row in rows], "o-", color="#0f5f66", label="model")
    curve.set(
        title=f"Reliability of {model_version} on held-out records\n"
        f"ECE {metrics['expected_calibration_error']:.3f}, Brier {metrics['brier']:.3f}",
        ylabel="accuracy",
        ylim=(0, 1.02),
    )
    curve.legend(loc="upper left")
    counts.bar(
        [row["from"] for row in rows],
        [row["records"] for row in rows],
        width=0.1,
        align="edge",
        color="#0f5f66",
        edgecolor="white",
    )
    counts.set(xlabel="confidence of the predicted level", ylabel="records", xlim=(0, 1))
    return figure


def _confusion(metrics: dict[str, Any], model_version: str) -> Figure:
    confusion = metrics["confusion"]
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    table = np.array(confusion["counts"])
    display = ConfusionMatrixDisplay(table, display_labels=confusion["levels"])
    display.plot(ax=axes, cmap="GnBu", colorbar=False)
    axes.set(
        title=f"Confusion of {model_version} on held-out records",
        xlabel="predicted level",
        ylabel="true level",
    )
    return figure
