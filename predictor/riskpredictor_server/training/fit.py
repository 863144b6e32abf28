"""Trains a model: records, fit and evaluation, artifact folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from riskpredictor_server.model.linear_form import SCORER_FORMAT
from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.model.scorer import Scored, ScoredMany
from riskpredictor_server.model.vitals import EXAMPLES, VITALS
from riskpredictor_server.training.dataset import LABEL, Dataset, read_csv
from riskpredictor_server.training.design import left_out_often, unseen
from riskpredictor_server.training.evaluation import evaluate, levels_of, log_loss
from riskpredictor_server.training.export import Trained, export
from riskpredictor_server.training.features import Term, expand
from riskpredictor_server.training.recipes import Recipe
from riskpredictor_server.training.regression import MonotoneRegression
from riskpredictor_server.training.split import (
    FOLDS,
    Part,
    about,
    doubts,
    duplicates,
    folds_of,
    shared,
    split,
)
from riskpredictor_server.training.synthetic import generate
from riskpredictor_server.training.typical import examples_of, golden, titled

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GOLDEN: Final = (
    ("healthy adult", (85, 120, 98.6, 97)),
    ("athlete at rest", (48, 118, 97.9, 99)),
    ("fever", (104, 118, 102.4, 95)),
    ("hypothermia", (46, 96, 93.2, 94)),
    ("respiratory failure", (112, 128, 99.5, 86)),
    ("septic shock", (130, 85, 103.5, 86)),
    ("hypertensive crisis", (96, 228, 98.7, 96)),
    ("bradycardia", (36, 92, 97.2, 95)),
    ("heart rate 150 alone", (150, 120, 98.6, 97)),
    ("every value at its minimum", tuple(f.minimum for f in VITALS.features)),
    ("every value at its maximum", tuple(f.maximum for f in VITALS.features)),
)
_RECORDS_PER_TERM: Final = 10
"""Fewest records of each level per term that a note does not warn of (Peduzzi et al. 1996)."""

Step = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """A file of records to train on."""

    path: Path
    target: str = LABEL
    group: str | None = None


def train(
    recipe: Recipe,
    schema: Schema,
    source: Source | None,
    *,
    records: int,
    seed: int,
    model_version: str,
    out: Path,
    step: Step,
) -> None:
    """Train by ``recipe`` and write the artifact folder ``out``; ``step`` is told the progress.

    Trains on the records of ``source``, or on ``records`` synthetic patients if it is None.
    ``seed`` decides these patients and the split. Raises RecordsError, FitError and OSError.
    """
    data = _records(recipe, schema, source, records, seed, step)
    repeated, conflicting = duplicates(data.rows, data.labels)
    if source:
        for note in (*data.notes, *doubts(repeated, conflicting), *unseen(schema, data.rows)):
            step(f"note: {note}")
    known, held_out = split(data.rows, data.labels, data.groups, seed)
    # One thread: the order of floating-point sums, and so the bytes, must not depend on cores.
    with threadpool_limits(limits=1):
        step(f"{FOLDS}-fold cross-validation on {len(known.rows)} records")
        indicators, scores = _cross_validate(recipe, schema, known, seed)
        step(f"fitting on {len(known.rows)}, evaluating on {len(held_out.rows)} held-out records")
        scorer = _Fitted(_estimator(recipe, schema, indicators), schema).fit(known)
        if source:
            _tell_thin_levels(schema, known, len(scorer.terms), step)
        metrics = evaluate(
            scorer.predict_proba(held_out.rows),
            held_out.labels,
            schema.levels,
            held_out.groups,
            seed,
        )
    metrics["cross_validation"] = {
        "folds": FOLDS,
        "accuracy_mean": float(np.mean(scores)),
        "accuracy_std": float(np.std(scores)),
    }
    metrics["also_fitted"] = _tell_shared(known, held_out, step if source else None)
    examples = {}
    if schema is not VITALS:
        examples = examples_of(
            schema, data.rows, data.labels, lambda rows: scorer.score_many(rows).probabilities
        )
    buffer = io.BytesIO()
    joblib.dump(scorer.estimator, buffer)
    trained = Trained(
        model_version=model_version,
        schema=schema,
        recipe={
            "name": recipe.name,
            "summary": recipe.summary,
            "inverse_regularisation": recipe.inverse_regularisation,
            "terms": [term.name for term in scorer.terms],
        },
        source="records of a CSV file" if source else "synthetic",
        seed=seed,
        rows=data.rows,
        labels=data.labels,
        metrics=metrics,
        scorer=scorer,
        joblib=buffer.getvalue(),
        golden=golden(schema, examples) if examples else _vital_cases(),
        examples=titled(examples) if examples else EXAMPLES,
        form=scorer.linear_form(),
        about_data=about(data, repeated, conflicting),
    )
    export(trained, out, step)
    step(f"wrote {out}: scorer agrees with the fitted model on all golden cases")


def _records(
    recipe: Recipe, schema: Schema, source: Source | None, records: int, seed: int, step: Step
) -> Dataset:
    if source:
        step(f"reading {source.path}")
        return read_csv(source.path, schema, source.target, source.group)
    step(f"generating {records} synthetic patients, seed {seed}: {recipe.summary}")
    vitals, labels = generate(records, seed, recipe.acuity)
    return Dataset([tuple(row) for row in vitals.tolist()], labels)


def _vital_cases() -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, dict(zip(VITALS.names, values, strict=True))) for name, values in _GOLDEN]


def _tell_shared(known: Part, held_out: Part, step: Step | None) -> int:
    both = shared(known, held_out)
    if both and step:
        step(f"note: the values of {both} held-out records were fitted, too: metrics flatter")
    return both


def _tell_thin_levels(schema: Schema, known: Part, terms: int, step: Step) -> None:
    for level in schema.levels:
        count = known.labels.count(level)
        if count < _RECORDS_PER_TERM * terms:
            step(
                f"note: {count} records of {level} were fitted, for {terms} terms; below"
                f" {_RECORDS_PER_TERM} per term, answers depend on chance"
            )


def _cross_validate(
    recipe: Recipe, schema: Schema, known: Part, seed: int
) -> tuple[tuple[str, ...], list[float]]:
    """Return which indicators of what is left out lower the log loss, and the folds' accuracies."""
    found: list[tuple[float, tuple[str, ...], list[float]]] = []
    often = left_out_often(schema, known.rows)
    for indicators in dict.fromkeys(((), often)):
        losses, accuracies = [], []
        for fitted, rest in folds_of(known, seed):
            scorer = _Fitted(_estimator(recipe, schema, indicators), schema).fit(fitted)
            probabilities = scorer.predict_proba(rest.rows)
            truth = np.array([schema.levels.index(level) for level in rest.labels])
            losses.append(log_loss(probabilities[np.arange(len(truth)), truth]))
            accuracies.append(float((levels_of(probabilities) == truth).mean()))
        found.append((float(np.mean(losses)), indicators, accuracies))
    _, indicators, accuracies = min(found, key=lambda each: each[0])
    return indicators, accuracies


