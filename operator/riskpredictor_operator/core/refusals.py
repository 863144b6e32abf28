"""Turns a refusal of the API server into the reason and message of a condition."""

from __future__ import annotations

from riskpredictor_operator.core import reasons
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.kube import ApiError


def explain_refusal(error: ApiError, what: str) -> Explanation:
    """Reason, cause and fix for an error whose verdict is REPORT.

    Args:
        error: the refusal.
        what: what was refused, for example ``Deployment shop/risk``.
    """
    if error.status == 403 and "exceeded quota" in error.message:
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
