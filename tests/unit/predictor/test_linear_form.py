"""A pipeline of scikit-learn becomes a linear form that gives the same probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
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
from unit.predictor.pipelines import (
    FLAGS,
    NUMBERS,
    SCHEMA,
    SHAPES,
    TEXTS,
    fitted,
    outcome,
    regression,
    table,
    training,
    ward,
    with_levels,
)

from riskpredictor_server.model.declaration import read_schema
from riskpredictor_server.model.linear_scorer import LinearScorer
from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.model.sklearn_scorer import PipelineScorer
from riskpredictor_server.training.conversion.linear_export import (
    TOLERANCE,
    check_form,
    linear_form,
)
from riskpredictor_server.training.conversion.probes import generated
from riskpredictor_server.training.features import Term, expand


def formula(form: dict[str, Any], rows: Sequence[Values], schema: Schema = SCHEMA) -> Any:
    """The probabilities of a linear form by its definition, in numpy; shape (n, levels)."""
    columns = dict(zip(schema.names, zip(*rows, strict=True), strict=True))
    logits = np.tile(np.array(form["intercepts"]), (len(rows), 1))
    for term in form["terms"]:
        value = np.ones(len(rows))
        for factor in term["factors"]:
            name = factor["feature"]
            left_out = np.array([x is None for x in columns[name]])
            fill = form["fills"].get(name)
            x = [fill if x is None else x for x in columns[name]]
            if "equals" in factor:
                found = np.array([each == factor["equals"] for each in x], dtype=float)
            elif "missing" in factor:
                found = left_out.astype(float)
            elif "above" in factor:
                found = np.clip(np.array(x, dtype=float) - factor["above"], 0, None)
            elif "below" in factor:
                found = np.clip(factor["below"] - np.array(x, dtype=float), 0, None)
            else:
                found = np.array(x, dtype=float)
            value *= (found - factor["mean"]) / factor["scale"]
        logits += np.outer(value, term["weights"])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def expected(pipeline: Any, rows: Sequence[Values], schema: Schema = SCHEMA, **how: Any) -> Any:
    data = table(rows)
    order = [list(pipeline.classes_).index(level) for level in schema.levels]
    return pipeline.predict_proba(data if how.get("names", True) else data.to_numpy())[:, order]


@cache
def many() -> list[Values]:
    return generated(SCHEMA, 100_000, seed=9)


def exported(pipeline: Any, schema: Schema = SCHEMA) -> dict[str, Any]:
    return linear_form(PipelineScorer(pipeline, schema), training())


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("shape", SHAPES)
def test_100_000_records_get_the_probabilities_of_scikit_learn(shape: str) -> None:
    pipeline = fitted(SHAPES[shape]())
    form = exported(pipeline)
    theirs = expected(pipeline, many())
    served = np.array(LinearScorer(orjson.loads(orjson.dumps(form)), SCHEMA).score_many(many())[0])
    assert np.abs(served - theirs).max() <= TOLERANCE
    # By the definition of the format, whatever the server makes of it.
    assert np.abs(formula(form, many()[:2000]) - theirs[:2000]).max() <= TOLERANCE
    assert theirs.std(axis=0).min() > 0.01, "a model that tells nobody apart proves nothing"


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("names", [True, False], ids=["table", "array"])
@pytest.mark.parametrize(
    "levels",
    [("Low", "High"), ("High", "Low"), ("1 low", "2 mild", "3 high", "4 dire")],
    ids=["two", "two, the second sorts first", "four"],
)
def test_levels_are_in_the_order_of_the_schema(levels: Sequence[str], names: bool) -> None:
    schema = with_levels(*levels)
    pipeline = fitted(make_pipeline(positions(), regression()), schema, names=names)
    form = exported(pipeline, schema)
    assert form["levels"] == [*levels]
    theirs = expected(pipeline, many()[:5000], schema, names=names)
    assert np.abs(formula(form, many()[:5000], schema) - theirs).max() <= TOLERANCE


def positions() -> Any:
    """What can be fitted on an array, too."""
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), [0, 1, 2]),
        (OneHotEncoder(handle_unknown="ignore"), [5, 6]),
    )


@pytest.mark.parametrize("levels", [("Low", "High"), ("Low", "Medium", "High")])
def test_a_regression_without_an_intercept(levels: Sequence[str]) -> None:
    """liblinear's is a number then, not an array."""
    schema = with_levels(*levels)
    how: dict[str, Any] = {"solver": "liblinear"} if len(levels) == 2 else {}
    last = regression(fit_intercept=False, class_weight="balanced", **how)
    pipeline = fitted(make_pipeline(positions(), last), schema)
    theirs = expected(pipeline, many()[:5000], schema)
    assert np.abs(formula(exported(pipeline, schema), many()[:5000], schema) - theirs).max() <= (
        TOLERANCE
    )


