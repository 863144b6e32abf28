"""Trains a model: records, fit and evaluation, artifact folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from riskpredictor_server.model.linear_form import SCORER_FORMAT
from riskpredictor_server.model.sklearn_scorer import PipelineScorer
from riskpredictor_server.model.vitals import EXAMPLES, VITALS
from riskpredictor_server.training.dataset import read_csv
from riskpredictor_server.training.evaluation import evaluate
from riskpredictor_server.training.export import Trained, export
from riskpredictor_server.training.features import Term, expand
from riskpredictor_server.training.recipes import Recipe
from riskpredictor_server.training.synthetic import generate

_GOLDEN = (
    ("healthy adult", (85, 120, 98.6, 97)),
    ("athlete at rest", (48, 118, 97.9, 99)),
    ("fever", (104, 118, 102.4, 95)),
    ("hypothermia", (46, 96, 93.2, 94)),
    ("respiratory failure", (112, 128, 99.5, 86)),
    ("septic shock", (130, 85, 103.5, 86)),
    ("hypertensive crisis", (96, 228, 98.7, 96)),
    ("bradycardia", (36, 92, 97.2, 95)),
    ("every value at its minimum", tuple(f.minimum for f in VITALS.features)),
    ("every value at its maximum", tuple(f.maximum for f in VITALS.features)),
)
HELD_OUT = 0.25
FOLDS = 5


def train(
    recipe: Recipe,
    data: Path | None,
    *,
    records: int,
    seed: int,
    model_version: str,
    out: Path,
    step: Callable[[str], None],
) -> None:
    """Train by ``recipe`` and write the artifact folder ``out``; ``step`` is told the progress.

    Trains on the CSV file ``data``, or on ``records`` synthetic patients if it is None.
    ``seed`` decides these patients and the split. Raises RecordsError and OSError.
    """
    if data:
        step(f"reading {data}")
        vitals, labels = read_csv(data)
    else:
        step(f"generating {records} synthetic patients, seed {seed}: {recipe.summary}")
        vitals, labels = generate(records, seed, recipe.acuity)
    known, unseen, known_labels, unseen_labels = train_test_split(
        vitals, labels, test_size=HELD_OUT, stratify=labels, random_state=seed
    )
    # One thread: the order of floating-point sums, and so the bytes, must not depend on cores.
    with threadpool_limits(limits=1):
        step(f"{FOLDS}-fold cross-validation on {len(known)} records")
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        scores = cross_val_score(_pipeline(recipe), known, known_labels, cv=folds)
        step(f"fitting on {len(known)}, evaluating on {len(unseen)} held-out records")
        pipeline = _pipeline(recipe).fit(known, known_labels)
        scorer = PipelineScorer(pipeline, VITALS)
        metrics = evaluate(scorer.predict_proba(unseen), unseen_labels)
    metrics["cross_validation"] = {
        "folds": FOLDS,
        "accuracy_mean": float(scores.mean()),
        "accuracy_std": float(scores.std()),
    }
    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer)
    trained = Trained(
        model_version=model_version,
        schema=VITALS,
        recipe={
            "name": recipe.name,
            "summary": recipe.summary,
            "inverse_regularisation": recipe.inverse_regularisation,
            "terms": [term.name for term in recipe.terms],
        },
        source="records of a CSV file" if data else "synthetic",
        seed=seed,
        rows=[tuple(row) for row in vitals.tolist()],
        labels=labels,
        metrics=metrics,
        scorer=scorer,
        joblib=buffer.getvalue(),
        golden=[(name, dict(zip(VITALS.names, v, strict=True))) for name, v in _GOLDEN],
        examples=EXAMPLES,
        form=_linear_form(pipeline, recipe.terms),
    )
    export(trained, out, step)
    step(f"wrote {out}: scorer agrees with scikit-learn on all golden cases")


def _pipeline(recipe: Recipe) -> Pipeline:
    """Hinge terms, standardised, into multinomial logistic regression."""
    return Pipeline(
        [
            ("hinges", FunctionTransformer(expand, kw_args={"terms": recipe.terms})),
            ("scale", StandardScaler()),
            (
                "regression",
                LogisticRegression(C=recipe.inverse_regularisation, tol=1e-8, max_iter=2000),
            ),
        ]
    )


def _linear_form(pipeline: Pipeline, terms: Sequence[Term]) -> dict[str, Any]:
    """Build the content of scorer.json: everything that the fitted pipeline computes."""
    scale, regression = pipeline["scale"], pipeline["regression"]
    order = [list(regression.classes_).index(level) for level in VITALS.levels]
    weights = regression.coef_[order]
    return {
        "format": SCORER_FORMAT,
        "levels": list(VITALS.levels),
        "intercepts": regression.intercept_[order].tolist(),
        "terms": [
            {
                "factors": [
                    {
                        "feature": term.vital,
                        term.side: term.knot,
                        "mean": float(scale.mean_[j]),
                        "scale": float(scale.scale_[j]),
                    }
                ],
                "weights": weights[:, j].tolist(),
            }
            for j, term in enumerate(terms)
        ],
    }
