"""What pods have counted while they compared two models: ``GET /rollout``, read and added up."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from riskpredictor_operator.core.conditions import shortened
from riskpredictor_operator.kube import Body

Matrix = tuple[tuple[int, ...], ...]
"""Pairs by level of the stable model (rows) and of the candidate (columns), in ascending order of
risk; empty before the first report."""

COMPARING: Final = "Comparing"
NOT_COMPARABLE: Final = "NotComparable"
UNUSABLE: Final = "Unusable"
SWITCHED_OFF: Final = "SwitchedOff"
STATES: Final = frozenset({COMPARING, NOT_COMPARABLE, UNUSABLE, SWITCHED_OFF})

REPORT_LIMIT: Final = 64 * 1024
"""Bytes of a report."""
_COUNT_LIMIT: Final = 10**12
"""Counts are below it, so that the sum of many pods is a number that a status can hold."""
_LEVELS_LIMIT: Final = 20
_CASES_LIMIT: Final = 100
_TEXT_LIMIT: Final = 256
_MESSAGE_LIMIT: Final = 1024


class ReportError(ValueError):
    """A report that cannot be used; names the field and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of one pod, or the sum of several."""

    matrix: Matrix = ()
    errors: int = 0
    """Requests that the candidate failed to score in time, or at all."""
    withheld: int = 0
    """Answers of the candidate that the guard held back."""
    answered: int = 0
    """Answers of the candidate."""

    @property
    def pairs(self) -> int:
        """Distinct inputs that both models have scored."""
        return sum(map(sum, self.matrix))

    def __add__(self, other: Counts) -> Counts:
        longer, shorter = sorted((self.matrix, other.matrix), key=len, reverse=True)
        matrix = longer
        if shorter:
            matrix = tuple(
                tuple(a + b for a, b in zip(row, beside, strict=True))
                for row, beside in zip(longer, shorter, strict=True)
            )
        return Counts(
            matrix,
            self.errors + other.errors,
            self.withheld + other.withheld,
            self.answered + other.answered,
        )

    def to_document(self) -> dict[str, Any]:
        """As it is kept in the status: ``{matrix, errors, withheld, answered}``."""
        return {
            "matrix": [list(row) for row in self.matrix],
            "errors": self.errors,
            "withheld": self.withheld,
            "answered": self.answered,
        }

    @classmethod
    def from_document(cls, document: Body | None) -> Counts:
        """The inverse of ``to_document``. What is absent or unusable, because somebody edited the
        status, counts as nothing: with fewer pairs a step takes longer and decides no worse."""
        try:
            matrix = _matrix(document or {}, "matrix") if (document or {}).get("matrix") else ()
            names = ("errors", "withheld", "answered")
            return cls(matrix, *(_count(document or {}, name, "", 0) for name in names))
        except ReportError:
            return cls()


@dataclass(frozen=True, slots=True)
class Cases:
    """What came of the hospital's own cases."""

    digest: str
    """Of the file; empty where there is none."""
    passed: int
    failed: tuple[str, ...]
    """Their names."""


@dataclass(frozen=True, slots=True)
class PodReport:
    """What one pod answers to ``GET /rollout``."""

    pod: str
    instance: str
    rollout_id: str
    levels: tuple[str, ...]
    state: str
    reason: str
    message: str
    stable_digest: str
    candidate_version: str
    candidate_digest: str
    counts: Counts
    cases: Cases | None
    brier: tuple[float | None, float | None]
    """Brier scores on the cards of the stable model and of the candidate."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a comparison."""

    rollout_id: str
    reports: tuple[PodReport, ...]
    carried: Counts
    """Of pods that are gone."""
    unreachable: tuple[str, ...] = ()
    """Pods that have not answered for two minutes."""
    unaware: tuple[str, ...] = ()
    """Pods whose server knows no comparison: an older image."""
    unheard: tuple[str, ...] = ()
    """Pods that are ready, and have not been heard of yet."""
    refused: tuple[str, ...] = ()
    """Pods whose last report was not counted, each with the reason: ``risk-1: matrix: missing``."""

    @property
    def total(self) -> Counts:
        """All that was counted."""
        return sum((report.counts for report in self.reports), self.carried)


