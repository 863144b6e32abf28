"""The exported linear form scores like the fitted scikit-learn pipeline."""

from __future__ import annotations

import math
from typing import Any

import joblib
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from unit.predictor.support import artifact, forest, in_order

from riskpredictor_server.model.linear_scorer import LinearScorer
from riskpredictor_server.model.schema import Values
from riskpredictor_server.model.sklearn_scorer import PipelineScorer
from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.training.synthetic import generate

TOLERANCE = 1e-12
EXTREMES = [[v.minimum for v in VITALS.features], [v.maximum for v in VITALS.features]]


def linear(version: str) -> LinearScorer:
    form = orjson.loads((artifact(version) / "scorer.json").read_bytes())
    return LinearScorer(form, VITALS)


def patients(count: int) -> Any:
    """Plausible ones, as many anywhere in the accepted ranges, and the extremes; shape (n, 4)."""
    plausible, _ = generate(count, seed=7)
    low, high = np.array(EXTREMES)
    anywhere = np.random.default_rng(8).uniform(low, high, (count, 4))
    return np.vstack([plausible, anywhere, EXTREMES])


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_100_000_records_get_the_probabilities_of_scikit_learn(version: str) -> None:
    rows = patients(50_000)
    score = linear(version).score
    ours = np.array([score(tuple(row)).probabilities for row in rows.tolist()])
    theirs = in_order(joblib.load(artifact(version) / "model.joblib"), rows)
    assert np.abs(ours - theirs).max() <= TOLERANCE
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()


@given(st.tuples(*(st.floats(v.minimum, v.maximum) for v in VITALS.features)))
def test_contributions_and_baseline_add_up_to_the_log_odds(values: Values) -> None:
    scorer = linear("v1")
    probabilities, contributions = scorer.score(values)
    assert contributions is not None
    assert sum(probabilities) == pytest.approx(1, abs=1e-12)
    if min(probabilities) > 1e-300:
        log_odds = math.log(probabilities[2] / probabilities[0])
        assert sum(contributions) + scorer.baseline == pytest.approx(log_odds, abs=1e-9)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_batch_gets_the_answers_of_its_rows_to_the_last_bit(version: str) -> None:
    rows = list(map(tuple, patients(2000).tolist()))
    scorer = linear(version)
    probabilities, contributions = scorer.score_many(rows)
    assert contributions
    batch = list(zip(probabilities, contributions, strict=True))
    assert batch == [tuple(scorer.score(row)) for row in rows]


def test_a_contribution_depends_on_its_own_vital_only() -> None:
    scorer = linear("v1")
    calm = scorer.score((80, 120, 98.6, 98)).contributions
    racing = scorer.score((140, 120, 98.6, 98)).contributions
    assert calm
    assert racing
    assert racing[0] > calm[0]
    assert racing[1:] == calm[1:]


@pytest.mark.parametrize(
    ("healthy", "ill"),
    [((85, 120, 98.6, 97), (85, 120, 98.6, 82)), ((75, 120, 98.6, 98), (35, 120, 98.6, 98))],
    ids=["low oxygen", "slow heart"],
)
def test_risk_rises_on_both_sides_of_normal(healthy: Any, ill: Any) -> None:
    scorer = linear("v1")
    assert scorer.score(ill).probabilities[2] > 10 * scorer.score(healthy).probabilities[2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "riskpredictor-scorer/3"}, "this server reads"),
        ({"levels": ["High", "Low", "Medium"]}, "levels must be"),
        ({"levels": 5}, "levels must be"),
        ({"intercepts": ["a", 1, 2]}, "malformed linear form"),
        ({"intercepts": [1, 2]}, "malformed linear form"),
        (
            {"terms": [{"factors": [{"feature": "age"}], "weights": [1, 2, 3]}]},
            "malformed linear form",
        ),
        ({"terms": None}, "malformed linear form"),
    ],
)
def test_a_malformed_form_is_refused(change: dict[str, Any], words: str) -> None:
    form = orjson.loads((artifact() / "scorer.json").read_bytes())
    with pytest.raises(ValueError, match=words):
        LinearScorer(form | change, VITALS)


def test_a_random_forest_serves_through_the_same_protocol() -> None:
    scorer = PipelineScorer(forest(), VITALS)
    rows = [(85.0, 120.0, 98.6, 97.0), (130.0, 85.0, 103.5, 86.0)]
    probabilities, contributions = scorer.score_many(rows)
    assert probabilities == [tuple(row) for row in in_order(forest(), rows).tolist()]
    assert scorer.score(rows[0]) == (probabilities[0], None)
    assert contributions is None
    assert probabilities[1][2] > 0.5


def test_a_classifier_of_other_classes_is_refused() -> None:
    classifier = RandomForestClassifier(2).fit([[0, 0, 0, 0], [1, 1, 1, 1]], ["yes", "no"])
    with pytest.raises(ValueError, match=r"its classes are \['no', 'yes'\]"):
        PipelineScorer(classifier, VITALS)