def _estimator(recipe: Recipe, schema: Schema, indicators: Sequence[str]) -> Any:
    if recipe.monotone:
        return MonotoneRegression(schema, recipe.inverse_regularisation, recipe.terms, indicators)
    arguments: dict[str, Any] = {"terms": recipe.terms, "names": schema.names, "fills": {}}
    return Pipeline(
        [
            ("terms", FunctionTransformer(expand, kw_args=arguments)),
            ("scale", StandardScaler()),
            (
                "regression",
                LogisticRegression(C=recipe.inverse_regularisation, tol=1e-8, max_iter=2000),
            ),
        ]
    )


class _Fitted:
    """An estimator as a scorer, and as the content of scorer.json."""

    explains = False

    def __init__(self, estimator: Any, schema: Schema) -> None:
        self.estimator, self.schema = estimator, schema

    def fit(self, part: Part) -> _Fitted:
        self.estimator.fit(part.rows, part.labels)
        classes = list(self.estimator.classes_)
        self._order = [classes.index(level) for level in self.schema.levels]
        return self

    def predict_proba(self, rows: Sequence[Values]) -> NDArray[np.float64]:
        """Probabilities of shape (n, levels), in the order of the levels."""
        probabilities: NDArray[np.float64] = self.estimator.predict_proba(rows)[:, self._order]
        return probabilities

    def score(self, values: Values) -> Scored:
        return Scored(self.score_many([values]).probabilities[0], None)

    def score_many(self, rows: Sequence[Values]) -> ScoredMany:
        return ScoredMany([tuple(row) for row in self.predict_proba(rows).tolist()], None)

    @property
    def terms(self) -> tuple[Term, ...]:
        if isinstance(self.estimator, MonotoneRegression):
            return self.estimator.terms_
        terms: tuple[Term, ...] = self.estimator["terms"].kw_args["terms"]
        return terms

    def linear_form(self) -> dict[str, Any]:
        """Build the content of scorer.json: everything that the fitted estimator computes."""
        monotone = isinstance(self.estimator, MonotoneRegression)
        scale = self.estimator if monotone else self.estimator["scale"]
        regression = self.estimator if monotone else self.estimator["regression"]
        weights = regression.coef_[self._order]
        fills = self.estimator.fills_ if monotone else {}
        return {
            "format": SCORER_FORMAT,
            "levels": list(self.schema.levels),
            "intercepts": regression.intercept_[self._order].tolist(),
            **({"fills": fills} if fills else {}),
            "terms": [
                {
                    "factors": [term.factor(float(scale.mean_[j]), float(scale.scale_[j]))],
                    "weights": weights[:, j].tolist(),
                    **({"centre": float(scale.centre_[j])} if term.is_indicator else {}),
                }
                for j, term in enumerate(self.terms)
            ],
        }
