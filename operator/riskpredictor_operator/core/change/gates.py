"""Decides by the evidence of a comparison whether a candidate keeps its limits.

docs/STATISTICS.md explains what is counted and what a decision means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from riskpredictor_operator.core.change.evidence import (
    SWITCHED_OFF,
    UNUSABLE,
    Counts,
    Matrix,
    PodReport,
)
from riskpredictor_operator.core.change.figures import at_least, at_most, near, number
from riskpredictor_operator.core.change.sequence import (
    MANY_PAIRS,
    first_whole,
    interval,
    pairs_needed,
)
from riskpredictor_operator.core.conditions import some
from riskpredictor_operator.core.policy import Gates

PASSED: Final = "Passed"
PENDING: Final = "Pending"
FAILED: Final = "Failed"
NOT_APPLICABLE: Final = "NotApplicable"

DOWNGRADE: Final = "Downgrade"
SEVERE_DOWNGRADE: Final = "SevereDowngrade"
MISSED_HIGH: Final = "MissedHigh"
UPGRADE: Final = "Upgrade"
CLASS_SHIFT: Final = "ClassShift"
CANDIDATE_ERRORS: Final = "CandidateErrors"
CALIBRATION: Final = "Calibration"
CASES: Final = "Cases"

OFF: Final = 100
"""A limit in percent that switches a gate off."""

_NAMES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class GateResult:
    """What came of one gate so far; the texts are for people."""

    name: str
    state: str
    observed: str
    """Such as ``0.52 % of 2304``."""
    bound: str
    """What the true value is between, such as ``0.15 to 1.24 %``."""
    limit: str
    """Such as ``2 %``."""


def evaluate(
    gates: Gates, total: Counts, reports: Sequence[PodReport], levels: Sequence[str]
) -> tuple[GateResult, ...]:
    """Return what came of each gate.

    ``total`` is all that was counted, ``levels`` the levels of risk in ascending order, as in the
    matrix. Pods that say nothing, or nobody, can fail a gate by what they counted before; a gate
    is not passed while no pod reports. Raises ValueError if matrix and levels differ in size.
    """
    results = (
        *_of_counts(gates, total, levels),
        _candidate_errors(gates, total, reports),
        _calibration(gates, reports),
        _cases(gates, reports),
    )
    if reports:
        return results
    return tuple(replace(r, state=PENDING) if r.state == PASSED else r for r in results)


def pairs_missing(gates: Gates, total: Counts, levels: Sequence[str]) -> int:
    """Return how many more pairs, if the models agree on all of them, pass the gates of counts.

    Of the highest level there are assumed to be as many as so far, in proportion (by the rule of
    succession, (k + 1) / (n + levels), for there may have been none). MANY_PAIRS stands for that
    many, or more.
    """
    matrix = _matrix(total, levels)
    alpha = _alpha(gates)
    n, high = total.pairs, sum(matrix[-1])
    most = 0
    for share in _shares(gates, matrix, levels):
        if share.limit < OFF:
            needed = pairs_needed(share.limit, alpha, share.events)
            if needed == MANY_PAIRS:
                return MANY_PAIRS
            more = needed - share.of
            if share.name == MISSED_HIGH:
                more = -(-more * (n + len(levels)) // (high + 1))
            most = max(most, more)
    limit = gates.max_class_shift_percent / 100
    if limit < OFF / 100:
        most += first_whole(
            lambda more: all(
                -limit <= lower and upper <= limit
                for lower, upper in _shift_bounds(matrix, n + most + more, alpha)
            )
        )
    return min(most, MANY_PAIRS)


@dataclass(frozen=True, slots=True)
class _Share:
    """A gate of a share: events among pairs, and its limit in percent."""

    name: str
    events: int
    of: int
    limit: float
    what: str = ""
    """What the pairs are, if not all of them."""


def _shares(gates: Gates, matrix: Matrix, levels: Sequence[str]) -> tuple[_Share, ...]:
    n = sum(map(sum, matrix))
    lower = sum(sum(row[:k]) for k, row in enumerate(matrix))
    higher = sum(sum(row[k + 1 :]) for k, row in enumerate(matrix))
    top = matrix[-1]
    return (
        _Share(DOWNGRADE, lower, n, gates.max_downgrade_percent),
        _Share(SEVERE_DOWNGRADE, top[0], n, gates.max_severe_downgrade_percent),
        _Share(
            MISSED_HIGH, sum(top[:-1]), sum(top), gates.max_missed_high_percent, f" {levels[-1]}"
        ),
        _Share(UPGRADE, higher, n, gates.max_upgrade_percent),
    )


def _of_counts(gates: Gates, total: Counts, levels: Sequence[str]) -> Iterator[GateResult]:
    matrix = _matrix(total, levels)
    alpha = _alpha(gates)
    for share in _shares(gates, matrix, levels):
        yield _of_share(share, alpha)
    yield _class_shift(gates.max_class_shift_percent, matrix, total.pairs, levels, alpha)


def _of_share(share: _Share, alpha: float) -> GateResult:
    """Pass if the upper bound is within the limit; fail if the lower one is above."""
    observed = f"none of 0{share.what}"
    if share.of:
        value = 100 * share.events / share.of
        observed = f"{near(value, share.limit)} % of {share.of}{share.what}"
    limit = f"{number(share.limit)} %"
    if share.limit >= OFF:
        return GateResult(share.name, NOT_APPLICABLE, observed, "", limit)
    lower, upper = (100 * bound for bound in interval(share.events, share.of, alpha))
    state = PASSED if upper <= share.limit else FAILED if lower > share.limit else PENDING
    bound = f"{at_least(lower, share.limit)} to {at_most(upper, share.limit)} %"
    return GateResult(share.name, state, observed, bound, limit)


def _class_shift(
    limit: float, matrix: Matrix, n: int, levels: Sequence[str], alpha: float
) -> GateResult:
    """Judge how much the share of each level changes; tell of the one that is nearest to failing.

    Pass if the interval of every level is within the limit either way, fail if one is outside.
    """
    shown = f"{number(limit)} % either way"
    changes = [100 * (gained - lost) / n if n else 0.0 for gained, lost in _moves(matrix)]
    worst = max(range(len(levels)), key=lambda k: abs(changes[k]))

    def observed(k: int) -> str:
        if not n:
            return "none of 0"
        return f"{levels[k]} {near(changes[k], limit, sign=True)} % of {n}"

    if limit >= OFF:
        return GateResult(CLASS_SHIFT, NOT_APPLICABLE, observed(worst), "", shown)
    bounds = [(100 * lower, 100 * upper) for lower, upper in _shift_bounds(matrix, n, alpha)]
    outside = [k for k, (lower, upper) in enumerate(bounds) if lower > limit or upper < -limit]
    within = all(-limit <= lower and upper <= limit for lower, upper in bounds)
    state = FAILED if outside else PASSED if within else PENDING
    worst = (
        outside[0]
        if outside
        else max(range(len(levels)), key=lambda k: max(-bounds[k][0], bounds[k][1]))
    )
    lower, upper = bounds[worst]
    bound = (
        f"{levels[worst]} {at_least(lower, limit, sign=True)}"
        f" to {at_most(upper, limit, sign=True)} %"
    )
    return GateResult(CLASS_SHIFT, state, observed(worst), bound, shown)


def _moves(matrix: Matrix) -> Iterator[tuple[int, int]]:
    """Yield for each level the pairs that only the candidate gives it, and only the stable model.

    They are the two discordant cells of a paired comparison, as in McNemar's test.
    """
    for k, row in enumerate(matrix):
        yield sum(other[k] for other in matrix) - row[k], sum(row) - row[k]


def _shift_bounds(matrix: Matrix, n: int, alpha: float) -> Iterator[tuple[float, float]]:
    """Yield the interval of each level's change of share, candidate minus stable.

    A change is the difference of two shares, gained minus lost; each has a sequence of its own at
    alpha / (2 x levels). If all of these hold, so do all the differences (Bonferroni), at every
    look with a probability of at least 1 - alpha.
    """
    each = alpha / (2 * len(matrix))
    for gained, lost in _moves(matrix):
        gained_lower, gained_upper = interval(gained, n, each)
        lost_lower, lost_upper = interval(lost, n, each)
        yield gained_lower - lost_upper, gained_upper - lost_lower


def _candidate_errors(gates: Gates, total: Counts, reports: Sequence[PodReport]) -> GateResult:
    """Fail at once: a model is a function of its input, and has no reason to raise an error."""
    observed = f"{total.errors} error{'' if total.errors == 1 else 's'}"
    off = sorted(report.pod for report in reports if report.state == SWITCHED_OFF)
    if off:
        observed += f"; switched off in {some(off, _NAMES_SHOWN)}"
    state = PASSED if total.pairs else PENDING
    if off or total.errors > gates.max_candidate_errors:
        state = FAILED
    return GateResult(CANDIDATE_ERRORS, state, observed, "", str(gates.max_candidate_errors))


def _calibration(gates: Gates, reports: Sequence[PodReport]) -> GateResult:
    """Compare the Brier scores on the two cards; each is of records held out in that training."""
    limit = f"{number(gates.max_brier_increase)} more"

    def result(state: str, observed: str) -> GateResult:
        return GateResult(CALIBRATION, state, observed, "", limit)

    scores = [report.brier for report in reports if report.state != UNUSABLE]
    if not scores:
        return result(PENDING, "no pod has read the candidate's card yet")
    pairs = [(stable, candidate) for stable, candidate in scores if stable is not None]
    if not pairs:
        return result(NOT_APPLICABLE, "the stable model's card has no Brier score")
    increases = []
    for stable, candidate in pairs:
        if candidate is None:
            return result(
                FAILED,
                "the candidate's card has no Brier score, the stable model's has: train or package"
                " the candidate with python -m riskpredictor_server.train --data RECORDS.csv",
            )
        # In decimals: 0.13 - 0.12 is 0.01, not a little more.
        increases.append((Decimal(repr(candidate)) - Decimal(repr(stable)), stable, candidate))
    increase, stable, candidate = max(increases)
    bar = Decimal(repr(gates.max_brier_increase))
    shown = near(float(increase), gates.max_brier_increase, sign=True, places=4)
    state = FAILED if increase > bar else PASSED
    return result(state, f"Brier {_score(candidate)}, before {_score(stable)} ({shown})")


def _cases(gates: Gates, reports: Sequence[PodReport]) -> GateResult:
    """Ask for every case of the hospital; a failed one counts, whichever version of the file."""

    def result(state: str, observed: str) -> GateResult:
        return GateResult(CASES, state, observed, "", "all")

    name = f"ConfigMap {gates.cases}"
    if gates.cases is None:
        return result(NOT_APPLICABLE, "none declared")
    usable = [report for report in reports if report.state != UNUSABLE]
    found = [report.cases for report in usable if report.cases is not None]
    failed = sorted({case for cases in found for case in cases.failed})
    if failed:
        return result(FAILED, f"failed: {some(failed, _NAMES_SHOWN)}")
    if not found or len(found) < len(usable):
        return result(PENDING, f"pods have not read {name} yet")
    if not all(cases.digest for cases in found):
        return result(PENDING, f"{name} is missing, or has no key that ends in .json")
    if len({cases.digest for cases in found}) > 1:
        return result(PENDING, f"pods have different versions of {name}")
    passed = min(cases.passed for cases in found)
    if not passed:
        return result(PENDING, f"{name} has no cases")
    return result(PASSED, f"{passed} of {passed}")


def _alpha(gates: Gates) -> float:
    """Return the error probability of each gate of counts that is on: they share it equally."""
    limits = (
        gates.max_downgrade_percent,
        gates.max_severe_downgrade_percent,
        gates.max_missed_high_percent,
        gates.max_upgrade_percent,
        gates.max_class_shift_percent,
    )
    return (100 - gates.confidence_percent) / 100 / max(1, sum(limit < OFF for limit in limits))


def _matrix(total: Counts, levels: Sequence[str]) -> Matrix:
    """Return the matrix, of zeros before the first report."""
    size = len(levels)
    matrix = total.matrix or ((0,) * size,) * size
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise ValueError(f"the matrix has not {size} rows and columns, one for each level")
    return matrix


def _score(value: float) -> str:
    return near(value, math.inf, places=4)
