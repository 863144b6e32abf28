"""Away from its normal band, a feature never makes a patient look better."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from unit.predictor.support import artifact

from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.declaration import read_schema
from riskpredictor_server.model.linear_scorer import LinearScorer
from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.training.features import Term
from riskpredictor_server.training.fit import _cross_validate, _Fitted
from riskpredictor_server.training.monotone import fit_weights
from riskpredictor_server.training.monotone_check import check_monotone
from riskpredictor_server.training.recipes import DECLARED, RECIPES
from riskpredictor_server.training.regression import MonotoneRegression
from riskpredictor_server.training.split import Part

SCHEMA = read_schema(
    {
        "levels": ["Calm", "Watch", "Worry", "Act"],
        "features": [
            {"name": "rate", "type": "integer", "minimum": 0, "maximum": 60,
             "risk": "rises outside 20..30"},
            {"name": "oxygen", "minimum": 0, "maximum": 10, "risk": "falls"},
            {"name": "lactate", "minimum": 0, "maximum": 10, "risk": "rises", "required": False},
            {"name": "mind", "type": "category", "values": ["Alert", "Voice", "Pain"],
             "risk": "rises"},
            {"name": "walks", "type": "boolean", "risk": "falls"},
            {"name": "ward", "type": "category", "values": ["A", "B"]},
        ],
    }
)  # fmt: skip


def random_records(seed: int, count: int = 120) -> tuple[list[Values], list[str]]:
    """Records whose levels have nothing to do with what is declared."""
    rng = np.random.default_rng(seed)
    rows: list[Values] = [
        (
            int(rng.integers(0, 61)),
            float(rng.uniform(0, 10)),
            None if rng.random() < 0.3 else float(rng.uniform(0, 10)),
            str(rng.choice(["Alert", "Voice", "Pain"])),
            bool(rng.random() < 0.5),
            str(rng.choice(["A", "B"])),
        )
        for _ in range(count)
    ]
    return rows, [SCHEMA.levels[k] for k in rng.integers(0, 4, count)]


def fitted(seed: int) -> tuple[_Fitted, list[Values]]:
    rows, labels = random_records(seed)
    regression = MonotoneRegression(SCHEMA, 10.0, indicators=("lactate",))
    return _Fitted(regression, SCHEMA).fit(Part(rows, labels, None)), rows


def reached(probabilities: Any) -> Any:
    """P(level or higher) for every level but the lowest."""
    return np.cumsum(np.asarray(probabilities)[:, ::-1], axis=1)[:, :-1]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=4, deadline=None)
def test_every_declared_direction_holds_whatever_the_records_say(seed: int) -> None:
    scorer, rows = fitted(seed)
    ways: dict[int, list[Any]] = {
        0: [np.arange(30, 61).tolist(), np.arange(20, -1, -1).tolist()],
        1: [np.linspace(10, 0, 60).tolist()],
        2: [np.linspace(0, 10, 60).tolist()],
        3: [["Alert", "Voice", "Pain"]],
        4: [[True, False]],
    }
    for at, walks in ways.items():
        for background in rows[:10]:
            for walk in walks:
                table = scorer.predict_proba(
                    [(*background[:at], x, *background[at + 1 :]) for x in walk]
                )
                assert np.diff(reached(table), axis=0).min() >= -1e-12
    found = check_monotone(lambda some: scorer.score_many(some).probabilities, SCHEMA, rows)
    assert [row["holds"] for row in found.values()] == [True] * 5
    assert "ward" not in found


def test_the_hinges_of_a_recipe_hold_whatever_the_records_say() -> None:
    """Also where a severe band would lower the risk again."""
    rows: list[Values] = [(80.0, 120.0, 98.6, 80.0 + i % 20) for i in range(400)]
    labels = ["Medium" if 90 <= row[3] < 95 else "Low" for row in rows]
    labels[:4] = ["High"] * 4
    recipe = RECIPES["v2"]
    scorer = MonotoneRegression(VITALS, recipe.inverse_regularisation, recipe.terms)
    scorer.fit(rows, labels)
    way = scorer.predict_proba([(80.0, 120.0, 98.6, x) for x in np.linspace(100, 50, 201)])
    assert np.diff(reached(way), axis=0).min() >= -1e-12


def test_risk_may_rise_less_further_out() -> None:
    """Away from normal no slope is below 0, but it may be less than the one before."""
    schema = Schema(ONE.features[:1], ONE.levels)
    rows: list[Values] = [(float(90 + i % 100),) for i in range(1000)]
    rng = np.random.default_rng(5)
    high = rng.random(1000) < np.minimum(np.array(rows)[:, 0] - 90, 40) / 50
    found = MonotoneRegression(schema, 100.0, [Term("rate", "above", at) for at in (90, 130)])
    found.fit(rows, ["High" if one else "Low" for one in high])
    near, far = ((found.coef_[1] - found.coef_[0]) / found.scale_).tolist()
    assert near > 0.05
    assert far < -0.8 * near


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_exported_form_computes_what_was_fitted(seed: int) -> None:
    scorer, rows = fitted(seed)
    exported = LinearScorer(scorer.linear_form(), SCHEMA)
    ours = [exported.score(row).probabilities for row in rows]
    assert np.abs(np.array(ours) - scorer.predict_proba(rows)).max() < 1e-12


def test_without_bounds_the_fit_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    terms = rng.normal(size=(400, 5))
    levels = np.clip(np.round(terms @ [1, -1, 0.5, 0, 2] + rng.normal(size=400)), 0, 3).astype(int)
    weights, intercepts = fit_weights(terms, levels, 4, np.eye(5), np.zeros(5, dtype=bool), 2.0)
    theirs = LogisticRegression(C=2.0, tol=1e-10, max_iter=5000).fit(terms, levels)
    assert np.abs(weights - theirs.coef_).max() < 1e-4
    assert np.abs(intercepts - theirs.intercept_).max() < 1e-4


def test_a_constraint_costs_nothing_where_the_records_agree() -> None:
    rng = np.random.default_rng(2)
    terms = rng.normal(size=(2000, 2))
    levels = np.clip(np.round(terms.sum(axis=1) + rng.normal(size=2000) + 1), 0, 2).astype(int)
    free = fit_weights(terms, levels, 3, np.eye(2), np.zeros(2, dtype=bool), 1.0)
    bound = fit_weights(terms, levels, 3, np.eye(2), np.ones(2, dtype=bool), 1.0)
    for one, two in zip(free, bound, strict=True):
        assert np.abs(one - two).max() < 1e-4


def test_a_value_that_no_record_has_scores_like_its_milder_neighbour() -> None:
    """Nothing was learned of it, and less than its neighbour it must not score."""
    rng = np.random.default_rng(3)
    minds = ["Alert", "Pain"]
    rows = [(25, 5.0, 1.0, minds[i % 2], True, "A") for i in range(200)]
    labels = [SCHEMA.levels[min(3, (i % 2) * 2 + int(rng.random() < 0.3))] for i in range(200)]
    scorer = MonotoneRegression(SCHEMA, 3.0).fit(rows, labels)
    alert, voice, pain = reached(
        scorer.predict_proba(
            [(25, 5.0, 1.0, mind, True, "A") for mind in ("Alert", "Voice", "Pain")]
        )
    )
    assert np.abs(voice - alert).max() < 0.02
    assert pain[-2] > alert[-2] + 0.3


@pytest.mark.parametrize("informative", [True, False])
def test_that_a_value_is_missing_counts_only_where_it_tells_something(informative: bool) -> None:
    rows, labels = random_records(7, 200)
    if informative:
        labels = ["Act" if row[2] is None else "Calm" for row in rows]
        # Some noise, or the fit would go on for long.
        labels[:60] = [SCHEMA.levels[i % 4] for i in range(60)]
    indicators, _ = _cross_validate(DECLARED, SCHEMA, Part(rows, labels, None), seed=0)
    assert indicators == (("lactate",) if informative else ())


def score_of(model: Any) -> Any:
    return lambda rows: [model(row) for row in rows]


ONE = read_schema(
    {
        "levels": ["Low", "High"],
        "features": [
            {"name": "rate", "minimum": 0, "maximum": 200, "risk": "rises outside 50..90"},
            {"name": "mind", "type": "category", "values": ["Alert", "Pain"], "risk": "rises"},
        ],
    }
)


def test_the_check_tells_the_worst_fall_with_its_values() -> None:
    """A model that takes a racing heart for a good sign from 100 on."""

    def model(row: Values) -> tuple[float, float]:
        high = 0.2 + 0.6 * max(0.0, 1 - abs(row[0] - 100) / 50) * (row[1] == "Pain")
        return 1 - high, high

    found = check_monotone(score_of(model), ONE, [(70.0, "Alert"), (70.0, "Pain")])
    assert found["rate"]["declared"] == "rises outside 50..90"
    assert found["rate"]["holds"] is False
    assert found["rate"]["detail"] == (
        "P(High) falls from 0.799 to 0.200 as it goes from 100.083 to 200, with mind Pain"
    )
    assert found["mind"] == {
        "declared": "rises",
        "holds": True,
        "detail": "no fall among 2 values in 2 records",
    }


def test_what_the_check_tells_is_no_record_of_a_patient() -> None:
    """It gets into the card."""
    schema = read_schema(
        {
            "levels": ["Low", "High"],
            "features": [
                {"name": name, "minimum": 0, "maximum": 100, **({} if i else {"risk": "falls"})}
                for i, name in enumerate(("rate", "age", "weight"))
            ],
        }
    )
    rows = [(50.0, float(i), float(i)) for i in range(100)]
    seen: set[Values] = set()

    def model(row: Values) -> tuple[float, float]:
        seen.add(row[1:])
        return 1 - row[0] / 100, row[0] / 100

    assert check_monotone(score_of(model), schema, rows)["rate"]["holds"] is False
    assert len(seen) == 40
    assert sum(age == weight for age, weight in seen) < 4


def test_a_fall_of_the_only_feature_is_told_without_others() -> None:
    schema = Schema(ONE.features[:1], ONE.levels)
    found = check_monotone(score_of(lambda row: (row[0] / 200, 1 - row[0] / 200)), schema, [(70,)])
    assert found["rate"]["detail"] == "P(High) falls from 0.550 to 0.000 as it goes from 90 to 200"


def test_the_check_sees_a_fall_below_the_band_and_of_a_level_between() -> None:
    schema = Schema(ONE.features, ("Low", "Medium", "High"))

    def model(row: Values) -> tuple[float, float, float]:
        # Medium turns into Low below 30, High stays as it is.
        return (0.9, 0.0, 0.1) if row[0] < 30 else (0.5, 0.4, 0.1)

    found = check_monotone(score_of(model), schema, [(70.0, "Alert")])["rate"]
    assert found["holds"] is False
    assert found["detail"].startswith(
        "P(Medium or higher) falls from 0.500 to 0.100 as it goes from"
    )
    assert found["detail"].endswith("with mind Alert")


def test_within_the_band_anything_may_happen() -> None:
    def model(row: Values) -> tuple[float, float]:
        high = 0.9 if 60 < row[0] < 80 else 0.1
        return 1 - high, high

    assert check_monotone(score_of(model), ONE, [(70.0, "Alert")])["rate"]["holds"] is True


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_cards_of_both_recipes_say_that_all_four_vitals_hold(version: str) -> None:
    features = load(artifact(version)).card["features"]
    assert [row["monotone"]["holds"] for row in features] == [True] * 4
    assert features[0]["monotone"]["declared"] == "rises outside 51..90"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_heart_rate_of_150_alone_is_no_low_risk(version: str) -> None:
    """v2 once said Low 0.41 of it."""
    model = load(artifact(version))
    low, _, high = model.scorer.score((150, 120, 98.6, 97)).probabilities
    assert low < 0.01
    assert high > 0.9
    assert "heart rate 150 alone" in [case["name"] for case in model.card["golden_cases"]]


def test_the_low_risk_never_rises_along_a_racing_heart() -> None:
    scorer = load(artifact("v2")).scorer
    lows = [scorer.score((rate, 120, 98.6, 97)).probabilities[0] for rate in range(90, 301)]
    assert all(later <= before + 1e-12 for before, later in pairwise(lows))
    assert VITALS.features[0].maximum == 300
