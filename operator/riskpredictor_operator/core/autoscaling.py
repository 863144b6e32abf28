"""What Autoscaling says: whether the number of pods follows the load, and if not, why.

The HorizontalPodAutoscaler's own conditions say that in words for who wrote it; its controller is
``pkg/controller/podautoscaler`` of Kubernetes.
"""

from __future__ import annotations

from typing import Final

from riskpredictor_operator.core import api, reasons
from riskpredictor_operator.core.conditions import AUTOSCALING, Condition, in_status
from riskpredictor_operator.core.rollout import Rollout
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body

AWAITING: Final = Condition(
    AUTOSCALING, "Unknown", reasons.AWAITING_AUTOSCALER, "the autoscaler has not reported yet"
)

_BROKEN = frozenset({"FailedGetScale", "FailedUpdateScale"})
_CONFLICT = "the object has been modified"
"""In the message of an update that met another one; it is repeated within 15 seconds."""
_NO_METRICS = "FailedGet"
"""How an autoscaler's reasons begin where it cannot get metrics."""
_SWITCHED_OFF = "ScalingDisabled"
"""Its reason while the Deployment has 0 replicas, which the operator raises."""


def autoscaling(rp: RiskPredictor, autoscaler: Body | None, rollout: Rollout | None) -> Condition:
    """The condition Autoscaling."""
    if rp.replicas is not None:
        return _false(
            reasons.FIXED_SIZE,
            f"spec.replicas fixes the size at {rp.replicas}; remove it to scale with the load",
        )
    if autoscaler_fails(rp, autoscaler):
        return _false(reasons.AUTOSCALING_FAILED, _failure(autoscaler))
    if rollout is not None and rollout.shortage is not None:
        return _false(rollout.shortage.reason, rollout.shortage.message)
    if not rp.has_own_autoscaler:
        now = "" if rollout is None else f", {rollout.wanted} now"
        return Condition(
            AUTOSCALING, "Unknown", reasons.EXTERNAL_AUTOSCALER,
            f"spec.autoscaler is External: somebody else sets the number of pods{now}",
        )  # fmt: skip
    active = in_status((autoscaler or {}).get("status"), "ScalingActive")
    if not active or active["reason"] == _SWITCHED_OFF:
        return AWAITING
    if active["status"] != "True":
        return _without_metrics(str(active.get("message", "")), rollout)
    return Condition(
        AUTOSCALING, "True", reasons.SCALING_ACTIVE,
        f"between {rp.min_replicas} and {rp.max_replicas} pods at "
        f"{rp.target_cpu_utilization} % of the CPU request",
    )  # fmt: skip


def autoscaler_fails(rp: RiskPredictor, autoscaler: Body | None) -> bool:
    """Whether our autoscaler cannot do its work, for another reason than missing metrics."""
    return rp.has_own_autoscaler and _failure(autoscaler) != ""


def _failure(autoscaler: Body | None) -> str:
    """Why an autoscaler cannot do its work; empty where it can, or would with metrics."""
    able, active = (
        in_status((autoscaler or {}).get("status"), name)
        for name in ("AbleToScale", "ScalingActive")
    )
    if able.get("status") == "False" and able["reason"] in _BROKEN:
        message = str(able.get("message", ""))
        return (
            ""
            if _CONFLICT in message
            else f"the autoscaler cannot change the Deployment: {message}"
        )
    if not active or active["status"] == "True":
        return ""
    reason = str(active["reason"])
    if reason == _SWITCHED_OFF or reason.startswith(_NO_METRICS):
        return ""
    return f"the autoscaler does not work ({reason}): {active.get('message', '')}"


def _without_metrics(message: str, rollout: Rollout | None) -> Condition:
    """Why there are no metrics, by what the autoscaler says."""
    if "missing request for" in message:
        container = message.partition(" in container ")[2].partition(" ")[0] or api.CONTAINER
        field = (
            "set spec.resources.requests.cpu"
            if container == api.CONTAINER
            else "whatever adds it has to give it one"
        )
        return _false(
            reasons.CPU_REQUEST_MISSING,
            f"container {container} has no CPU request of which the use could be a percentage; "
            f"{field}",
        )
    if "could not find the requested resource" in message:
        return _unavailable("metrics-server is not installed; install it", message)
    if "forbidden" in message or "Unauthorized" in message:
        return _unavailable(
            "the autoscaler's controller may not read metrics; restore the rights of the "
            "controller manager",
            message,
        )
    if not any(words in message for words in _NO_READINGS):
        return _unavailable("check that metrics-server is installed and healthy", message)
    if rollout is None or rollout.ready == 0:
        return Condition(
            AUTOSCALING, "Unknown", reasons.AWAITING_PODS,
            "no pod is ready, so there is no load to measure; the reason of Ready says why",
        )  # fmt: skip
    return _unavailable(
        "metrics-server has no reading of the pods yet; it needs up to a minute for a new pod, and "
        "if it lasts, check that it is healthy",
        message,
    )


_NO_READINGS = (
    "did not receive metrics for",
    "no metrics returned",
    "no pods returned by selector",
    "not present in metrics",
)
"""What the autoscaler says where metrics-server answers, without a reading that counts."""


def _unavailable(fix: str, message: str) -> Condition:
    return _false(
        reasons.METRICS_UNAVAILABLE,
        "no CPU metrics: the pods keep running, their number does not follow the load; "
        f"{fix}. The autoscaler says: {message}",
    )


def _false(reason: str, message: str) -> Condition:
    return Condition(AUTOSCALING, "False", reason, message)
