"""Turns a fitted scikit-learn classifier into the content of scorer.json, exactly.

The steps of the pipeline are read one after the other (transformers.py), then the coefficients of
its logistic regression become the weights of the products that its columns consist of. The result
is compared with ``predict_proba`` before anybody gets it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline

from riskpredictor_server.model.linear_form import SCORER_FORMAT
from riskpredictor_server.model.linear_scorer import LinearScorer
from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.model.sklearn_scorer import PipelineScorer
from riskpredictor_server.training.conversion.columns import (
    Cell,
    Factor,
    Fill,
    MismatchError,
    NotLinearError,
    Product,
    Unknown,
    numeric,
    raw,
)
from riskpredictor_server.training.conversion.transformers import MOST_PRODUCTS, transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-12
"""Largest accepted difference of a probability from predict_proba: rounding errors are smaller."""
_WHY_NOT = {
    "CalibratedClassifierCV": "averages or bends probabilities, which is no softmax of a sum",
    "OneVsRestClassifier": "divides the probabilities of single levels by their sum, which is no"
    " softmax; a LogisticRegression without it is multinomial",
}


def linear_form(scorer: PipelineScorer, rows: Sequence[Values]) -> dict[str, Any]:
    """Build the content of scorer.json (format 2) for the pipeline of ``scorer``.

    ``rows`` are checked records: contributions are relative to the mean of each term over them.
    Raises NotLinearError if there is no exact form, MismatchError if the schema does not fit.
    """
    schema = scorer.schema
    cells: list[Cell] = []
    for name in scorer.inputs:
        feature = schema.by_name.get(name)
        cells.append(raw(feature) if feature else Unknown(name))
    regression, cells, where = _preprocessed(scorer.pipeline, cells, "")
    intercepts, weights = _products(regression, cells, where, scorer.order)
    fills = _fills({factor for product in weights for factor in product}, schema)
    columns = _by_feature(rows, schema, fills)
    terms = [
        {
            "factors": [_factor(factor) for factor in product],
            "weights": row.tolist(),
            "centre": float(_value(product, columns).mean()),
        }
        for product, row in weights.items()
    ]
    return {
        "format": SCORER_FORMAT,
        "levels": list(schema.levels),
        "intercepts": intercepts.tolist(),
        "fills": fills,
        "terms": terms,
    }


def check_form(form: Mapping[str, Any], scorer: PipelineScorer, rows: Sequence[Values]) -> float:
    """Return the largest difference of a probability from predict_proba; raises NotLinearError."""
    ours = np.array(LinearScorer(form, scorer.schema).score_many(rows).probabilities)
    difference = float(np.abs(ours - scorer.predict_proba(rows)).max())
    if not difference <= TOLERANCE:
        raise NotLinearError(f"its linear form would differ by {difference:.1e} from predict_proba")
    return difference


def _preprocessed(
    classifier: Any, cells: list[Cell], where: str
) -> tuple[LogisticRegression, list[Cell], str]:
    """Return the regression at the end of nested pipelines, what it gets, and its step."""
    if type(classifier) in (GridSearchCV, RandomizedSearchCV):
        return _preprocessed(classifier.best_estimator_, cells, where)
    if type(classifier) is Pipeline:
        *steps, (last, final) = classifier.steps
        for name, step in steps:
            cells = transform(step, cells, f"{where}.{name}".removeprefix("."))
        return _preprocessed(final, cells, f"{where}.{last}".removeprefix("."))
    name = type(classifier).__name__
    if type(classifier) not in (LogisticRegression, LogisticRegressionCV):
        why = _WHY_NOT.get(name, "is no LogisticRegression")
        raise NotLinearError(f"step {where} ({name}) {why}" if where else f"{name} {why}")
    return classifier, cells, where


def _products(
    regression: LogisticRegression, cells: Sequence[Cell], where: str, order: Sequence[int]
) -> tuple[NDArray[np.float64], dict[Product, NDArray[np.float64]]]:
    """Return the intercepts, and the weights of each product; per level in the schema's order."""
    try:
        columns = [numeric(cell) for cell in cells]
    except MismatchError as error:
        raise MismatchError(
            f"step {where} (LogisticRegression) {error}".replace("  ", " ")
        ) from None
    # Without fit_intercept, liblinear's is a bare 0.0.
    coefficients, intercepts = regression.coef_, np.atleast_1d(regression.intercept_)
    if len(coefficients) == 1:
        # Of two classes there is one row: the log-odds of the second, for a sigmoid.
        coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
        intercepts = np.array([0.0, *intercepts])
    coefficients, totals = coefficients[order].astype(float), intercepts[order].astype(float)
    weights: dict[Product, NDArray[np.float64]] = {}
    for each, row in zip(columns, coefficients.T, strict=True):
        for product, part in each.parts.items():
            if product:
                weights[product] = weights.get(product, 0.0) + part * row
            else:
                totals = totals + part * row
    # What a penalty has set to 0 costs time and says nothing.
    weights = {product: row for product, row in weights.items() if row.any()}
    if len(weights) > MOST_PRODUCTS:
        raise NotLinearError(f"has {len(weights)} terms, more than {MOST_PRODUCTS}")
    return totals, weights


def _fills(factors: set[Factor], schema: Schema) -> dict[str, Any]:
    """Return what each optional feature is scored as where it was left out; None: no value."""
    found: dict[str, Any] = {}
    for factor in sorted(factors, key=repr):
        name = factor.feature
        if factor.kind == "missing":
            continue
        if factor.fill is Fill.OPEN:
            raise MismatchError(
                f"{name} may be left out (required: false), but nothing in the pipeline fills it"
                " in: fit it with a SimpleImputer, or declare it as required"
            )
        if factor.fill is Fill.NEVER:
            continue
        fill = None if factor.fill is Fill.NONE else factor.fill
        if found.setdefault(name, fill) != fill:
            raise NotLinearError(f"{name} is filled in as {found[name]!r} and as {fill!r}")
    for factor in factors:
        if factor.kind == "missing":
            found.setdefault(factor.feature, None)
    return {name: found[name] for name in schema.names if name in found}


def _factor(factor: Factor) -> dict[str, Any]:
    document: dict[str, Any] = {"feature": factor.feature}
    if factor.kind:
        document[factor.kind] = True if factor.kind == "missing" else factor.at
    return document | {"mean": factor.mean, "scale": factor.scale}


_Columns = dict[str, tuple["NDArray[Any]", "NDArray[np.bool_]"]]
"""By feature: the values with what is filled in, and where it was left out."""


def _by_feature(rows: Sequence[Values], schema: Schema, fills: Mapping[str, Any]) -> _Columns:
    columns: _Columns = {}
    for feature, values in zip(schema.features, zip(*rows, strict=True), strict=True):
        left_out = np.array([value is None for value in values])
        filled = [fills.get(feature.name) if value is None else value for value in values]
        kind = float if feature.is_numeric else object
        columns[feature.name] = np.array(filled, dtype=kind), left_out
    return columns


def _value(product: Product, columns: _Columns) -> NDArray[np.float64]:
    """Return the product's value for each record."""
    value = np.ones(len(next(iter(columns.values()))[1]))
    for factor in product:
        x, left_out = columns[factor.feature]
        if factor.kind == "above":
            found = np.maximum(x - factor.at, 0.0)
        elif factor.kind == "below":
            found = np.maximum(factor.at - x, 0.0)
        elif factor.kind == "equals":
            found = (x == factor.at).astype(float)
        elif factor.kind == "missing":
            found = left_out.astype(float)
        else:
            found = x
        value = value * (found - factor.mean) / factor.scale
    return value
