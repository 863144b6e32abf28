"""Bounds a proportion by a confidence sequence: valid at every look, however often one looks.

Robbins (1970); Howard, Ramdas, McAuliffe and Sekhon (2021), Time-uniform, nonparametric,
nonasymptotic confidence sequences. With a beta mixture for counts, as in Lindon and Malek (2022),
Anytime-Valid Inference for Multinomial Count Data.
"""

from __future__ import annotations

from collections.abc import Callable
from math import lgamma, log, log1p
from typing import Final

MANY_PAIRS: Final = 10_000_000
"""The most pairs that are searched for: no practice sees more."""

PRIOR: Final = (1.0, 99.0)
"""Beta prior of the mixture. Narrowest near 1 %, where the limits are; valid everywhere."""

_HALVINGS: Final = 52


def interval(
    successes: int, n: int, alpha: float, a: float = PRIOR[0], b: float = PRIOR[1]
) -> tuple[float, float]:
    """Return the lower and the upper bound of a proportion, between 0 and 1.

    The probability that the true proportion is ever outside, at any n, is at most ``alpha``.
    ``a`` and ``b`` are the parameters of the mixing beta distribution. Both bounds rise with the
    successes and fall with n. Raises ValueError for counts or parameters that mean nothing.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be 0 to n ({n}), not {successes}")
    if not 0 < alpha < 1 or a <= 0 or b <= 0:
        raise ValueError(f"alpha must be between 0 and 1, a and b above 0: {alpha}, {a}, {b}")
    observed = successes / n if n else 0.5
    misses = n - successes
    # Where the e-value is 1 / alpha. It is convex, and at most 1 at the observed proportion.
    level = _log_mixture(successes, misses, a, b) + log(alpha)

    def refuted(proportion: float) -> bool:
        return successes * log(proportion) + misses * log1p(-proportion) <= level

    lower = _edge(refuted, 0.0, observed) if successes else 0.0
    upper = _edge(refuted, 1.0, observed) if misses else 1.0
    return lower, upper


def log_e_value(
    successes: int, n: int, proportion: float, a: float = PRIOR[0], b: float = PRIOR[1]
) -> float:
    """Return the logarithm of the evidence against a true proportion between 0 and 1.

    E = B(a + s, b + n - s) / B(a, b) / (p^s (1 - p)^(n - s)) is a martingale that starts at 1 if p
    is true; by Ville's inequality it ever reaches 1 / alpha with a probability of at most alpha.
    """
    misses = n - successes
    likelihood = successes * log(proportion) + misses * log1p(-proportion)
    return _log_mixture(successes, misses, a, b) - likelihood


def pairs_needed(limit_percent: float, alpha: float, events: int) -> int:
    """Return the pairs, ``events`` of them events, whose upper bound is within the limit.

    MANY_PAIRS stands for that many, or more; a limit of 0 is never reached.
    """
    limit = limit_percent / 100
    if limit >= 1:
        return events
    evidence = -log(alpha)
    return first_whole(lambda n: n * limit > events and log_e_value(events, n, limit) >= evidence)


def first_whole(holds: Callable[[int], bool]) -> int:
    """Return the first whole number from 0 from which a condition holds, at most MANY_PAIRS.

    The condition has to stay true once it is.
    """
    if holds(0):
        return 0
    high = 1
    while not holds(high):
        if high >= MANY_PAIRS:
            return MANY_PAIRS
        high = min(2 * high, MANY_PAIRS)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _edge(refuted: Callable[[float], bool], outside: float, inside: float) -> float:
    """Return where refuted proportions begin between two, to the safe side."""
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        if middle in (outside, inside):  # no number is between: the bound is 1, but for rounding
            break
        outside, inside = (middle, inside) if refuted(middle) else (outside, middle)
    return outside


def _log_mixture(successes: int, misses: int, a: float, b: float) -> float:
    """Return the logarithm of the mean likelihood over the mixing distribution."""
    return _log_beta(a + successes, b + misses) - _log_beta(a, b)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
