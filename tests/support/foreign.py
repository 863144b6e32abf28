"""Objects of somebody else that have the names of the children of a RiskPredictor, ``risk``."""

from __future__ import annotations

from typing import Any

from riskpredictor_operator.core.api import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, SERVICE
from riskpredictor_operator.kube import Key, Resource
from support.api import Api, Body

_SPECS: dict[Resource, dict[str, Any]] = {
    DEPLOYMENT: {
        "replicas": 1,
        "selector": {"matchLabels": {"mine": "yes"}},
        "template": {
            "metadata": {"labels": {"mine": "yes"}},
            "spec": {"containers": [{"name": "own", "image": "own:1"}]},
        },
    },
    SERVICE: {"ports": [{"port": 80}], "selector": {"mine": "yes"}},
    AUTOSCALER: {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "risk"},
        "minReplicas": 2,
        "maxReplicas": 9,
    },
    DISRUPTION_BUDGET: {"minAvailable": 1, "selector": {"matchLabels": {"mine": "yes"}}},
}


def create(api: Api, resource: Resource, key: Key) -> Body:
    """Create the foreign object of this kind and name."""
    metadata = {"name": key.name, "namespace": key.namespace}
    return api.create(resource, {"metadata": metadata, "spec": _SPECS[resource]})


def essence(body: Body) -> Body:
    """What its owner wrote, without what Kubernetes' own controllers add."""
    names = ("uid", "labels", "ownerReferences")
    return {"spec": body["spec"], **{name: body["metadata"].get(name) for name in names}}
