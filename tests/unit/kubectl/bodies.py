"""Kubernetes objects as the API server gives them, as far as the plug-in reads them."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]
CREATED = "2026-01-31T10:00:00Z"
UID = "0a1b"
OWNER = [{"kind": "RiskPredictor", "name": "risk", "uid": UID, "controller": True}]


def gate(name: str, state: str, observed: str, bound: str, limit: str) -> Body:
    """A gate, as a status has it."""
    return {"name": name, "state": state, "observed": observed, "bound": bound, "limit": limit}


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


LATER = "2026-01-31T12:00:00Z"
V1 = {"version": "v1", "digest": f"sha256:{'1' * 64}", "image": "health-predictor:runtime"}
V2 = {"version": "v2", "digest": f"sha256:{'2' * 64}", "image": "health-predictor:runtime"}
POLICY: Body = {
    "strategy": "Progressive",
    "shadow": {"minPairs": 500, "minDuration": "1h", "sample": 100},
    "canary": {"steps": [
        {"percent": 10, "minPairs": 200, "minDuration": "30m"},
        {"percent": 50, "minPairs": 300, "minDuration": "45m"},
    ]},
    "approval": {"required": False}, "onInconclusive": "Hold", "retry": "",
}  # fmt: skip
"""A ``spec.rollout`` with the defaults that matter here."""
GATES = [
    gate("Downgrade", "Passed", "0.52 % of 2304", "0.21 to 0.98 %", "2 %"),
    gate("SevereDowngrade", "Pending", "0 % of 2304", "0 to 0.53 %", "0.5 %"),
    gate("MissedHigh", "Passed", "2.07 % of 145", "0.28 to 4.9 %", "5 %"),
    gate("CandidateErrors", "Passed", "0", "", "0"),
    gate("Cases", "NotApplicable", "", "", ""),
]
FOUND: Body = {
    "evidence": {
        "pairs": 2304, "matrix": [[1702, 11, 0], [9, 430, 7], [0, 3, 142]], "errors": 0,
        "withheld": 3, "answered": 57, "pods": 2, "at": LATER,
    },
    "levels": ["Low", "Medium", "High"],
    "gates": GATES,
}  # fmt: skip
"""What was found of a change: 2274 pairs agree, 12 are downgraded, 18 upgraded."""


def rollout(phase: str = "Canary", **more: Any) -> Body:
    """A ``status.rollout``, as the operator writes it."""
    steps = {"Canary": "Canary 10%", "AwaitingApproval": "Awaiting approval", "Observing": "Shadow"}
    percent = {"Canary": 10, "AwaitingApproval": 50}.get(phase, 0)
    return {
        "id": "0123456789ab", "phase": phase, "step": steps.get(phase, phase),
        "percent": percent, "stable": V1, "candidate": V2,
        "policyDigest": f"sha256:{'c' * 64}", "generation": 1, "startedAt": CREATED,
        "stepStartedAt": LATER, "stepPairs": 2200 if percent else 0,
        "deadlineAt": "2026-02-07T10:00:00Z", **FOUND, **more,
    }  # fmt: skip


def changing(phase: str = "Canary", ready: str = "CanaryRunning", /, **more: Any) -> Body:
    """A RiskPredictor in which v2 is on trial beside v1."""
    message = f"{ready}: so it is"
    body = predictor(condition("Ready", "False", ready, message), modelVersion="v2",
                     rollout=POLICY)  # fmt: skip
    body["metadata"] |= {
        "resourceVersion": "7",
        "annotations": {"healthtech.dev/change-ref": "CHG-4711"},
        "managedFields": [
            {"manager": "argocd-controller", "time": LATER,
             "fieldsV1": {"f:spec": {"f:modelVersion": {}}}},
            {"manager": "kubectl", "time": LATER, "fieldsV1": {"f:spec": {"f:minReplicas": {}}}},
        ],
    }  # fmt: skip
    body["status"] |= {
        "model": {"version": "v1", "digest": V1["digest"]},
        "rollout": rollout(phase, **more),
    }
    return body


def entry(outcome: str = "Promoted", **more: Any) -> Body:
    """An entry of ``status.history``."""
    return {
        **V2, "outcome": outcome, "from": {"version": "v1", "digest": V1["digest"]},
        "startedAt": CREATED, "at": LATER, "generation": 4,
        "policyDigest": f"sha256:{'c' * 64}", "manager": "argocd-controller",
        "changeRef": "CHG-4711", **FOUND, **more,
    }  # fmt: skip
