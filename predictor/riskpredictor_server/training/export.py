"""Writes the artifact folder: files, model card, golden cases, digests, plots."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from riskpredictor_server.model.artifact import (
    ARTIFACT_FORMAT,
    CARD,
    JOBLIB,
    LINEAR,
    card_digest,
    load,
)
from riskpredictor_server.model.sklearn_scorer import PipelineScorer
from riskpredictor_server.model.vitals import RISK_LEVELS, VITAL_NAMES, VITALS
from riskpredictor_server.training.evaluation import summary
from riskpredictor_server.training.plots import draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN_INPUTS = (
    ("healthy adult", (85, 120, 98.6, 97)),
    ("athlete at rest", (48, 118, 97.9, 99)),
    ("fever", (104, 118, 102.4, 95)),
    ("hypothermia", (46, 96, 93.2, 94)),
    ("respiratory failure", (112, 128, 99.5, 86)),
    ("septic shock", (130, 85, 103.5, 86)),
    ("hypertensive crisis", (96, 228, 98.7, 96)),
    ("bradycardia", (36, 92, 97.2, 95)),
    ("every value at its minimum", tuple(v.minimum for v in VITALS)),
    ("every value at its maximum", tuple(v.maximum for v in VITALS)),
)
_LINEAR_TYPE = "multinomial logistic regression over standardised hinge terms"
_EXPLANATION = (
    "contributions are log-odds of High against Low; a vital's contribution is the sum over its"
    " terms of coefficient times standardised value; all contributions and the baseline add up to"
    " ln(P(High) / P(Low))"
)
_QUANTILES = np.linspace(0.1, 0.9, 9)
_JSON = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True)
class Trained:
    """A fitted model and the content of its card."""

    model_version: str
    recipe: Mapping[str, Any]
    """Name and summary, and how the model was fitted as far as that is known."""
    source: str
    seed: int | None
    vitals: NDArray[np.float64]
    """Shape (n, 4), in the order of VITALS."""
    labels: Sequence[str]
    metrics: dict[str, Any]
    scorer: PipelineScorer
    joblib: bytes
    """Content of model.joblib."""
    form: dict[str, Any] | None = None
    """Content of scorer.json; None for a model that is not linear."""


def export(trained: Trained, folder: Path, step: Callable[[str], None]) -> None:
    """Write the artifact folder, load it as serving does, and tell ``step`` the metrics.

    Raises ArtifactError if serving would refuse it, and OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The card goes first and comes last: serving refuses a half-written folder.
    (folder / CARD).unlink(missing_ok=True)
    files = {JOBLIB: trained.joblib}
    if trained.form:
        files[LINEAR] = orjson.dumps(trained.form, option=_JSON)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    card = _card(trained, {name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
    card["card_sha256"] = card_digest(card)
    (folder / CARD).write_bytes(orjson.dumps(card, option=_JSON))
    draw(trained.metrics, trained.model_version, folder)
    load(folder)
    step(summary(trained.metrics))


def _card(trained: Trained, digests: dict[str, str]) -> dict[str, Any]:
    linear = trained.form is not None
    return {
        "format": ARTIFACT_FORMAT,
        "model_version": trained.model_version,
        "model_type": _LINEAR_TYPE if linear else "scikit-learn classifier",
        "intended_use": "demonstration of model serving; not a medical device",
        "recipe": trained.recipe,
        "explanation": _EXPLANATION if linear else "none: this model is not linear",
        "data": {
            "source": trained.source,
            "records": len(trained.labels),
            "seed": trained.seed,
            "levels": {level: trained.labels.count(level) for level in RISK_LEVELS},
        },
        "features": _features(trained.vitals),
        "metrics": trained.metrics,
        "golden_cases": _golden(trained.scorer),
        "made_with": {name: version(name) for name in ("joblib", "numpy", "scikit-learn", "scipy")},
        "files": digests,
    }


def _features(vitals: NDArray[np.float64]) -> list[dict[str, Any]]:
    rows = []
    for vital, column in zip(VITALS, vitals.T, strict=True):
        # The bins between deciles and their shares are the baseline of the drift index.
        edges = np.unique(np.quantile(column, _QUANTILES))
        shares = np.bincount(np.searchsorted(edges, column, side="right"), minlength=len(edges) + 1)
        rows.append(
            {
                "name": vital.name,
                "unit": vital.unit,
                "accepted": {"minimum": vital.minimum, "maximum": vital.maximum},
                "trained_on": {"minimum": float(column.min()), "maximum": float(column.max())},
                "mean": float(column.mean()),
                "standard_deviation": float(column.std()),
                "baseline": {"edges": edges.tolist(), "shares": (shares / len(column)).tolist()},
            }
        )
    return rows


def _golden(scorer: PipelineScorer) -> list[dict[str, Any]]:
    table = scorer.predict_proba(np.array([values for _, values in GOLDEN_INPUTS]))
    return [
        {
            "name": name,
            "input": dict(zip(VITAL_NAMES, values, strict=True)),
            "probabilities": probabilities.tolist(),
        }
        for (name, values), probabilities in zip(GOLDEN_INPUTS, table, strict=True)
    ]
