"""Specification of what is measured of changes of the model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY
from unit.operator.builders import KEY, Object

from riskpredictor_operator import metrics

PHASE = "riskpredictor_operator_rollout_phase"
PAIRS = "riskpredictor_operator_rollout_pairs"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    metrics.forget_predictor(KEY)


def series(name: str) -> dict[str, float]:
    """Values of this predictor by phase; the key is empty where there is no such label."""
    return {
        sample.labels.get("phase", ""): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == name and sample.labels.get("name") == KEY.name
    }


def rollout(phase: str, pairs: int | None = None) -> Object:
    return {"phase": phase, **({} if pairs is None else {"evidence": {"pairs": pairs}})}


def test_only_the_present_phase_is_reported() -> None:
    for phase in ("Shadow", "Canary", "Canary", "Aborted"):
        metrics.note_rollout(KEY, rollout(phase, 812))
        assert series(PHASE) == {phase: 1}
        assert series(PAIRS) == {"": 812}


def test_before_the_first_counts_there_are_no_pairs() -> None:
    metrics.note_rollout(KEY, rollout("Shadow"))
    assert series(PAIRS) == {"": 0}


@pytest.mark.parametrize("nothing", [None, {}], ids=repr)
def test_without_a_change_nothing_is_reported(nothing: Object | None) -> None:
    for _ in range(2):
        metrics.note_rollout(KEY, nothing)
        assert (series(PHASE), series(PAIRS)) == ({}, {})
        metrics.note_rollout(KEY, rollout("Shadow", 812))
        metrics.note_rollout(KEY, nothing)
        assert (series(PHASE), series(PAIRS)) == ({}, {})


def test_a_predictor_that_is_gone_is_not_reported() -> None:
    metrics.note_rollout(KEY, rollout("Shadow", 812))
    metrics.forget_predictor(KEY)
    assert (series(PHASE), series(PAIRS)) == ({}, {})


def test_what_has_ended_is_counted_by_outcome_and_reason() -> None:
    labels = {"outcome": "Aborted", "reason": "MissedHigh"}
    before = REGISTRY.get_sample_value("riskpredictor_operator_rollouts_total", labels) or 0
    metrics.count_outcome("Aborted", "MissedHigh")
    assert REGISTRY.get_sample_value("riskpredictor_operator_rollouts_total", labels) == before + 1
