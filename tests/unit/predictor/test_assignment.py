"""Which requests a candidate answers: the exact share, the same each time, 10 % inside 50 %."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpredictor_server.model.assignment import Assignment

KEYS = [b"subject-%d" % number for number in range(5000)]


def answered(percent: float, rollout_id: str = "a", sample: float = 100) -> set[bytes]:
    assignment = Assignment(rollout_id, percent, sample)
    return {key for key in KEYS if assignment.of(key)[0]}


@pytest.mark.parametrize("percent", [0.5, 1, 10, 33.3, 50, 99])
def test_the_share_is_exact_within_three_sigma(percent: float) -> None:
    share = percent / 100
    sigma = math.sqrt(len(KEYS) * share * (1 - share))
    assert abs(len(answered(percent)) - len(KEYS) * share) <= 3 * sigma


def test_none_and_all() -> None:
    assert answered(0) == set()
    assert answered(100) == set(KEYS)


def test_a_smaller_share_is_inside_a_larger_one() -> None:
    shares = [answered(percent) for percent in (1, 10, 50, 99)]
    assert all(small < large for small, large in pairwise(shares))


def test_another_roll_out_has_other_subjects() -> None:
    one, other = answered(10, "a"), answered(10, "b")
    assert len(one & other) < len(one) / 2


def test_the_sample_is_independent_of_who_is_answered() -> None:
    assignment = Assignment("a", 50, 50)
    found = [assignment.of(key)[:2] for key in KEYS]
    for pair in ((False, False), (False, True), (True, False), (True, True)):
        assert abs(found.count(pair) - len(KEYS) / 4) <= 3 * math.sqrt(len(KEYS) * 3 / 16)


@given(st.binary(max_size=100), st.floats(0, 100), st.floats(0, 100))
def test_a_key_is_always_assigned_alike(key: bytes, percent: float, sample: float) -> None:
    assignment = Assignment("a", percent, sample)
    assert assignment.of(key) == Assignment("a", percent, sample).of(key)
    assert assignment.marks([key]) == [assignment.of(key)[2]]
