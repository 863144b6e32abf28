"""Names and paths of the Kubernetes API that the plug-in uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]
"""A Kubernetes object as parsed JSON; never changed in place."""

API_VERSION = "healthtech.dev/v1alpha1"
KIND = "RiskPredictor"
RESOURCE = "riskpredictors.healthtech.dev"

PREDICTORS = "/apis/healthtech.dev/v1alpha1", "riskpredictors"
DEPLOYMENTS = "/apis/apps/v1", "deployments"
REPLICA_SETS = "/apis/apps/v1", "replicasets"
AUTOSCALERS = "/apis/autoscaling/v2", "horizontalpodautoscalers"
DISRUPTION_BUDGETS = "/apis/policy/v1", "poddisruptionbudgets"
SERVICES = "/api/v1", "services"
PODS = "/api/v1", "pods"
EVENTS = "/api/v1", "events"
NAMESPACES = "/api/v1", "namespaces"

LABEL = "healthtech.dev/riskpredictor"
"""On every child and pod: the name of the RiskPredictor."""
LABEL_MODEL_VERSION = "healthtech.dev/model-version"
LABEL_CANDIDATE_VERSION = "healthtech.dev/candidate-version"
"""On a pod that holds a second model on trial."""
ANNOTATION_STAGE = "healthtech.dev/stage"
ANNOTATION_ABORT = "healthtech.dev/abort"
"""On a RiskPredictor: the id of the roll-out that a person stops; no other is stopped by it."""
ANNOTATION_CHANGE_REF = "healthtech.dev/change-ref"
"""On a RiskPredictor: what its people call the change, such as a ticket."""
CONTAINER = "predictor"


def path(resource: tuple[str, str], namespace: str = "", name: str = "") -> str:
    """URL path of an object, of the collection in a namespace, or of that in all."""
    base, plural = resource
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{where}/{plural}" + (f"/{name}" if name else "")


def condition(body: Body, name: str) -> Body:
    """A condition of an object's status; empty if there is none of that type."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == name), {})


def model_version(body: Body) -> str:
    """The model version in the labels of a pod or pod template."""
    return str((body["metadata"].get("labels") or {}).get(LABEL_MODEL_VERSION, ""))


def candidate_version(body: Body) -> str:
    """The version on trial in a pod or pod template; empty if there is none."""
    return str((body["metadata"].get("labels") or {}).get(LABEL_CANDIDATE_VERSION, ""))


def image(pod_spec: Body) -> str:
    """The image of the predictor container."""
    images = (c["image"] for c in pod_spec["containers"] if c["name"] == CONTAINER)
    return next(images, "")
