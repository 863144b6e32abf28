"""Turns refusals of the API server, and fields that others overrule, into reason and message."""

from __future__ import annotations

import json
import re
from typing import Any

from riskpredictor_operator.core import reasons
from riskpredictor_operator.core.compare import Difference
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.kube import ApiError

ADMISSION = "admission"
"""Who overrules a field where the answer to the operator's own write already differs."""

_SHOWN = 100
"""Characters that are shown of a value."""


def explain_refusal(error: ApiError, what: str) -> Explanation:
    """Reason, cause and fix for an error whose verdict is REPORT.

    Args:
        error: the refusal.
        what: what was refused, for example ``Deployment shop/risk``.
    """
    if _is_over_quota(error):
        return Explanation(
            reasons.QUOTA_EXCEEDED,
            f"{what} is refused by a ResourceQuota ({error.message}); raise it or ask for less",
        )
    if error.status == 403 and "cannot" in error.message and "User " in error.message:
        return Explanation(
            reasons.FORBIDDEN,
            f"the operator lacks a right on {what} ({error.message}); apply its roles again",
        )
    if error.status == 403 and "blockOwnerDeletion" in error.message:
        return Explanation(
            reasons.FORBIDDEN,
            f"this cluster guards owner references, as OpenShift does ({error.message}); grant the "
            "operator's role `update` on riskpredictors/finalizers",
        )
    return Explanation(
        reasons.APPLY_REFUSED,
        f"the API server refuses {what}: {error.message}; change the spec accordingly",
    )


def is_about_present_state(error: ApiError) -> bool:
    """Whether an update is refused for what it would change, so that a new object may be accepted.

    The API server's own validation names fields. A policy names none, a webhook itself. A node port
    out of range is refused to a new Service, too, but not in a dry run.
    """
    by_validation = any(cause.startswith("FieldValue") for cause in error.causes)
    by_others = "admission webhook" in error.message or ".nodePort: " in error.message
    return error.status == 422 and by_validation and not by_others


def says_valid(error: ApiError) -> bool:
    """Whether the answer to the dry run of a creation, with the present object in its place, says
    that it would be accepted once that is gone.

    It is validated before the API server looks whether the object exists (409). A webhook without
    dry runs says nothing about the manifest.
    """
    return (
        (error.status == 409 and error.reason == "AlreadyExists")
        or (_is_over_quota(error) and _is_counted_in(error.message))
        or (error.status == 400 and "dry run" in error.message)
    )


def _is_counted_in(message: str) -> bool:
    """Whether a quota that is exceeded has room once the present object is gone, which it counts.

    The message ends with ``requested: services=1, used: services=3, limited: services=3``.
    """
    told = re.findall(r"(requested|used|limited): (\S+?)(?:, |$)", message)
    requested, used, limited = (
        dict(re.findall(r"([^=,]+)=(\d+)", dict(told).get(word, "")))
        for word in ("requested", "used", "limited")
    )
    return bool(requested) and all(
        int(count) <= int(used.get(name, 0)) <= int(limited.get(name, 0))
        for name, count in requested.items()
    )


def _is_over_quota(error: ApiError) -> bool:
    return error.status == 403 and "exceeded quota" in error.message


def explain_overruled(what: str, difference: Difference, by: str, others: int) -> Explanation:
    """Reason, cause and fix for a field that does not stay as the operator restores it.

    Args:
        what: the child, for example ``Deployment shop/risk``.
        difference: the field.
        by: the field manager that sets it, ADMISSION, or empty where nobody claims it.
        others: how many other fields are overruled.
    """
    who = "admission (a mutating webhook or policy)" if by == ADMISSION else by or "another client"
    more = f", and {others} more" if others else ""
    return Explanation(
        reasons.FIELD_OVERRULED,
        f"{what}: {difference.path} should be {_shown(difference.wanted)}, but {who} makes it "
        f"{_shown(difference.found)} after every repair{more}; stop that, or declare the same in "
        "the RiskPredictor; meanwhile it is repaired ever more seldom",
    )


def _shown(value: Any) -> str:
    if value is None:
        return "absent"
    text = json.dumps(value, separators=(",", ":"), sort_keys=True)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