def parse_report(pod: str, content: bytes) -> PodReport:
    """Read what a pod answers to ``GET /rollout``; fields that are not known are left aside.

    Without a candidate its ``state``, version and digest are empty.

    Args:
        pod: its name.
        content: the body of the answer.

    Raises:
        ReportError: it is no such report.
    """
    report = _object(content)
    levels = _texts(report, "levels", "", _LEVELS_LIMIT)
    if not levels or len(set(levels)) < len(levels):
        _refuse("levels", "must be different names, at least one")
    matrix = _matrix(report, "matrix")
    if len(matrix) != len(levels):
        _refuse("matrix", f"has {len(matrix)} rows for {len(levels)} levels")
    if _count(report, "pairs") != sum(map(sum, matrix)):
        _refuse("pairs", f"{report['pairs']} is not the sum of the matrix")
    instance = _text(report, "instance")
    if not instance:
        _refuse("instance", "must not be empty")
    candidate = _map(report, "candidate", null=True) or {}
    state = _text(candidate, "state", "candidate.") if candidate else ""
    if candidate and state not in STATES:
        _refuse("candidate.state", f"{state!r} is none of {', '.join(sorted(STATES))}")
    reason, version, digest = (
        _text(candidate, name, "candidate.", "") for name in ("reason", "version", "digest")
    )
    message = _text(candidate, "message", "candidate.", "", REPORT_LIMIT)
    errors, brier = _map(report, "errors"), _map(report, "brier")
    return PodReport(
        pod=pod,
        instance=instance,
        rollout_id=_text(report, "id"),
        levels=levels,
        state=state,
        reason=reason,
        message=shortened(message, _MESSAGE_LIMIT),
        stable_digest=_text(_map(report, "stable"), "digest", "stable."),
        candidate_version=version,
        candidate_digest=digest,
        counts=Counts(
            matrix,
            errors=sum(_count(errors, name, "errors.") for name in ("raised", "invalid", "slow")),
            withheld=_count(report, "withheld"),
            answered=_count(_map(report, "answers"), "candidate", "answers."),
        ),
        cases=_cases(_map(report, "cases", null=True)),
        brier=(_score(brier, "stable"), _score(brier, "candidate")),
    )


def _object(content: bytes) -> dict[str, Any]:
    try:
        report = json.loads(content)
    except (ValueError, RecursionError):
        report = None
    if not isinstance(report, dict):
        raise ReportError("the answer is no JSON object")
    return report


def _refuse(field: str, problem: str) -> NoReturn:
    raise ReportError(f"{field}: {problem}")


_ABSENT: Final = object()


def _field(parent: Body, name: str, path: str, default: Any = _ABSENT) -> Any:
    value = parent.get(name, default)
    if value is _ABSENT:
        _refuse(path + name, "missing")
    return value


def _map(parent: Body, name: str, *, null: bool = False) -> Body:
    """A JSON object; empty for a null that is allowed."""
    value = _field(parent, name, "")
    if value is None and null:
        return {}
    if not isinstance(value, Mapping) or (null and not value):
        _refuse(name, "must be an object with fields" if null else "must be an object")
    return value


def _text(
    parent: Body, name: str, path: str = "", default: Any = _ABSENT, limit: int = _TEXT_LIMIT
) -> str:
    value = _field(parent, name, path, default)
    if not isinstance(value, str) or len(value) > limit:
        _refuse(path + name, f"must be a text of at most {limit} characters")
    return value


def _texts(parent: Body, name: str, path: str, limit: int) -> tuple[str, ...]:
    """A list of texts; long ones are shortened."""
    values = _field(parent, name, path)
    if (
        not isinstance(values, list)
        or len(values) > limit
        or not all(isinstance(text, str) for text in values)
    ):
        _refuse(path + name, f"must be a list of at most {limit} texts")
    return tuple(shortened(text, _TEXT_LIMIT) for text in values)


def _count(parent: Body, name: str, path: str = "", default: Any = _ABSENT) -> int:
    value = _field(parent, name, path, default)
    if not _is_count(value):
        _refuse(path + name, "must be a whole number from 0 on")
    return int(value)


def _is_count(value: Any) -> bool:
    # bool is an int to Python.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _COUNT_LIMIT


def _matrix(parent: Body, name: str) -> Matrix:
    rows = _field(parent, name, "")
    if (
        not isinstance(rows, list)
        or not 0 < len(rows) <= _LEVELS_LIMIT
        or not all(isinstance(row, list) and len(row) == len(rows) for row in rows)
        or not all(_is_count(number) for row in rows for number in row)
    ):
        _refuse(
            name, f"must be a square of whole numbers from 0 on, with at most {_LEVELS_LIMIT} rows"
        )
    return tuple(tuple(row) for row in rows)


def _cases(document: Body) -> Cases | None:
    if not document:
        return None
    return Cases(
        digest=_text(document, "digest", "cases."),
        passed=_count(document, "passed", "cases."),
        failed=_texts(document, "failed", "cases.", _CASES_LIMIT),
    )


def _score(document: Body, name: str) -> float | None:
    value = _field(document, name, "brier.")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        _refuse(f"brier.{name}", "must be null or a number from 0 on")
    return float(value)
