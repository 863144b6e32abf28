"""The errors that the operator tells apart, and what each asks for.

An API error is classified here and nowhere else, so that every caller reacts alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from riskpredictor_operator.core import reasons


class SpecError(ValueError):
    """A RiskPredictor that cannot be used; names the field and what is wrong with it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


@dataclass
class ApiError(Exception):
    """The API server's refusal, or the failure to reach it (``status`` 0)."""

    status: int
    reason: str
    message: str
    retry_after: float | None = None
    """Seconds that the server asks to wait."""
    causes: tuple[str, ...] = field(default=())
    """Reasons of ``details.causes``, for example NamespaceTerminating."""

    def __str__(self) -> str:
        return f"{self.reason or 'request failed'} ({self.status}): {self.message}"


class LeadershipLostError(RuntimeError):
    """A write was attempted after the lease ran out; another operator may be writing now."""


class ClusterRestoredError(RuntimeError):
    """The API server shows an older state than it has shown before: it was restored from a backup.

    Nothing that is remembered can be trusted, nor any watch, which waits for a future that is gone.
    """


class Verdict(Enum):
    """What to do about an API error."""

    DROP = "drop"
    """The object or its namespace is going away: forget it."""
    RETRY = "retry"
    """Passing: try again after a back-off."""
    REPORT = "report"
    """Needs a person: make it a condition and try again slowly."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something is not as declared, as a condition will say it."""

    reason: str
    message: str


SLOW_RETRY_SECONDS = 30.0
"""Until the next look at something that a person must mend, unless an event comes first."""

_TERMINATING = "NamespaceTerminating"
_MALFORMED = "failed to create typed patch object"
"""How server-side apply speaks of a manifest that does not fit the schema, with status 500.

Source: ``applyPatcher`` in ``k8s.io/apiserver/pkg/endpoints/handlers/patch.go``.
"""


def classify(error: ApiError) -> Verdict:
    """What an error of the API server asks for.

    404 is DROP because it is raised only for the object acted upon or its namespace: reading a
    missing object is not an error. 409 is RETRY: somebody else changed the object meanwhile.
    """
    if _TERMINATING in error.causes or error.status == 404:
        return Verdict.DROP
    if error.status in (400, 403, 405, 413, 415, 422) or _MALFORMED in error.message:
        return Verdict.REPORT
    return Verdict.RETRY


def problem_of(error: ApiError, what: str) -> Problem:
    """The condition for an error whose verdict is REPORT.

    Args:
        error: the refusal.
        what: what was refused, for example ``Deployment shop/risk``.
    """
    if error.status == 403 and "exceeded quota" in error.message:
        return Problem(
            reasons.QUOTA_EXCEEDED,
            f"{what} is refused by a ResourceQuota ({error.message}); raise it or ask for less",
        )
    if error.status == 403 and "cannot" in error.message and "User " in error.message:
        return Problem(
            reasons.FORBIDDEN,
            f"the operator lacks a right on {what} ({error.message}); apply its roles again",
        )
    if error.status == 403 and "blockOwnerDeletion" in error.message:
        return Problem(
            reasons.FORBIDDEN,
            f"this cluster guards owner references, as OpenShift does ({error.message}); grant the "
            "operator's role `update` on riskpredictors/finalizers",
        )
    return Problem(
        reasons.APPLY_REFUSED,
        f"the API server refuses {what}: {error.message}; change the spec accordingly",
    )
