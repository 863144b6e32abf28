"""A trained model to the artifact folder: files, model card, golden cases, digests."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from riskpredictor_server.api.records import RISK_LEVELS, VITAL_NAMES, VITALS
from riskpredictor_server.model.artifact import ARTIFACT_FORMAT, CARD, JOBLIB, LINEAR, card_digest

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
_EXPLANATION = (
    "contributions are log-odds of High against Low; a vital's contribution is the sum over its"
    " terms of coefficient times standardised value; all contributions and the baseline add up to"
    " ln(P(High) / P(Low))"
)
_QUANTILES = np.linspace(0.1, 0.9, 9)
_JSON = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True)
class Trained:
    """A fitted model and all that its card says of it."""

    model_version: str
    recipe: Mapping[str, Any]
    """Name, summary, and whatever says how it was fitted."""
    seed: int | None
    source: str
    vitals: NDArray[np.float64]
    labels: Sequence[str]
    metrics: dict[str, Any]
    form: dict[str, Any] | None
    """Content of scorer.json; None for a model that is not linear."""
    joblib: bytes
    golden: Callable[[Any], NDArray[np.float64]]
    """Probabilities by the fitted pipeline itself, columns in the order of RISK_LEVELS."""


def write(trained: Trained, folder: Path) -> None:
    """Write the artifact folder, the card last: a half-written folder is refused by serving."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    files = {JOBLIB: trained.joblib}
    if trained.form:
        files[LINEAR] = orjson.dumps(trained.form, option=_JSON)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    card = _card(trained, {name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
    card["card_sha256"] = card_digest(card)
    (folder / CARD).write_bytes(orjson.dumps(card, option=_JSON))


def _card(trained: Trained, digests: dict[str, str]) -> dict[str, Any]:
    counts = Counter(trained.labels)
    return {
        "format": ARTIFACT_FORMAT,
        "model_version": trained.model_version,
        "model_type": "multinomial logistic regression over standardised hinge terms"
        if trained.form
        else "scikit-learn classifier",
        "intended_use": "demonstration of model serving; not a medical device",
        "recipe": trained.recipe,
        "explanation": _EXPLANATION if trained.form else "none: this model is not linear",
        "data": {
            "source": trained.source,
            "records": len(trained.labels),
            "seed": trained.seed,
            "levels": {level: counts[level] for level in RISK_LEVELS},
        },
        "features": _features(trained.vitals),
        "metrics": trained.metrics,
        "golden_cases": _golden(trained),
        "made_with": {name: version(name) for name in ("joblib", "numpy", "scikit-learn", "scipy")},
        "files": digests,
    }


def _features(vitals: NDArray[np.float64]) -> list[dict[str, Any]]:
    rows = []
    for vital, column in zip(VITALS, vitals.T, strict=True):
        # Deciles and their shares are the baseline of the drift score.
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
                "baseline": {
                    "edges": edges.tolist(),
                    "shares": (shares / len(column)).tolist(),
                },
            }
        )
    return rows


def _golden(trained: Trained) -> list[dict[str, Any]]:
    table = trained.golden([values for _, values in GOLDEN_INPUTS])
    return [
        {
            "name": name,
            "input": dict(zip(VITAL_NAMES, values, strict=True)),
            "probabilities": probabilities.tolist(),
        }
        for (name, values), probabilities in zip(GOLDEN_INPUTS, table, strict=True)
    ]
