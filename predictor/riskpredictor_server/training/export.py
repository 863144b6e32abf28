"""Writes the artifact folder: files, model card, golden cases, digests, plots."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from riskpredictor_server.model.artifact import (
    CARD,
    JOBLIB,
    LINEAR,
    load,
    self_digest,
)
from riskpredictor_server.model.card import ARTIFACT_FORMAT, case_values
from riskpredictor_server.model.schema import Feature, Schema, Values
from riskpredictor_server.model.scorer import Scorer
from riskpredictor_server.training.evaluation import summary
from riskpredictor_server.training.monotone_check import check_monotone
from riskpredictor_server.training.plots import draw

_LINEAR_TYPE = "multinomial logistic regression over products of standardised terms"
_EXPLANATION = (
    "contributions are log-odds of {highest} against {lowest}; a feature's contribution is the sum"
    " over its terms of coefficient times standardised value; all contributions and the baseline"
    " add up to ln(P({highest}) / P({lowest}))"
)
_QUANTILES = np.linspace(0.1, 0.9, 9)
_JSON = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True)
class Trained:
    """A fitted model and the content of its card."""

    model_version: str
    schema: Schema
    recipe: Mapping[str, Any]
    """Name and summary, and how the model was fitted as far as that is known."""
    source: str
    seed: int | None
    rows: Sequence[Values]
    labels: Sequence[str]
    metrics: dict[str, Any]
    scorer: Scorer
    joblib: bytes
    """Content of model.joblib."""
    golden: Sequence[tuple[str, Mapping[str, Any]]]
    """Names and records of the golden cases."""
    examples: Sequence[Mapping[str, Any]] = ()
    """Titles and records to show."""
    form: dict[str, Any] | None = None
    """Content of scorer.json; None for a model that is not linear."""
    about_data: Mapping[str, Any] = field(default_factory=dict)
    """What else the card says of the records."""


def export(trained: Trained, folder: Path, step: Callable[[str], None]) -> None:
    """Write the artifact folder, load it as serving does, and tell ``step`` the metrics.

    Warns on stderr of a feature whose declared direction does not hold. Raises ArtifactError if
    serving would refuse it, and OSError.
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
    card["card_sha256"] = self_digest(card)
    (folder / CARD).write_bytes(orjson.dumps(card, option=_JSON))
    draw(trained.metrics, trained.model_version, folder)
    load(folder)
    step(summary(trained.metrics))
    for row in card["features"]:
        monotone = row.get("monotone")
        if monotone and not monotone["holds"]:
            print(
                f"warning: {row['name']}: risk is declared as {monotone['declared']}, but"
                f" {monotone['detail']}",
                file=sys.stderr,
            )


def _card(trained: Trained, digests: dict[str, str]) -> dict[str, Any]:
    linear, schema = trained.form is not None, trained.schema
    explanation = _EXPLANATION.format(highest=schema.levels[-1], lowest=schema.levels[0])
    return {
        "format": ARTIFACT_FORMAT,
        "model_version": trained.model_version,
        "model_type": _LINEAR_TYPE if linear else "scikit-learn classifier",
        "intended_use": "demonstration of model serving; not a medical device",
        "recipe": trained.recipe,
        "explanation": explanation if linear else "none: this model is not linear",
        "data": {
            "source": trained.source,
            "records": len(trained.labels),
            "seed": trained.seed,
            "levels": {level: list(trained.labels).count(level) for level in schema.levels},
            **trained.about_data,
        },
        "title": schema.title,
        "levels": list(schema.levels),
        "features": _features(trained),
        "examples": list(trained.examples),
        "metrics": trained.metrics,
        "golden_cases": _golden(trained),
        "made_with": {name: version(name) for name in ("joblib", "numpy", "scikit-learn", "scipy")},
        "files": digests,
    }


def _features(trained: Trained) -> list[dict[str, Any]]:
    fills = (trained.form or {}).get("fills", {})
    monotone = check_monotone(
        lambda rows: trained.scorer.score_many(rows).probabilities, trained.schema, trained.rows
    )
    rows = []
    for feature, column in zip(
        trained.schema.features, zip(*trained.rows, strict=True), strict=True
    ):
        known = [value for value in column if value is not None]
        statistics = _numeric(known) if feature.is_numeric else _chosen(feature, known)
        row = {**feature.declaration(), **statistics}
        if not feature.required:
            row |= {"left_out": 1 - len(known) / len(column), "fill": fills.get(feature.name)}
        if feature.name in monotone:
            row["monotone"] = monotone[feature.name]
        rows.append(row)
    return rows


def _numeric(known: Sequence[float]) -> dict[str, Any]:
    column = np.array(known, dtype=float)
    # The bins between deciles and their shares are the baseline of the drift index.
    edges = np.unique(np.quantile(column, _QUANTILES))
    shares = np.bincount(np.searchsorted(edges, column, side="right"), minlength=len(edges) + 1)
    return {
        "trained_on": {"minimum": float(column.min()), "maximum": float(column.max())},
        "mean": float(column.mean()),
        "standard_deviation": float(column.std()),
        "baseline": {"edges": edges.tolist(), "shares": (shares / len(column)).tolist()},
    }


def _chosen(feature: Feature, known: Sequence[Any]) -> dict[str, Any]:
    counts = [known.count(value) for value in feature.choices]
    seen = [value for value, count in zip(feature.choices, counts, strict=True) if count]
    shares = [count / max(len(known), 1) for count in counts]
    return {
        "trained_on": {"values": seen},
        "baseline": {"values": list(feature.choices), "shares": shares},
    }


def _golden(trained: Trained) -> list[dict[str, Any]]:
    rows = [case_values(record, trained.schema) for _, record in trained.golden]
    table = trained.scorer.score_many(rows).probabilities
    return [
        {"name": name, "input": dict(record), "probabilities": list(probabilities)}
        for (name, record), probabilities in zip(trained.golden, table, strict=True)
    ]
