"""The confidence sequence: bounds that hold at every look. Checked against scipy."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import betaln

from riskpredictor_operator.core.change.sequence import (
    MANY_PAIRS,
    first_whole,
    interval,
    log_e_value,
    pairs_needed,
)

ALPHAS = st.sampled_from((0.05, 0.01, 0.01 / 6))
COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def scipy_log_e_value(s: int, n: int, p: float, a: float, b: float) -> float:
    return float(betaln(a + s, b + n - s) - betaln(a, b) - s * np.log(p) - (n - s) * np.log1p(-p))


def scipy_interval(s: int, n: int, alpha: float, a: float, b: float) -> tuple[float, float]:
    def above(p: float) -> float:
        return scipy_log_e_value(s, n, p, a, b) + log(alpha)

    lower = brentq(above, 1e-300, min(s / n, 1 - 1e-15), xtol=1e-15) if s else 0.0
    upper = brentq(above, s / n or 1e-300, 1 - 1e-16, xtol=1e-15) if s < n else 1.0
    return lower, upper


@given(COUNTS, ALPHAS)
def test_what_was_observed_is_between_the_bounds(counts: tuple[int, int], alpha: float) -> None:
    s, n = counts
    lower, upper = interval(s, n, alpha)
    assert 0 <= lower <= s / n <= upper <= 1


@given(COUNTS, ALPHAS)
def test_both_bounds_fall_with_n(counts: tuple[int, int], alpha: float) -> None:
    s, n = counts
    before, after = interval(s, n, alpha), interval(s, n + 1, alpha)
    assert after[0] <= before[0]
    assert after[1] <= before[1]


@given(COUNTS, ALPHAS)
def test_both_bounds_rise_with_the_successes(counts: tuple[int, int], alpha: float) -> None:
    s, n = counts
    fewer, more = interval(s, n + 1, alpha), interval(s + 1, n + 1, alpha)
    assert fewer[0] <= more[0]
    assert fewer[1] <= more[1]


@given(COUNTS)
def test_a_smaller_alpha_gives_wider_bounds(counts: tuple[int, int]) -> None:
    narrow, wide = interval(*counts, 0.05), interval(*counts, 0.001)
    assert wide[0] <= narrow[0]
    assert narrow[1] <= wide[1]


@pytest.mark.parametrize("prior", [(1.0, 99.0), (0.5, 0.5), (2.0, 30.0)])
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.01 / 6])
@pytest.mark.parametrize(
    ("s", "n"), [(0, 1), (1, 1), (0, 297), (1, 429), (3, 642), (12, 2304), (250, 500), (90, 90),
                 (40, 200_000)]
)  # fmt: skip
def test_the_bounds_are_those_of_scipy(
    s: int, n: int, alpha: float, prior: tuple[float, float]
) -> None:
    assert interval(s, n, alpha, *prior) == pytest.approx(
        scipy_interval(s, n, alpha, *prior), rel=0, abs=1e-9
    )


@pytest.mark.parametrize(("s", "n", "p"), [(0, 100, 0.02), (3, 642, 0.005), (12, 2304, 0.01)])
def test_the_evidence_is_that_of_scipy(s: int, n: int, p: float) -> None:
    assert log_e_value(s, n, p) == pytest.approx(scipy_log_e_value(s, n, p, 1, 99), abs=1e-9)


@pytest.mark.parametrize("p", [0.005, 0.02, 0.3])
def test_the_evidence_against_what_is_true_is_1_on_average_at_every_n(p: float) -> None:
    """It is a martingale: the expectation over the next pair is the present value."""
    for n in range(30):
        for s in range(n + 1):
            hit, miss = exp(log_e_value(s + 1, n + 1, p)), exp(log_e_value(s, n + 1, p))
            assert p * hit + (1 - p) * miss == pytest.approx(exp(log_e_value(s, n, p)), rel=1e-9)


@pytest.mark.parametrize("p", [0.0, 1.0], ids=["never", "always"])
def test_what_never_or_always_happens_stays_between_the_bounds(p: float) -> None:
    for n in (1, 10, 100_000):
        lower, upper = interval(int(p * n), n, 0.05)
        assert lower <= p <= upper


def test_nothing_is_known_before_the_first_pair() -> None:
    assert interval(0, 0, 0.05) == (0.0, 1.0)


# A fixed-n interval of the same confidence, looked at as often, misses far more often.
@pytest.mark.parametrize("p", [0.005, 0.02, 0.1])
def test_the_truth_is_outside_at_any_of_1000_looks_in_at_most_alpha_of_the_sequences(
    p: float,
) -> None:
    looks, sequences, alpha = 1000, 1000, 0.05
    draws = np.random.default_rng(13).random((sequences, looks)) < p
    s, n = draws.cumsum(axis=1), np.arange(1, looks + 1)
    evidence = betaln(1 + s, 99 + n - s) - betaln(1, 99) - s * log(p) - (n - s) * np.log1p(-p)
    ever_outside = (evidence >= -log(alpha)).any(axis=1)
    by_chance = 3 * sqrt(alpha * (1 - alpha) / sequences)
    assert 0 < ever_outside.mean() <= alpha + by_chance
    # What was simulated is what the bounds say, of those that were outside and of some others.
    for row in [*ever_outside.nonzero()[0][:5], *range(5)]:
        look = int(evidence[row].argmax())
        lower, upper = interval(int(s[row, look]), look + 1, alpha)
        assert (lower < p < upper) != ever_outside[row]


# Zero, one and three events; alpha alone, and shared by five gates.
@pytest.mark.parametrize(
    ("alpha", "limit", "pairs"),
    [
        (0.05, 5, (69, 122, 208)),
        (0.05, 2, (204, 328, 530)),
        (0.05, 1, (473, 718, 1118)),
        (0.05, 0.5, (1095, 1591, 2398)),
        (0.05, 0.1, (7308, 9912, 14135)),
        (0.01, 10, (48, 78, 126)),
        (0.01, 5, (104, 160, 250)),
        (0.01, 2, (297, 429, 642)),
        (0.01, 1, (662, 923, 1347)),
        (0.01, 0.5, (1470, 1998, 2853)),
    ],
)
def test_as_many_pairs_are_needed_for_a_limit(
    alpha: float, limit: float, pairs: tuple[int, int, int]
) -> None:
    assert tuple(pairs_needed(limit, alpha, events) for events in (0, 1, 3)) == pairs


@given(st.sampled_from((0.5, 1, 2, 5, 10)), ALPHAS, st.integers(0, 40))
def test_one_pair_fewer_than_needed_is_not_enough(limit: float, alpha: float, events: int) -> None:
    needed = pairs_needed(limit, alpha, events)
    assert interval(events, needed, alpha)[1] <= limit / 100
    assert interval(events, needed - 1, alpha)[1] > limit / 100


def test_no_number_of_pairs_shows_that_something_never_happens() -> None:
    assert pairs_needed(0, 0.05, 0) == MANY_PAIRS


def test_what_may_always_happen_needs_no_pairs() -> None:
    assert pairs_needed(100, 0.05, 0) == 0


@given(st.integers(0, 5000))
def test_the_first_whole_number_is_found(first: int) -> None:
    assert first_whole(lambda n: n >= first) == first


def test_a_search_ends() -> None:
    assert first_whole(lambda _: False) == MANY_PAIRS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 5, 0.05), "successes"),
        ((6, 5, 0.05), "successes"),
        ((1, 5, 0.0), "alpha"),
        ((1, 5, 1.0), "alpha"),
        ((1, 5, 0.05, 0.0, 1.0), "alpha"),
        ((1, 5, 0.05, 1.0, -1.0), "alpha"),
    ],
)
def test_what_means_nothing_is_refused(
    arguments: tuple[int, int, float] | tuple[int, int, float, float, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        interval(*arguments)
