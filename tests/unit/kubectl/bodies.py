"""Kubernetes objects as the API server gives them, as far as the plug-in reads them."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]
CREATED = "2026-01-31T10:00:00Z"
UID = "0a1b"
OWNER = [{"kind": "RiskPredictor", "name": "risk", "uid": UID, "controller": True}]


def condition(kind: str, status: str, reason: str, message: str = "as it is") -> Body:
    return {
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": CREATED,
    }  # fmt: skip


def predictor(*conditions: Body, seen: int = 1, **spec: Any) -> Body:
    full = {
        "modelVersion": "v1", "minReplicas": 2, "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 70, "image": {}, **spec,
    }  # fmt: skip
    return {
        "metadata": {
            "name": "risk", "namespace": "ward", "uid": UID, "generation": 1,
            "creationTimestamp": CREATED,
        },
        "spec": full,
        "status": {
            "observedGeneration": seen, "conditions": list(conditions), "readyReplicas": 2,
            "servingVersion": "v1", "image": "health-predictor:v1", "url": "http://risk.ward.svc",
        },
    }  # fmt: skip


def ready() -> Body:
    return predictor(
        condition("Ready", "True", "Ready", "v1 is served by 2 of 2 pods"),
        condition("Available", "True", "PodsAvailable", "predictions are answered"),
    )


def broken(reason: str) -> Body:
    return predictor(
        condition("Ready", "False", reason, f"{reason}: so it is"),
        condition("Stalled", "True", reason, f"{reason}: so it is"),
    )


def child(spec: Body, status: Body | None = None, owners: list[Body] | None = None) -> Body:
    metadata = {
        "name": "risk", "namespace": "ward", "creationTimestamp": CREATED,
        "ownerReferences": OWNER if owners is None else owners,
    }  # fmt: skip
    return {"metadata": metadata, "spec": spec, "status": status or {}}


def deployment(**status: Any) -> Body:
    container = {"name": "predictor", "image": "health-predictor:v1"}
    counts = {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    return child({"replicas": 2, "template": {"spec": {"containers": [container]}}},
                 counts | status)  # fmt: skip


def autoscaler(percent: int | None = 12) -> Body:
    target = {"type": "Utilization", "averageUtilization": 70}
    current = {"averageUtilization": percent, "averageValue": "12m"}
    seen = [] if percent is None else [resource(current=current)]
    return autoscaler_with([resource(target=target)], seen)


def autoscaler_with(metrics: list[Body] | None, seen: list[Body] | None) -> Body:
    """One that has these metrics, and saw those."""
    spec = {
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": metrics,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "risk"},
    }
    return child(
        spec,
        {
            "desiredReplicas": 3, "currentReplicas": 2, "currentMetrics": seen,
            "conditions": [condition("ScalingActive", "True", "ValidMetricFound")],
        },
    )  # fmt: skip


def resource(name: str = "cpu", **values: Body) -> Body:
    """A metric of all containers of the pods."""
    return {"type": "Resource", "resource": {"name": name, **values}}


def container_resource(name: str = "cpu", container: str = "predictor", **values: Body) -> Body:
    """A metric of one container of the pods."""
    about = {"name": name, "container": container}
    return {"type": "ContainerResource", "containerResource": {**about, **values}}


def disruption_budget(allowed: int = 1) -> Body:
    reason = "SufficientPods" if allowed else "InsufficientPods"
    return child({"maxUnavailable": 1}, {
        "disruptionsAllowed": allowed,
        "conditions": [condition("DisruptionAllowed", str(bool(allowed)), reason)],
    })  # fmt: skip


def service(owners: list[Body] | None = None) -> Body:
    return child({"type": "ClusterIP", "clusterIP": "10.0.0.7", "ports": [{"port": 80}]},
                 owners=owners)  # fmt: skip


def pod(name: str, *, ready: bool = True, state: Body | None = None, restarts: int = 0) -> Body:
    conditions = [{"type": "Ready", "status": str(ready)}]
    container = {"name": "predictor", "state": state or {"running": {}}, "restartCount": restarts}
    return {
        "metadata": {
            "name": name, "namespace": "ward", "creationTimestamp": CREATED,
            "labels": {"healthtech.dev/model-version": "v1"},
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running", "conditions": conditions, "containerStatuses": [container],
        },
    }  # fmt: skip


def event(kind: str, name: str, reason: str, message: str = "it happened") -> Body:
    return {
        "metadata": {"creationTimestamp": CREATED},
        "involvedObject": {"kind": kind, "name": name},
        "type": "Warning", "reason": reason, "message": message, "lastTimestamp": CREATED,
    }  # fmt: skip
