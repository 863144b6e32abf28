"""How often do the gates decide wrongly, and after how many pairs do they decide?

``PYTHONPATH=tests:operator python -m bench.safe_change [--simulate 2000] [--seed 1]``

Pairs are drawn with rates that are known, and the gates are asked after every ten. Beside them: a
test for a fixed number of pairs that is looked at as often, and an unpaired canary.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import cache
from math import inf, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv
from scipy.stats import norm

from riskpredictor_operator.core.change.evidence import COMPARING, Counts, PodReport
from riskpredictor_operator.core.change.gates import FAILED, PASSED, PENDING, evaluate
from riskpredictor_operator.core.change.sequence import interval
from riskpredictor_operator.core.policy import Gates

LEVELS: Final = ("Low", "Medium", "High")
GATES: Final = Gates(None, 2, 0.5, 5, 10, 5, 0.01, 0, 95)
"""The defaults of spec.rollout.gates."""
NAMES: Final = ("Downgrade", "SevereDowngrade", "MissedHigh", "Upgrade", "ClassShift")
ALPHA: Final = 0.05
EACH: Final = ALPHA / len(NAMES)
REPORT: Final = PodReport(
    "pod", "i", "id", LEVELS, COMPARING, "", "", "s", "v2", "c", Counts(), None, (None, None)
)
MIX: Final = (0.6, 0.3, 0.1)
"""Shares of the stable model's levels."""
EVERY: Final = 10
"""Pairs between two looks."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Bounds = Callable[[int, int, float], tuple[float, float]]
Decisions = tuple[Bools, Bools]
"""Passed and failed, by sequence and look."""

AT_THE_LIMIT: Final[dict[str, dict[str, float]]] = {
    "Downgrade": {"Medium Low": 2},
    "SevereDowngrade": {"High Low": 0.5},
    "MissedHigh": {"High Medium": 0.5},
    "Upgrade": {"Low Medium": 5, "Medium High": 5},
    "ClassShift": {"Low Medium": 5},
    "all five": {"High Low": 0.5, "Medium Low": 1.5, "Low Medium": 7, "Medium High": 3},
}
"""Percent of the pairs that move, so that the gate is exactly at its limit; all five at once in the
last: 2 % lower, 0.5 % from High to Low, 5 % of High missed, 10 % higher, Low 5 % rarer."""

TRUE_RATES: Final[dict[str, tuple[str, tuple[float, ...]]]] = {
    "Downgrade": ("Medium Low", (0, 0.5, 1, 3, 5, 10)),
    "SevereDowngrade": ("High Low", (0, 0.1, 1, 2)),
}


def draw(moved: dict[str, float], sequences: int, pairs: int, random: np.random.Generator) -> Ints:
    """Return the counts so far, of shape (sequences, looks, 3, 3)."""
    rates = np.diag(MIX)
    for move, percent in moved.items():
        stable, candidate = (LEVELS.index(level) for level in move.split())
        rates[stable, stable] -= percent / 100
        rates[stable, candidate] += percent / 100
    looks = random.multinomial(EVERY, rates.ravel(), size=(sequences, pairs // EVERY))
    return looks.cumsum(axis=1).reshape(sequences, -1, 3, 3)


@cache
def bounds_of(s: int, n: int, alpha: float) -> tuple[float, float]:
    """Return what the operator computes."""
    return interval(s, n, alpha)


@cache
def fixed_n(s: int, n: int, alpha: float) -> tuple[float, float]:
    """Return the bounds of Clopper and Pearson (1934), each one-sided at alpha."""
    lower = float(betaincinv(s, n - s + 1, alpha)) if s else 0.0
    upper = float(betaincinv(s + 1, n - s, 1 - alpha)) if s < n else 1.0
    return lower, upper


def bounds(
    s: Ints, n: Ints, alpha: float, method: Bounds = bounds_of
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and the upper bounds of arrays of counts, in percent."""
    pairs, where = np.unique(np.stack([s.ravel(), n.ravel()]), axis=1, return_inverse=True)
    found = np.array([method(int(a), int(b), alpha) for a, b in pairs.T])[where.ravel()]
    lower, upper = (100 * found.reshape(*s.shape, 2)).transpose(-1, *range(s.ndim))
    return lower, upper


def decisions(counts: Ints, name: str, method: Bounds = bounds_of) -> Decisions:
    """Return what the gate decides at each look; as core/change/gates.py does, for arrays."""
    n = counts.sum(axis=(2, 3))
    if name == "ClassShift":
        return _class_shift(counts, n)
    lower_triangle = np.tril(np.ones((3, 3), int), -1)
    s, of_pairs, limit = {
        "Downgrade": ((counts * lower_triangle).sum(axis=(2, 3)), n, 2.0),
        "SevereDowngrade": (counts[..., 2, 0], n, 0.5),
        "MissedHigh": (counts[..., 2, :2].sum(axis=2), counts[..., 2, :].sum(axis=2), 5.0),
        "Upgrade": ((counts * lower_triangle.T).sum(axis=(2, 3)), n, 10.0),
    }[name]
    lower, upper = bounds(s, of_pairs, EACH, method)
    return upper <= limit, lower > limit


