"""A candidate's faults are counted by kind, and after three it is not asked again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import pytest
from unit.predictor.candidates import OUTCOMES, Broken
from unit.predictor.support import HEALTHY, SICK, artifact

from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.guarded_scorer import (
    SLOW_SECONDS,
    SLOW_SECONDS_PER_RECORD,
    CandidateError,
    GuardedScorer,
)
from riskpredictor_server.model.scorer import ScoredMany

ROWS = [tuple(HEALTHY.values()), tuple(SICK.values())]


class Clock:
    """A clock whose readings differ by the given seconds, in turn for each pair."""

    def __init__(self, *took: float) -> None:
        self._readings = self._read(took)

    def _read(self, took: tuple[float, ...]) -> Iterator[float]:
        for seconds in chain(took, repeat(0.0)):
            yield from (0.0, seconds)

    def __call__(self) -> float:
        return next(self._readings)


class Fixed:
    """A scorer that gives every batch the same scores."""

    def __init__(self, scored: ScoredMany) -> None:
        self.scored = scored

    def score_many(self, _rows: Any) -> ScoredMany:
        return self.scored


def guarded(scorer: Any = None, wall: Clock | None = None, cpu: Clock | None = None) -> Any:
    model = load(artifact())
    model = replace(model, scorer=scorer or model.scorer)
    return GuardedScorer(model, wall or Clock(), cpu or Clock())


def test_a_good_score_is_passed_on() -> None:
    scorer, model = guarded(), load(artifact())
    assert [scorer.score(row) for row in ROWS] == [model.scorer.score(row) for row in ROWS]
    assert scorer.score_many(ROWS) == model.scorer.score_many(ROWS)
    assert sum(scorer.errors.values()) == 0


@pytest.mark.parametrize("many", [False, True], ids=["one", "batch"])
@pytest.mark.parametrize("name", OUTCOMES)
def test_what_is_no_score_is_counted_by_kind(name: str, many: bool) -> None:
    scorer = guarded(Broken(OUTCOMES[name]))
    with pytest.raises(CandidateError):
        scorer.score_many(ROWS) if many else scorer.score(ROWS[0])
    kind = "raised" if isinstance(OUTCOMES[name], Exception) else "invalid"
    assert scorer.errors == {"raised": 0, "invalid": 0, "slow": 0, kind: 1}
    assert not scorer.switched_off


def test_a_batch_of_which_one_record_has_no_score_cannot_be_used() -> None:
    model = load(artifact())
    probabilities, shares = model.scorer.score_many(ROWS)
    for bad in ((0.9, 0.2, 0.1), (float("nan"), 0.5, 0.5), (0.5, 0.5)):
        scorer = guarded(Fixed(ScoredMany([probabilities[0], bad], shares)))
        with pytest.raises(CandidateError):
            scorer.score_many(ROWS)
        assert scorer.errors["invalid"] == 1


def test_a_batch_with_a_record_too_few_cannot_be_used() -> None:
    scorer = guarded(Fixed(load(artifact()).scorer.score_many(ROWS[1:])))
    with pytest.raises(CandidateError):
        scorer.score_many(ROWS)


def test_after_three_errors_of_any_kind_it_is_not_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = Broken(ValueError("no"))
    scorer = guarded(broken)
    with caplog.at_level(logging.WARNING, "riskpredictor"):
        for outcome in (ValueError("no"), None, ValueError("no"), None, None):
            broken.outcome = outcome
            with pytest.raises(CandidateError):
                scorer.score(ROWS[0])
    assert scorer.switched_off
    assert broken.asked == 3
    assert scorer.errors == {"raised": 2, "invalid": 1, "slow": 0}
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "ERROR"]
    assert "switched off" in caplog.records[-1].getMessage()


def test_two_errors_leave_it_in_service() -> None:
    model = load(artifact())
    broken = Broken(None)
    scorer = guarded(broken)
    for _ in range(2):
        with pytest.raises(CandidateError):
            scorer.score(ROWS[0])
    broken.outcome = model.scorer.score(ROWS[0])
    assert scorer.score(ROWS[0]) == broken.outcome


def test_cpu_time_over_the_limit_is_slow() -> None:
    scorer = guarded(wall=Clock(2 * SLOW_SECONDS), cpu=Clock(1.01 * SLOW_SECONDS))
    with pytest.raises(CandidateError):
        scorer.score(ROWS[0])
    assert scorer.errors["slow"] == 1
    assert scorer.score(ROWS[0])


def test_a_throttled_pod_or_a_pause_never_blows_the_fuse() -> None:
    """Its clock stands still while the thread does not run."""
    scorer = guarded(wall=Clock(*[0.1] * 100), cpu=Clock(*[SLOW_SECONDS / 2] * 100))
    for _ in range(100):
        scorer.score(ROWS[0])
    assert scorer.errors["slow"] == 0


def test_each_record_of_a_batch_adds_to_its_limit() -> None:
    limit = SLOW_SECONDS + 2 * SLOW_SECONDS_PER_RECORD
    quick = guarded(wall=Clock(1.0), cpu=Clock(0.99 * limit))
    quick.score_many(ROWS)
    slow = guarded(wall=Clock(1.0), cpu=Clock(1.01 * limit))
    with pytest.raises(CandidateError):
        slow.score_many(ROWS)


def test_no_text_of_an_error_is_logged_or_told(caplog: pytest.LogCaptureFixture) -> None:
    scorer = guarded(Broken(ValueError("heart rate 123.456")))
    with caplog.at_level(logging.DEBUG), pytest.raises(CandidateError) as raised:
        scorer.score(ROWS[0])
    assert raised.value.__cause__ is None
    assert "ValueError" in caplog.text
    assert "123.456" not in caplog.text + str(raised.value) + scorer.told()
