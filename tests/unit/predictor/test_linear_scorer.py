"""A linear form over records of any kind scores as its definition says."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.predictor.declared import WARD, values_of

from riskpredictor_server.model.linear_scorer import LinearScorer
from riskpredictor_server.model.schema import Feature, Schema

FILLS: dict[str, Any] = {"lactate": 1.2, "ward": "B"}
# Left out, ward is none of its values then.
NO_WARD: dict[str, Any] = {"lactate": 1.2, "ward": None}
weight = st.floats(-3, 3)


def by_definition(
    form: dict[str, Any], values: tuple[Any, ...]
) -> tuple[list[float], list[float], float]:
    """Probabilities, contributions and baseline, straight from the definition of the format."""
    given_values = dict(zip(WARD.names, values, strict=True))
    filled: dict[str, Any] = {
        name: form["fills"].get(name) if x is None else x for name, x in given_values.items()
    }
    logits = list(form["intercepts"])
    shares = dict.fromkeys(WARD.names, 0.0)
    baseline = logits[-1] - logits[0]
    for term in form["terms"]:
        value = 1.0
        for factor in term["factors"]:
            name, x = factor["feature"], filled[factor["feature"]]
            if "above" in factor:
                found = max(0.0, x - factor["above"])
            elif "below" in factor:
                found = max(0.0, factor["below"] - x)
            elif "equals" in factor:
                found = float(x == factor["equals"])
            elif "missing" in factor:
                found = float(given_values[name] is None)
            else:
                found = float(x)
            value *= (found - factor.get("mean", 0.0)) / factor.get("scale", 1.0)
        weights, centre = term["weights"], term.get("centre", 0.0)
        logits = [logit + w * value for logit, w in zip(logits, weights, strict=True)]
        names = sorted({factor["feature"] for factor in term["factors"]})
        for name in names:
            shares[name] += (weights[-1] - weights[0]) * (value - centre) / len(names)
        baseline += (weights[-1] - weights[0]) * centre
    odds = [math.exp(logit - max(logits)) for logit in logits]
    return [each / sum(odds) for each in odds], list(shares.values()), baseline


def factor_of(feature: Feature) -> st.SearchStrategy[dict[str, Any]]:
    scaling = {"mean": st.floats(-2, 2), "scale": st.sampled_from([0.5, 1.0, 3.0])}
    kinds: list[dict[str, Any]] = []
    if feature.is_numeric:
        knot = st.floats(feature.minimum, feature.maximum)
        kinds = [{"above": knot}, {"below": knot}, {}]
        scaling["scale"] = st.sampled_from([10.0, 30.0])
    else:
        kinds = [{"equals": st.sampled_from(feature.choices)}]
        kinds += [{}] if feature.type == "boolean" else []
    if not feature.required:
        kinds.append({"missing": st.just(True)})
    name = {"feature": st.just(feature.name)}
    return st.one_of([st.fixed_dictionaries(name | kind, optional=scaling) for kind in kinds])


factors = st.lists(st.one_of(list(map(factor_of, WARD.features))), min_size=1, max_size=3)
terms = st.fixed_dictionaries(
    {"factors": factors, "weights": st.lists(weight, min_size=4, max_size=4)},
    optional={"centre": st.floats(-1, 1)},
)
forms = st.fixed_dictionaries(
    {
        "format": st.just("riskpredictor-scorer/2"),
        "levels": st.just(list(WARD.levels)),
        "intercepts": st.lists(weight, min_size=4, max_size=4),
        "fills": st.sampled_from([FILLS, NO_WARD, {"lactate": 1.2}]),
        "terms": st.lists(terms, min_size=1, max_size=8),
    }
)


@given(forms, values_of(WARD))
def test_scores_follow_the_definition(form: dict[str, Any], values: tuple[Any, ...]) -> None:
    scorer = LinearScorer(form, WARD)
    probabilities, contributions = scorer.score(values)
    wanted, shares, baseline = by_definition(form, values)
    assert list(probabilities) == pytest.approx(wanted, abs=1e-12)
    assert list(contributions or ()) == pytest.approx(shares, abs=1e-9)
    assert scorer.baseline == pytest.approx(baseline, abs=1e-9)


@given(forms, st.lists(values_of(WARD), min_size=1, max_size=4))
def test_a_batch_gets_the_scores_of_its_rows_to_the_last_bit(
    form: dict[str, Any], rows: list[tuple[Any, ...]]
) -> None:
    scorer = LinearScorer(form, WARD)
    many = scorer.score_many(rows)
    assert many.contributions
    batch = list(zip(many.probabilities, many.contributions, strict=True))
    assert batch == [tuple(scorer.score(row)) for row in rows]


@pytest.mark.parametrize("levels", range(2, 11))
@pytest.mark.parametrize("logit", [0.0, 5.0, 800.0, -800.0, 1e6])
def test_two_to_ten_levels_and_logits_of_any_size(levels: int, logit: float) -> None:
    """exp() of 710 overflows: the probabilities of a softmax never do."""
    names = tuple(f"L{index}" for index in range(levels))
    form = {
        "format": "riskpredictor-scorer/2",
        "levels": list(names),
        "intercepts": [logit * index for index in range(levels)],
        "terms": [],
    }
    schema = Schema(WARD.features, names)
    scorer = LinearScorer(form, schema)
    values = (16, 98.6, 1.0, False, "Alert", "A")
    probabilities = scorer.score(values).probabilities
    assert len(probabilities) == levels
    assert sum(probabilities) == pytest.approx(1)
    assert scorer.score_many([values]).probabilities == [probabilities]
    if logit > 0:
        assert probabilities[-1] == max(probabilities)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        ({"feature": "age"}, "KeyError"),
        ({"feature": "consciousness"}, "consciousness: value None does not fit its type"),
        ({"feature": "consciousness", "equals": "Asleep"}, "does not fit its type"),
        ({"feature": "consciousness", "above": 3}, "does not fit its type"),
        ({"feature": "temperature", "missing": True}, "does not fit its type"),
        ({"feature": "temperature", "equals": 98.6}, "does not fit its type"),
        ({"feature": "temperature", "above": 1, "below": 2}, "a factor is above and below"),
        ({"feature": "temperature", "above": float("inf")}, "is not a finite number"),
        ({"feature": "temperature", "scale": 0}, "scale is 0"),
        ({"feature": "lactate"}, "fills: lactate may be left out, so a value must be there"),
    ],
    ids=str,
)
def test_a_factor_that_does_not_fit_the_schema_is_refused(factor: Any, words: str) -> None:
    form = {
        "format": "riskpredictor-scorer/2",
        "levels": list(WARD.levels),
        "intercepts": [0, 0, 0, 0],
        "terms": [{"factors": [factor], "weights": [0, 0, 0, 1]}],
    }
    with pytest.raises(ValueError, match=words):
        LinearScorer(form, WARD)


@pytest.mark.parametrize(
    ("fills", "words"),
    [({"age": 1}, "unknown feature 'age'"), ({"ward": "C"}, "ward: 'C' does not fit its type")],
)
def test_a_fill_that_does_not_fit_the_schema_is_refused(fills: Any, words: str) -> None:
    form = {
        "format": "riskpredictor-scorer/2",
        "levels": list(WARD.levels),
        "intercepts": [0, 0, 0, 0],
        "terms": [],
        "fills": fills,
    }
    with pytest.raises(ValueError, match=words):
        LinearScorer(form, WARD)
