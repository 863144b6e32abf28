"""Specification of Autoscaling: whether the number of pods follows the load, and if not, why."""

from __future__ import annotations

import pytest
from unit.operator.builders import Object, declared
from unit.operator.live_objects import (
    CANNOT_SCALE,
    NO_METRICS,
    SCALING_ACTIVE,
    SWITCHED_OFF,
    TWO_AUTOSCALERS,
    autoscaler_status,
    condition,
    deployment,
    deployment_status,
    pod,
    unschedulable,
)

from riskpredictor_operator.core import reasons
from riskpredictor_operator.core.autoscaling import autoscaler_fails, autoscaling
from riskpredictor_operator.core.conditions import Condition
from riskpredictor_operator.core.rollout import rollout_of
from riskpredictor_operator.core.spec import RiskPredictor

EXTERNAL: Object = {"autoscaler": "External"}
CONFLICT = autoscaler_status(
    condition(
        "AbleToScale", "False", "FailedUpdateScale",
        "the HPA controller was unable to update the target scale: Operation cannot be fulfilled "
        'on deployments.apps "risk": the object has been modified; please apply your changes to '
        "the latest version and try again",
    ),
    condition("ScalingActive", "True", "ValidMetricFound"),
)  # fmt: skip


def said(status: Object | None, ready: int = 2, wanted: int = 2, **spec: object) -> Condition:
    """The condition of a predictor with so many ready pods of those wanted; others are Pending."""
    rp: RiskPredictor = declared(**spec)
    its_pods = [pod(conditions=(unschedulable(),))] if ready < wanted else []
    body = deployment(deployment_status(wanted, available=ready), wanted)
    autoscaler = None if status is None else {"status": status}
    return autoscaling(rp, autoscaler, rollout_of(rp, body, its_pods))


STATES = {
    "no autoscaler yet": (said(None), "Unknown", reasons.AWAITING_AUTOSCALER),
    "it has not reported": (said({}), "Unknown", reasons.AWAITING_AUTOSCALER),
    "working": (said(SCALING_ACTIVE), "True", reasons.SCALING_ACTIVE),
    "no metrics": (said(NO_METRICS), "False", reasons.METRICS_UNAVAILABLE),
    "cannot scale": (said(CANNOT_SCALE), "False", reasons.AUTOSCALING_FAILED),
    "met another write, and tries again": (said(CONFLICT), "True", reasons.SCALING_ACTIVE),
    "another on the same pods": (said(TWO_AUTOSCALERS), "False", reasons.AUTOSCALING_FAILED),
    "zero replicas, about to be raised": (
        said(SWITCHED_OFF), "Unknown", reasons.AWAITING_AUTOSCALER
    ),
    "fixed size": (said(SCALING_ACTIVE, replicas=3), "False", reasons.FIXED_SIZE),
    "at capacity": (said(SCALING_ACTIVE, 3, 5), "False", reasons.AT_CAPACITY),
    "somebody else's": (said(None, **EXTERNAL), "Unknown", reasons.EXTERNAL_AUTOSCALER),
    "somebody else's, at capacity": (
        said(None, 3, 5, **EXTERNAL), "False", reasons.AT_CAPACITY
    ),
    "the operator's old one, which is going": (
        said(CANNOT_SCALE, **EXTERNAL), "Unknown", reasons.EXTERNAL_AUTOSCALER
    ),
}  # fmt: skip


@pytest.mark.parametrize(("found", "status", "reason"), STATES.values(), ids=STATES)
def test_autoscaling(found: Condition, status: str, reason: str) -> None:
    assert (found.type, found.status, found.reason) == ("Autoscaling", status, reason)


def test_somebody_elses_number_is_told() -> None:
    assert said(None, 7, 7, **EXTERNAL).message == (
        "spec.autoscaler is External: somebody else sets the number of pods, 7 now"
    )


UNABLE = "the HPA was unable to compute the replica count: "
FROM = "failed to get cpu utilization: unable to get metrics for resource cpu: "
WITHOUT_METRICS = {
    # What the autoscaler says (pkg/controller/podautoscaler), ready pods: the reason, its words.
    "not installed": (
        UNABLE + FROM + "unable to fetch metrics from resource metrics API: the server could not "
        "find the requested resource (get pods.metrics.k8s.io)", 2,
        reasons.METRICS_UNAVAILABLE, "metrics-server is not installed; install it",
    ),
    "down": (
        UNABLE + FROM + "unable to fetch metrics from resource metrics API: the server is "
        "currently unable to handle the request (get pods.metrics.k8s.io)", 2,
        reasons.METRICS_UNAVAILABLE, "check that metrics-server is installed and healthy",
    ),
    "not allowed": (
        UNABLE + FROM + "unable to fetch metrics from resource metrics API: "
        "pods.metrics.k8s.io is forbidden", 2,
        reasons.METRICS_UNAVAILABLE, "rights of the controller manager",
    ),
    "no pod is ready": (
        UNABLE + "failed to get cpu utilization: did not receive metrics for targeted pods (pods "
        "might be unready)", 0, reasons.AWAITING_PODS, "no pod is ready",
    ),
    "no pod is there": (
        UNABLE + "failed to get cpu utilization: no pods returned by selector while calculating "
        "replica count", 0, reasons.AWAITING_PODS, "the reason of Ready says why",
    ),
    "no reading, and no pod is ready": (
        UNABLE + FROM + "no metrics returned from resource metrics API", 0,
        reasons.AWAITING_PODS, "no load to measure",
    ),
    "no reading of ready pods": (
        UNABLE + FROM + "no metrics returned from resource metrics API", 2,
        reasons.METRICS_UNAVAILABLE, "metrics-server has no reading of the pods yet",
    ),
    "no reading of the container": (
        UNABLE + "failed to get cpu container utilization: unable to get metrics for resource cpu: "
        "failed to get container metrics: container predictor not present in metrics for pod "
        "shop/risk-1", 2,
        reasons.METRICS_UNAVAILABLE, "metrics-server has no reading of the pods yet",
    ),
    "no CPU request": (
        UNABLE + "failed to get cpu utilization: missing request for cpu in container predictor of "
        "Pod risk-1", 2,
        reasons.CPU_REQUEST_MISSING, "set spec.resources.requests.cpu",
    ),
    "no CPU request of a sidecar": (
        UNABLE + "failed to get cpu utilization: missing request for cpu in container mesh of Pod "
        "risk-1", 2,
        reasons.CPU_REQUEST_MISSING, "container mesh has no CPU request",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "ready", "reason", "words"), WITHOUT_METRICS.values(), ids=WITHOUT_METRICS
)
@pytest.mark.parametrize("why", ["FailedGetResourceMetric", "FailedGetContainerResourceMetric"])
def test_why_there_are_no_metrics(
    why: str, message: str, ready: int, reason: str, words: str
) -> None:
    status = autoscaler_status(
        condition("AbleToScale", "True", "SucceededGetScale"),
        condition("ScalingActive", "False", why, message),
    )
    found = said(status, ready, ready)
    assert found.reason == reason
    assert words in found.message
    assert ("metrics-server" in found.message) is (
        reason == reasons.METRICS_UNAVAILABLE and "rights" not in words
    )


def test_a_failing_autoscaler_of_ours_has_to_be_looked_at_again() -> None:
    failing = {"status": CANNOT_SCALE}
    assert autoscaler_fails(declared(), failing)
    assert not autoscaler_fails(declared(**EXTERNAL), failing)
    assert not autoscaler_fails(declared(replicas=2), failing)
    assert not autoscaler_fails(declared(), {"status": CONFLICT})
