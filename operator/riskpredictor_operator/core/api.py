"""Names of the Kubernetes API that this operator speaks: resources, labels, field managers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Body = Mapping[str, Any]
"""A Kubernetes object as parsed JSON; never changed in place."""

GROUP = "healthtech.dev"
VERSION = "v1alpha1"
KIND = "RiskPredictor"
PLURAL = "riskpredictors"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API server: where it lives and what its kind is called."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects, for example ``apps/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version


RISKPREDICTOR = Resource(GROUP, VERSION, PLURAL, KIND)
DEPLOYMENT = Resource("apps", "v1", "deployments", "Deployment")
SERVICE = Resource("", "v1", "services", "Service")
AUTOSCALER = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
POD = Resource("", "v1", "pods", "Pod")
EVENT = Resource("", "v1", "events", "Event")
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")

CHILDREN = (DEPLOYMENT, SERVICE, AUTOSCALER)
"""The kinds that the operator makes, each under the name of its RiskPredictor."""
WATCHED = {resource.plural: resource for resource in (RISKPREDICTOR, *CHILDREN)}
"""The kinds that the operator watches, by plural."""

LABEL_PREDICTOR = f"{GROUP}/riskpredictor"
"""On every child and pod: the name of the RiskPredictor. Selector of the pods, so never changed."""
LABEL_MODEL_VERSION = f"{GROUP}/model-version"
"""On every pod: the model version that it serves."""
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
ANNOTATION_HASH = f"{GROUP}/applied-hash"
"""On every child: digest of what was applied, so that a restart knows that nothing changed."""

FIELD_MANAGER = "riskpredictor-operator"
HANDOVER_MANAGER = "riskpredictor-operator-handover"
"""Holds ``spec.replicas`` of a Deployment between the operator's letting go and the autoscaler's
taking it: a field that no manager owns would fall back to its default, 1."""

CONTAINER = "predictor"
CONTAINER_PORT = 5000


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Identity of a RiskPredictor, and of its children, which carry the same name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def path_of(resource: Resource, key: Key) -> str:
    """URL path of an object, or of its collection where the name is empty."""
    base = f"/apis/{resource.group}" if resource.group else "/api"
    path = f"{base}/{resource.version}"
    if key.namespace:
        path += f"/namespaces/{quote(key.namespace, safe='')}"
    path += f"/{resource.plural}"
    return f"{path}/{quote(key.name, safe='')}" if key.name else path


def key_of(body: Body) -> Key:
    """Namespace and name of an object."""
    metadata = body["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])