def test_terms_of_training_features_are_exported() -> None:
    names = ["rate", "temperature", "oxygen"]
    schema = read_schema({"features": [SCHEMA.by_name[name].declaration() for name in names]})
    terms = [
        Term("rate", "below", 12),
        Term("rate", "above", 20),
        Term("temperature", "value"),
        Term("oxygen", "equals", True),
    ]
    how = {"terms": terms, "names": names, "fills": {}}
    pipeline = make_pipeline(
        FunctionTransformer(expand, kw_args=how), StandardScaler(), regression()
    )
    rows: list[Values] = [(*values[:2], values[3]) for values in many()[:2000]]
    pipeline.fit(np.array(rows, dtype=float), outcome(many()[:2000], schema.levels))
    form = linear_form(PipelineScorer(pipeline, schema), rows)
    assert [len(term["factors"]) for term in form["terms"]] == [1, 1, 1, 1]
    order = [list(pipeline.classes_).index(level) for level in schema.levels]
    theirs = pipeline.predict_proba(np.array(rows, dtype=float))[:, order]
    assert np.abs(formula(form, rows, schema) - theirs).max() <= TOLERANCE


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(handle_unknown="ignore", min_frequency=80),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=80),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=80, drop="first"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=7),
    ],
    ids=["ignored", "ignored beside rare ones", "rare", "rare, less the first", "code"],
)
def test_values_that_an_encoder_has_never_seen(encoder: Any) -> None:
    def without_pain(rows: Sequence[Values]) -> list[Values]:
        return [
            (*values[:5], "Alert" if values[5] == "Pain" else values[5], *values[6:])
            for values in rows
        ]

    columns = make_column_transformer((encoder, ["mind"]), (StandardScaler(), ["rate"]))
    pipeline = make_pipeline(columns, regression())
    pipeline.fit(table(without_pain(training())), outcome(training(), SCHEMA.levels))
    form = exported(pipeline)
    rows = many()[:2000]
    assert np.abs(formula(form, rows) - expected(pipeline, rows)).max() <= TOLERANCE


def test_contributions_are_relative_to_the_mean_record() -> None:
    pipeline = fitted(make_pipeline(ward(), regression()))
    scorer = LinearScorer(exported(pipeline), SCHEMA)
    probabilities, contributions = scorer.score_many(training())
    assert contributions
    log_odds = [np.log(each[-1] / each[0]) for each in probabilities]
    assert np.array(contributions).sum(axis=1) + scorer.baseline == pytest.approx(log_odds)
    assert np.array(contributions).mean(axis=0) == pytest.approx(np.zeros(8), abs=1e-9)


def scalers() -> st.SearchStrategy[Any]:
    flags = st.booleans()
    ranges = st.sampled_from([(0, 1), (-1, 3)])
    return st.one_of(
        st.builds(StandardScaler, with_mean=flags, with_std=flags),
        st.builds(MinMaxScaler, ranges, clip=flags),
        st.builds(RobustScaler, with_centering=flags, with_scaling=flags),
        st.just(MaxAbsScaler()),
        st.builds(SplineTransformer, st.integers(2, 4), degree=st.just(1), include_bias=flags),
    )


def imputers(*strategies: str, fill: Any) -> st.SearchStrategy[SimpleImputer]:
    return st.builds(
        SimpleImputer,
        strategy=st.sampled_from(strategies),
        fill_value=st.just(fill),
        add_indicator=st.booleans(),
    )


@st.composite
def pipelines(draw: Any) -> Any:
    """Any combination of what is supported."""
    steps = [draw(imputers("mean", "median", "most_frequent", "constant", fill=1.5))]
    steps += draw(st.lists(scalers(), max_size=1))
    steps += draw(
        st.lists(
            st.builds(
                PolynomialFeatures,
                st.integers(1, 3) if len(steps) > 1 else st.just(2),
                interaction_only=st.booleans(),
                include_bias=st.booleans(),
            ),
            max_size=1,
        )
    )
    steps += draw(st.lists(st.builds(StandardScaler), max_size=1))
    one_hot = st.builds(
        OneHotEncoder,
        drop=st.sampled_from([None, "first", "if_binary"]),
        handle_unknown=st.sampled_from(["ignore", "infrequent_if_exist"]),
        min_frequency=st.sampled_from([None, 0.26, 90]),
        max_categories=st.sampled_from([None, 2]),
        sparse_output=st.booleans(),
    )
    words = imputers("most_frequent", "constant", fill="unknown").map(
        lambda imputer: imputer.set_params(add_indicator=False)
    )
    texts = [*draw(st.lists(words, max_size=1)), draw(one_hot)]
    columns = make_column_transformer(
        (make_pipeline(*steps), draw(st.lists(st.sampled_from(NUMBERS), min_size=1, unique=True))),
        (make_pipeline(*texts), draw(st.permutations(TEXTS))),
        (draw(imputers("most_frequent", fill=None)), draw(st.permutations(FLAGS))),
        remainder=draw(st.sampled_from(["drop", SimpleImputer()])),
        sparse_threshold=draw(st.sampled_from([0, 1])),
    )
    return make_pipeline(
        columns,
        LogisticRegression(
            C=draw(st.sampled_from([0.01, 1.0, 100.0])),
            fit_intercept=draw(st.booleans()),
            max_iter=20,
        ),
    )


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@settings(max_examples=60)
@given(pipelines(), st.integers(2, 4))
def test_any_combination_gets_the_probabilities_of_scikit_learn(pipeline: Any, levels: int) -> None:
    schema = with_levels(*"dabc"[:levels])
    fitted(pipeline, schema)
    form = exported(pipeline, schema)
    rows = many()[:1000]
    difference = np.abs(formula(form, rows, schema) - expected(pipeline, rows, schema)).max()
    assert difference <= TOLERANCE
    assert check_form(form, PipelineScorer(pipeline, schema), rows) <= TOLERANCE
