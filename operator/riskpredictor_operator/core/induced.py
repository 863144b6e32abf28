"""Whose doing is a change of the pods: the user's, somebody's by hand, or the operator's?"""

from __future__ import annotations

from riskpredictor_operator.core import conditions, reasons
from riskpredictor_operator.core.api import ANNOTATION_HASH, Body
from riskpredictor_operator.core.spec import RiskPredictor


def is_induced(rp: RiskPredictor, status: Body, desired: Body, live: Body | None) -> bool:
    """Whether applying may replace the pods of a serving predictor that nobody has changed.

    So it is when the operator renders the same spec otherwise than the one before it did: a new
    version of the operator, or another operator-wide default. A predictor whose pods do not come up
    is no such case: the change may be what mends it.

    Args:
        rp: the RiskPredictor.
        status: its status before this pass.
        desired: the Deployment as rendered.
        live: the Deployment as it is, if it is the RiskPredictor's.
    """
    if live is None or status.get("observedGeneration") != rp.generation:
        return False
    ready = conditions.find(status.get("conditions") or (), conditions.READY)
    if ready is None or ready["reason"] in reasons.PODS_DO_NOT_COME_UP:
        return False
    # The same hash: what was applied is what is rendered, so somebody changed it by hand.
    applied = (live["metadata"].get("annotations") or {}).get(ANNOTATION_HASH)
    return bool(applied != desired["metadata"]["annotations"][ANNOTATION_HASH])


def is_rolling(deployment: Body | None) -> bool:
    """Whether pods of a Deployment are being replaced, and it gets on with it."""
    if deployment is None:
        return False
    status = deployment.get("status") or {}
    behind = status.get("observedGeneration", 0) < deployment["metadata"]["generation"]
    stalled = any(
        c.get("reason") == "ProgressDeadlineExceeded" for c in status.get("conditions") or ()
    )
    replaced = status.get("updatedReplicas", 0) == status.get("replicas", 0)
    return behind or not (replaced or stalled)