def _class_shift(counts: Ints, n: Ints) -> Decisions:
    limit = GATES.max_class_shift_percent
    passed, failed = np.ones(n.shape, bool), np.zeros(n.shape, bool)
    for k in range(3):
        kept = counts[..., k, k]
        gained = bounds(counts[..., :, k].sum(axis=2) - kept, n, EACH / 6)
        lost = bounds(counts[..., k, :].sum(axis=2) - kept, n, EACH / 6)
        lower, upper = gained[0] - lost[1], gained[1] - lost[0]
        passed &= (lower >= -limit) & (upper <= limit)
        failed |= (lower > limit) | (upper < -limit)
    return passed, failed


def check(counts: Ints, found: dict[str, Decisions], random: np.random.Generator) -> None:
    """Fail if the arrays say anything else than the operator does, at some looks."""
    for row, look in zip(
        random.integers(counts.shape[0], size=100), random.integers(counts.shape[1], size=100),
        strict=True,
    ):  # fmt: skip
        matrix = tuple(tuple(map(int, line)) for line in counts[row, look])
        for result in evaluate(GATES, Counts(matrix), [REPORT], LEVELS):
            if result.name in found:
                passed, failed = (each[row, look] for each in found[result.name])
                mine = PASSED if passed else FAILED if failed else PENDING
                if mine != result.state:
                    raise AssertionError(f"{matrix}: {mine}, the operator says {result}")


def wrong(sequences: int, random: np.random.Generator) -> bool:
    """Print the share of sequences that are ever decided, with the truth at a gate's limit.

    Return whether any is above its alpha by more than three standard errors. At the limit both
    decisions are wrong.
    """
    print(f"{sequences} sequences of 4000 pairs with the truth at a limit, a look every {EVERY}\n")
    print("| at its limit | alpha | failed | passed | fixed-n failed | fixed-n passed |")
    print("| --- | --- | --- | --- | --- | --- |")
    too_often = False
    for name, moved in AT_THE_LIMIT.items():
        counts = draw(moved, sequences, 4000, random)
        if name == "all five":
            found = {gate: decisions(counts, gate) for gate in NAMES}
            check(counts, found, random)
            failed = np.any([each[1].any(axis=1) for each in found.values()], axis=0).mean()
            passed = np.all([each[0] for each in found.values()], axis=0).any(axis=1).mean()
            alpha, fixed = ALPHA, ("", "")
        else:
            alpha = EACH
            passed, failed = (each.any(axis=1).mean() for each in decisions(counts, name))
            fixed = ("", "")
            if name != "ClassShift":
                peer = decisions(counts, name, fixed_n)
                fixed = (percent(peer[1].any(axis=1).mean()), percent(peer[0].any(axis=1).mean()))
        by_chance = 3 * sqrt(alpha * (1 - alpha) / sequences)
        too_often |= bool(max(failed, passed) > alpha + by_chance)
        row = (name, percent(alpha), percent(failed), percent(passed), *fixed)
        print(f"| {' | '.join(row)} |", flush=True)
    return too_often


def times(sequences: int, random: np.random.Generator) -> None:
    """Print how many pairs each gate needs, by the true rate, beside an unpaired canary."""
    print(f"\nPairs until a decision, of {sequences} sequences of at most 10000\n")
    print("| gate, limit | true | passed | failed | median | p90 | unpaired 10 % canary |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (move, rates) in TRUE_RATES.items():
        limit = GATES.max_downgrade_percent if name == "Downgrade" else 0.5
        for rate in rates:
            counts = draw({move: rate}, sequences, 10_000, random)
            passed, failed = decisions(counts, name)
            decided = passed | failed
            first = np.where(decided.any(axis=1), (decided.argmax(axis=1) + 1) * EVERY, inf)
            at = np.minimum(decided.argmax(axis=1), decided.shape[1] - 1)
            rows = np.arange(sequences)
            row = (
                f"{name}, {limit:g} %",
                f"{rate:g} %",
                percent((passed[rows, at]).mean()),
                percent((failed[rows, at]).mean()),
                pairs(float(np.quantile(first, 0.5, method="lower"))),
                pairs(float(np.quantile(first, 0.9, method="lower"))),
                pairs(unpaired(rate)),
            )
            print(f"| {' | '.join(row)} |", flush=True)


def unpaired(rate: float, share: float = 0.1, power: float = 0.8) -> float:
    """Return the requests that a canary with a share of them needs to see so many downgrades.

    It sees only that Low is more frequent than in the other group: the test of two proportions
    (normal approximation), planned for one look, one-sided at EACH with that power.
    """
    if not rate:
        return inf
    low, more = MIX[0], MIX[0] + rate / 100
    variance = more * (1 - more) / share + low * (1 - low) / (1 - share)
    z = float(norm.ppf(1 - EACH) + norm.ppf(power))
    return variance * (z / (more - low)) ** 2


def percent(share: float) -> str:
    """Write a share."""
    return f"{100 * share:.1f} %"


def pairs(number: float) -> str:
    """Write a number of pairs."""
    return f"{number:,.0f}" if number < inf else "never"


def main() -> int:
    """Simulate; 1 if a gate is wrong more often than it may be."""
    parser = argparse.ArgumentParser(prog="python -m bench.safe_change")
    parser.add_argument("--simulate", type=int, default=2000, metavar="N", help="sequences")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    too_often = wrong(options.simulate, random)
    times(max(1, options.simulate // 4), random)
    if too_often:
        print("\na gate is wrong more often than alpha, and not by chance")
    return 1 if too_often else 0


if __name__ == "__main__":
    sys.exit(main())
