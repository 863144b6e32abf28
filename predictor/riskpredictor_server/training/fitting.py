"""Data to fitted pipeline to artifact folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from riskpredictor_server.api.records import RISK_LEVELS
from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.linear_scorer import SCORER_FORMAT
from riskpredictor_server.training.dataset import read_csv
from riskpredictor_server.training.evaluation import evaluate
from riskpredictor_server.training.export import Trained, write
from riskpredictor_server.training.features import Term, expand
from riskpredictor_server.training.plots import draw
from riskpredictor_server.training.recipes import Recipe
from riskpredictor_server.training.synthetic import generate

if TYPE_CHECKING:
    from numpy.typing import NDArray

HELD_OUT = 0.25
FOLDS = 5


@dataclass(frozen=True)
class Job:
    """What to train."""

    model_version: str
    out: Path
    recipe: Recipe
    seed: int
    records: int
    data: Path | None


def train(job: Job, step: Callable[[str], None]) -> None:
    """Run the job, telling ``step`` about progress; raises RecordsError and OSError."""
    if job.data:
        step(f"reading {job.data}")
        vitals, labels = read_csv(job.data)
    else:
        step(f"generating {job.records} synthetic patients, seed {job.seed}: {job.recipe.summary}")
        vitals, labels = generate(job.records, job.seed, job.recipe.acuity)
    known, unseen, known_labels, unseen_labels = train_test_split(
        vitals, labels, test_size=HELD_OUT, stratify=labels, random_state=job.seed
    )
    # One thread: the order of floating-point sums, and so the bytes, must not depend on cores.
    with threadpool_limits(limits=1):
        step(f"{FOLDS}-fold cross-validation on {len(known)} records")
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=job.seed)
        scores = cross_val_score(pipeline(job.recipe), known, known_labels, cv=folds)
        step(f"fitting on {len(known)}, evaluating on {len(unseen)} held-out records")
        model = pipeline(job.recipe).fit(known, known_labels)
        metrics = evaluate(in_order(model, unseen), unseen_labels, RISK_LEVELS)
    metrics["cross_validation"] = {
        "folds": FOLDS,
        "accuracy_mean": float(scores.mean()),
        "accuracy_std": float(scores.std()),
    }
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    trained = Trained(
        model_version=job.model_version,
        recipe=_described(job.recipe),
        seed=job.seed,
        source="records of a CSV file" if job.data else "synthetic",
        vitals=vitals,
        labels=labels,
        metrics=metrics,
        form=linear_form(model, job.recipe.terms),
        joblib=buffer.getvalue(),
        golden=partial(in_order, model),
    )
    write(trained, job.out)
    draw(metrics, job.model_version, job.out)
    load(job.out)
    step(summary(metrics))
    step(f"wrote {job.out}: scorer agrees with scikit-learn on all golden cases")


def pipeline(recipe: Recipe) -> Pipeline:
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


def in_order(model: Pipeline, vitals: Any) -> NDArray[np.float64]:
    """``predict_proba`` with columns in the order of RISK_LEVELS (scikit-learn sorts names)."""
    table = model.predict_proba(np.asarray(vitals, dtype=float))
    columns = [list(model.classes_).index(level) for level in RISK_LEVELS]
    return np.asarray(table[:, columns])


def linear_form(model: Pipeline, terms: Sequence[Term]) -> dict[str, Any]:
    """The content of scorer.json: everything that the fitted pipeline computes."""
    scale, regression = model["scale"], model["regression"]
    order = [list(regression.classes_).index(level) for level in RISK_LEVELS]
    weights = regression.coef_[order]
    return {
        "format": SCORER_FORMAT,
        "classes": list(RISK_LEVELS),
        "intercepts": regression.intercept_[order].tolist(),
        "terms": [
            {
                "vital": term.vital,
                "side": term.side,
                "knot": term.knot,
                "mean": float(scale.mean_[j]),
                "scale": float(scale.scale_[j]),
                "weights": weights[:, j].tolist(),
            }
            for j, term in enumerate(terms)
        ],
    }


def _described(recipe: Recipe) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "inverse_regularisation": recipe.inverse_regularisation,
        "terms": [term.name for term in recipe.terms],
    }


def summary(metrics: dict[str, Any]) -> str:
    """The figures of a model card for the person who trains."""
    folds = metrics.get("cross_validation")
    crossed = (
        folds and f" (cross-validated {folds['accuracy_mean']:.3f} ± {folds['accuracy_std']:.3f})"
    )
    lines = [
        (
            f"held-out accuracy {metrics['accuracy']:.3f}{crossed or ''},"
            f" Brier {metrics['brier']:.3f}, ECE {metrics['expected_calibration_error']:.3f}"
        )
    ]
    lines += [
        f"          {name:<7} precision {row['precision']:.2f}  recall {row['recall']:.2f}"
        f"  f1 {row['f1']:.2f}  of {row['support']}"
        for name, row in metrics["per_class"].items()
    ]
    return "\n".join(lines)
