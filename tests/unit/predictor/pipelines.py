"""Pipelines as data scientists fit them, over a record with every type of feature."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from riskpredictor_server.model.declaration import read_schema
from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.training.conversion.probes import generated

if TYPE_CHECKING:
    import pandas

DECLARED: dict[str, Any] = {
    "features": [
        {"name": "rate", "type": "integer", "minimum": 4, "maximum": 70},
        {"name": "temperature", "minimum": 77, "maximum": 113},
        {"name": "lactate", "minimum": 0.1, "maximum": 30, "required": False},
        {"name": "oxygen", "type": "boolean"},
        {"name": "dialysis", "type": "boolean", "required": False},
        {"name": "mind", "type": "category", "values": ["Alert", "Voice", "Pain", "None"]},
        {"name": "ward", "type": "category", "values": ["A", "B", "C"], "required": False},
        {"name": "news", "type": "integer", "minimum": 0, "maximum": 4},
    ]
}
SCHEMA = read_schema(DECLARED)
NUMBERS = ["rate", "temperature", "lactate"]
TEXTS = ["mind", "ward"]
FLAGS = ["oxygen", "dialysis"]


def with_levels(*levels: str) -> Schema:
    return read_schema({**DECLARED, "levels": [*levels]})


def table(rows: Sequence[Values], schema: Schema = SCHEMA) -> pandas.DataFrame:
    """Records as a notebook reads them from a file: numbers are floats, gaps are NaN."""
    import pandas

    return pandas.DataFrame(
        {
            feature.name: pandas.Series(
                [math.nan if value is None else value for value in values],
                dtype=object if feature.type == "category" else float,
            )
            for feature, values in zip(schema.features, zip(*rows, strict=True), strict=True)
        }
    )


@cache
def training(count: int = 300, seed: int = 1) -> list[Values]:
    return generated(SCHEMA, count, seed)


def outcome(rows: Sequence[Values], levels: Sequence[Any]) -> list[Any]:
    """A level for each record, of about equal shares, that depends on the record."""
    rng = np.random.default_rng(5)
    score = [
        0.1 * rate + 0.05 * abs(temperature - 98) + (lactate or 2) / 20 + oxygen + (mind == "Pain")
        for rate, temperature, lactate, oxygen, _, mind, *_ in rows
    ] + rng.normal(0, 1, len(rows))
    edges = np.quantile(score, np.linspace(0, 1, len(levels) + 1)[1:-1])
    return [levels[index] for index in np.digitize(score, edges)]


def fitted(pipeline: Any, schema: Schema = SCHEMA, levels: Sequence[Any] = (), **how: Any) -> Any:
    """Fit on records of the schema: a table with names, or an array (``names=False``)."""
    rows = training()
    data = table(rows)
    with warnings.catch_warnings():
        # Whether it converges, and what no longer is the default, is not the question here.
        warnings.simplefilter("ignore")
        return pipeline.fit(
            data if how.get("names", True) else data.to_numpy(),
            outcome(rows, levels or schema.levels),
        )


def regression(**how: Any) -> LogisticRegression:
    return LogisticRegression(**{"max_iter": 60, **how})


def ward() -> ColumnTransformer:
    """What many notebooks do."""
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            ("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS),
            ("flags", SimpleImputer(strategy="most_frequent"), FLAGS),
        ]
    )


def _numbers(*steps: Any) -> Pipeline:
    """Steps for the numbers alone; the rest is dropped."""
    return make_pipeline(
        make_column_transformer((make_pipeline(SimpleImputer(), *steps), NUMBERS)), regression()
    )


def _texts(*steps: Any) -> Pipeline:
    return make_pipeline(make_column_transformer((make_pipeline(*steps), TEXTS)), regression())


SHAPES: Mapping[str, Callable[[], Any]] = {
    "median, standardised, one-hot": lambda: make_pipeline(ward(), regression()),
    "imputer after scaler, with indicators": lambda: make_pipeline(
        make_column_transformer(
            (make_pipeline(StandardScaler(), SimpleImputer(add_indicator=True)), NUMBERS),
            (SimpleImputer(strategy="constant", fill_value=0, add_indicator=True), FLAGS),
        ),
        regression(),
    ),
    "every scaler in turn": lambda: _numbers(
        StandardScaler(with_mean=False),
        MinMaxScaler((-1, 2)),
        RobustScaler(),
        MaxAbsScaler(),
        StandardScaler(with_std=False),
    ),
    "clipped": lambda: _numbers(MinMaxScaler(clip=True)),
    "squares and interactions": lambda: _numbers(
        StandardScaler(), PolynomialFeatures(2), StandardScaler()
    ),
    "cubes": lambda: _numbers(StandardScaler(), PolynomialFeatures(3)),
    "cubes, interactions only": lambda: _numbers(
        MinMaxScaler(), PolynomialFeatures(3, include_bias=False, interaction_only=True)
    ),
    "products of all, categories as well": lambda: make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
            (OneHotEncoder(sparse_output=False), TEXTS),
        ),
        PolynomialFeatures(2),
        regression(),
    ),
    "products of filled gaps and indicators": lambda: make_pipeline(
        make_column_transformer(
            (SimpleImputer(strategy="constant", fill_value=1, add_indicator=True), FLAGS)
        ),
        PolynomialFeatures(2),
        regression(),
    ),
    "linear splines": lambda: _numbers(SplineTransformer(n_knots=4, degree=1)),
    "linear splines without bias, products": lambda: _numbers(
        SplineTransformer(3, degree=1, include_bias=False), PolynomialFeatures(2)
    ),
    "one-hot less the first": lambda: _texts(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(drop="first"),
        StandardScaler(with_mean=False),
    ),
    "one-hot of gaps as a word of their own": lambda: _texts(
        SimpleImputer(strategy="constant", fill_value="unknown"), OneHotEncoder(drop="if_binary")
    ),
    "one-hot of rare values together": lambda: _texts(
        OneHotEncoder(min_frequency=70, handle_unknown="infrequent_if_exist")
    ),
    "one-hot of integers and flags": lambda: make_pipeline(
        make_column_transformer(
            (OneHotEncoder(), ["news", "oxygen", "dialysis"]),
            (OneHotEncoder(handle_unknown="ignore"), ["rate"]),
        ),
        regression(),
    ),
    "ordinal codes": lambda: make_pipeline(
        make_column_transformer(
            (OrdinalEncoder(categories=[["Alert", "Voice", "Pain", "None"]]), ["mind"]),
            (OrdinalEncoder(encoded_missing_value=-1), ["ward", "dialysis"]),
            (StandardScaler(), ["news"]),
        ),
        regression(),
    ),
    "columns by mask, slice, position, function": lambda: make_pipeline(
        ColumnTransformer(
            [
                ("mask", SimpleImputer(), [False, True, True] + 5 * [False]),
                ("slice", StandardScaler(), slice("rate", "temperature")),
                ("position", FunctionTransformer(), [-1, 3]),
                ("function", OneHotEncoder(), make_column_selector(dtype_include=object)),
                ("out", "drop", ["dialysis"]),
            ],
            transformer_weights={"mask": 0.5},
        ),
        regression(),
    ),
    "remainder of all kinds": lambda: make_pipeline(
        ColumnTransformer(
            [("texts", OneHotEncoder(), TEXTS), ("flags", "passthrough", [3])],
            remainder=SimpleImputer(strategy="most_frequent"),
        ),
        regression(),
    ),
    "nested pipelines, union, selection": lambda: Pipeline(
        [
            ("prepare", Pipeline([("columns", ward()), ("nothing", "passthrough")])),
            ("both", FeatureUnion([("all", "passthrough"), ("best", SelectKBest(k=3))])),
            ("fit", Pipeline([("varied", VarianceThreshold()), ("regression", regression())])),
        ]
    ),
    "lasso": lambda: make_pipeline(
        ward(), regression(l1_ratio=1, C=0.05, solver="saga", random_state=1)
    ),
    "cross-validated": lambda: make_pipeline(
        ward(), LogisticRegressionCV(Cs=2, cv=2, max_iter=60, use_legacy_attributes=False)
    ),
    "searched": lambda: GridSearchCV(
        make_pipeline(ward(), regression()), {"logisticregression__C": [0.1, 1]}, cv=2
    ),
}
"""Every supported shape."""
