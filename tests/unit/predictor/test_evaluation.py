"""Figures of a model card: what they are, how far they may be off, that no split flatters them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.training.calibration import calibration
from riskpredictor_server.training.csv_file import RecordsError
from riskpredictor_server.training.evaluation import evaluate, summary
from riskpredictor_server.training.intervals import RESAMPLES
from riskpredictor_server.training.split import (
    Part,
    duplicates,
    folds_of,
    shared,
    split,
)

LEVELS = VITALS.levels


def drawn(count: int, seed: int = 0) -> tuple[Any, list[str]]:
    """Probabilities, and levels that are drawn from them: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, 3)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    chosen = (probabilities.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return probabilities, [LEVELS[k] for k in chosen]


def test_a_tie_goes_to_the_higher_level() -> None:
    tie = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.3, 0.3, 0.4]])
    metrics = evaluate(tie, ["Medium", "High", "High"], LEVELS)
    assert metrics["accuracy"] == 1
    assert [VITALS.levels[VITALS.level_of(row)] for row in tie.tolist()] == [
        "Medium",
        "High",
        "High",
    ]


def test_log_loss_is_that_of_scikit_learn_also_of_certain_answers() -> None:
    certain = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.25, 0.25]])
    truth = ["High", "Medium", "Low"]
    metrics = evaluate(certain, truth, LEVELS)
    # scikit-learn's columns are sorted by name.
    theirs = log_loss(truth, certain[:, [2, 0, 1]], labels=sorted(LEVELS))
    assert metrics["log_loss"] == pytest.approx(theirs, rel=1e-12)
    assert 12 < metrics["log_loss"] < 13


def test_probabilities_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        evaluate(np.array([[np.nan, 0.5, 0.5]]), ["Low"], LEVELS)


@pytest.mark.parametrize(
    ("slope", "shift"), [(1.0, 0.0), (2.0, 0.0), (0.5, 0.0), (1.0, 1.0), (1.0, -1.0)]
)
def test_intercept_and_slope_tell_how_probabilities_are_wrong(slope: float, shift: float) -> None:
    """Of log odds that are told ``slope`` times as large, and ``shift`` too high."""
    rng = np.random.default_rng(4)
    odds = rng.normal(size=100_000) * 1.5
    outcome = rng.random(100_000) < expit(odds)
    found = calibration(expit(odds * slope + shift), outcome)
    assert found["slope"] == pytest.approx(1 / slope, abs=0.03)
    if slope == 1:
        assert found["intercept"] == pytest.approx(-shift, abs=0.03)


def test_calibration_is_unknown_where_outcomes_do_not_tell() -> None:
    p = np.array([0.1, 0.2, 0.8, 0.9])
    alike = calibration(p, np.array([False] * 4))
    apart = calibration(p, p > 0.5)
    assert alike == {"intercept": None, "slope": None}
    assert apart["slope"] is None
    assert apart["intercept"] == pytest.approx(0, abs=1e-9)


def test_calibration_names_what_it_is_of() -> None:
    assert evaluate(*drawn(100), LEVELS)["calibration"]["of"] == "High against the other levels"


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """A model of known accuracy, evaluated on 20 samples of 200: 19 are expected."""
    probabilities, truth = drawn(200_000, seed=1)
    known = float((probabilities.argmax(axis=1) == [LEVELS.index(t) for t in truth]).mean())
    held = 0
    for i in range(20):
        part = slice(i * 200, (i + 1) * 200)
        low, high = evaluate(probabilities[part], truth[part], LEVELS)["intervals"]["accuracy"]
        held += low <= known <= high
    assert held >= 17


def test_intervals_are_around_their_figure_and_depend_on_the_seed_alone() -> None:
    probabilities, truth = drawn(500)
    metrics = evaluate(probabilities, truth, LEVELS, seed=5)
    ranges = metrics["intervals"]
    pairs = [
        (ranges["accuracy"], metrics["accuracy"]),
        (ranges["calibration_intercept"], metrics["calibration"]["intercept"]),
        (ranges["calibration_slope"], metrics["calibration"]["slope"]),
        *((ranges["recall"][level], metrics["per_class"][level]["recall"]) for level in LEVELS),
    ]
    assert all(low < figure < high for (low, high), figure in pairs)
    assert ranges["method"] == f"bootstrap of records, percentiles of {RESAMPLES} resamples, seed 5"
    assert evaluate(probabilities, truth, LEVELS, seed=5) == metrics
    assert (
        evaluate(probabilities, truth, LEVELS, seed=6)["intervals"]["accuracy"]
        != ranges["accuracy"]
    )


def test_many_records_of_few_patients_are_less_sure() -> None:
    """Ten copies of each record say no more than one."""
    probabilities, truth = drawn(100)
    often, labels = np.repeat(probabilities, 10, axis=0), [t for t in truth for _ in range(10)]
    groups = [str(i // 10) for i in range(1000)]

    def width(**more: Any) -> float:
        low, high = evaluate(often, labels, LEVELS, **more)["intervals"]["accuracy"]
        return float(high - low)

    assert width(groups=groups) > 2.5 * width()
    assert "bootstrap of groups" in evaluate(often, labels, LEVELS, groups)["intervals"]["method"]


def test_the_recall_of_a_level_that_hardly_occurs_has_no_interval() -> None:
    probabilities, _ = drawn(50)
    metrics = evaluate(probabilities, ["Low"] * 49 + ["High"], LEVELS)
    assert metrics["intervals"]["recall"]["High"] is None
    assert metrics["intervals"]["recall"]["Medium"] is None
    assert metrics["intervals"]["recall"]["Low"] is not None
    assert "of 1" in summary(metrics)


def test_a_figure_that_is_the_same_in_all_resamples_has_no_interval() -> None:
    """That twelve of twelve were right does not say that all will be."""
    right = np.eye(3)[[0] * 12 + [2] * 12]
    metrics = evaluate(right, ["Low"] * 12 + ["High"] * 12, LEVELS)
    assert metrics["accuracy"] == metrics["per_class"]["High"]["recall"] == 1
    assert metrics["intervals"]["accuracy"] is None
    assert metrics["intervals"]["recall"]["High"] is None


def test_the_summary_has_intervals_and_the_slope() -> None:
    text = summary(evaluate(*drawn(500), LEVELS))
    assert "held-out accuracy 0." in text
    assert " to 0." in text
    assert "calibration slope " in text


ROWS = [(float(i),) for i in range(400)]
LABELS = [LEVELS[i // 2 % 3] for i in range(400)]
GROUPS = [f"P{i // 4}" for i in range(400)]


def test_no_patient_is_on_both_sides_of_a_split() -> None:
    for seed in range(5):
        known, unseen = split(ROWS, LABELS, GROUPS, seed)
        assert known.groups
        assert unseen.groups
        assert not set(known.groups) & set(unseen.groups)
        assert len(known.rows) + len(unseen.rows) == 400
        assert 80 <= len(unseen.rows) <= 120
        for fitted, rest in folds_of(known, seed):
            assert not set(fitted.groups or ()) & set(rest.groups or ())
            assert sorted(fitted.rows + rest.rows) == sorted(known.rows)


def test_without_groups_levels_keep_their_shares() -> None:
    known, unseen = split(ROWS, LABELS, None, 0)
    assert len(unseen.rows) == 100
    for level in LEVELS:
        assert abs(unseen.labels.count(level) / 100 - LABELS.count(level) / 400) < 0.01
    assert not set(known.rows) & set(unseen.rows)


def test_too_few_groups_are_told() -> None:
    with pytest.raises(RecordsError, match="3 groups: at least 20 are needed"):
        split(ROWS, LABELS, [str(i % 3) for i in range(400)], 0)


def test_a_level_of_one_patient_cannot_be_split() -> None:
    labels = ["High" if group == "P7" else "Low" for group in GROUPS]
    with pytest.raises(RecordsError, match="no record of High among those that are"):
        split(ROWS, labels, GROUPS, 0)


def test_duplicates_and_contradictions_are_counted() -> None:
    rows = [(1.0,), (1.0,), (1.0,), (2.0,), (2.0,), (3.0,)]
    labels = ["Low", "Low", "Low", "Low", "High", "High"]
    assert duplicates(rows, labels) == (2, 2)
    assert duplicates([(1,), (1.0,), (True,)], ["Low"] * 3) == (2, 0)
    assert duplicates(rows[3:], ["Low", "Low", "High"]) == (1, 0)


def test_records_on_both_sides_are_counted() -> None:
    known = Part([(1.0,), (2.0,)], ["Low", "Low"], None)
    assert shared(known, Part([(2.0,), (3.0,), (2.0,)], ["Low", "High", "High"], None)) == 2
