"""Children and pods as a running cluster shows them: the API server's defaults, the controllers'
statuses."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from unit.operator.builders import NAME, NAMESPACE, NOW, Object, changed, manifests, predictor

from riskpredictor_operator.core import api
from riskpredictor_operator.core.compare import recorded
from riskpredictor_operator.core.field_rules import ATOMIC_MAPS, LIST_KEYS
from riskpredictor_operator.kube import Body, Resource


def live(
    resource: Resource, manifest: Body, *, uid: str = "", version: int = 200, generation: int = 1
) -> Object:
    """A child as stored after an apply: with bookkeeping, and defaults for what was unsaid."""
    if api.ANNOTATION_LAST_APPLIED not in manifest["metadata"]["annotations"]:
        manifest = recorded(manifest)
    body = copy.deepcopy(dict(manifest))
    body["metadata"] |= {
        "uid": uid or f"uid-of-{resource.plural}",
        "resourceVersion": str(version),
        "generation": generation,
        "creationTimestamp": NOW,
        "managedFields": [applied_fields(manifest)],
    }
    return with_defaults(resource, body)


def with_defaults(resource: Resource, body: Body) -> Object:
    """A child as the API server stores it: with its defaults for what is unsaid."""
    stored: Object = copy.deepcopy(dict(body))
    _DEFAULTS[resource](stored["spec"])
    return stored


def applied_fields(manifest: Body, manager: str = api.FIELD_MANAGER) -> Object:
    """The ``managedFields`` entry of an apply."""
    metadata = {k: v for k, v in manifest["metadata"].items() if k not in ("name", "namespace")}
    parts = {"f:metadata": _owned(metadata, "metadata"),
             "f:spec": _owned(manifest["spec"], f"{manifest['kind']}.spec")}  # fmt: skip
    return {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": manifest["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": parts,
    }


def _owned(value: Any, place: str) -> Object:
    """The fields of a value in the form of ``fieldsV1``."""
    if isinstance(value, dict) and place not in ATOMIC_MAPS:
        return {f"f:{name}": _owned(item, f"{place}.{name}") for name, item in value.items()}
    if isinstance(value, list) and place in LIST_KEYS:
        keys = LIST_KEYS[place]
        return {
            "k:" + json.dumps({key: item[key] for key in keys}): {".": {}, **_owned(item, place)}
            for item in value
        }
    return {}


def _deployment_defaults(spec: Object) -> None:
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    template = spec["template"]
    template["metadata"].setdefault("creationTimestamp", None)
    pod = template["spec"]
    pod |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "x"} | pod
    if "serviceAccountName" in pod:
        pod["serviceAccount"] = pod["serviceAccountName"]
    for container in pod["containers"]:
        container["terminationMessagePath"] = "/dev/termination-log"
        container["terminationMessagePolicy"] = "File"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            container[probe]["successThreshold"] = 1


def _service_defaults(spec: Object) -> None:
    defaults: Object = {
        "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
    }  # fmt: skip
    if spec["type"] != "ClusterIP":
        defaults["externalTrafficPolicy"] = "Cluster"
        for port in spec["ports"]:
            port.setdefault("nodePort", 31234)
    spec |= {**defaults, **spec}


_DEFAULTS: dict[Resource, Callable[[Object], None]] = {
    api.DEPLOYMENT: _deployment_defaults,
    api.SERVICE: _service_defaults,
    # Everything that has a default is rendered.
    api.AUTOSCALER: lambda _: None,
    api.DISRUPTION_BUDGET: lambda _: None,
}


def deployment(status: Object | None = None, replicas: int = 2, **spec: Any) -> Object:
    """The live Deployment of a predictor with these spec fields."""
    body = live(api.DEPLOYMENT, manifests(predictor(**spec))[api.DEPLOYMENT])
    body = changed(body, replicas, "spec", "replicas")
    return body if status is None else {**body, "status": status}


def deployment_status(
    pods: int, *, updated: int | None = None, available: int | None = None, observed: int = 1,
    conditions: tuple[Object, ...] = (),
) -> Object:  # fmt: skip
    """A Deployment's status; without more words every pod is new and available."""
    up = pods if available is None else available
    status: Object = {"observedGeneration": observed, "conditions": list(conditions)}
    counts = {
        "replicas": pods,
        "updatedReplicas": pods if updated is None else updated,
        "readyReplicas": up,
        "availableReplicas": up,
    }
    # The controller leaves out what is 0.
    return status | {name: count for name, count in counts.items() if count}


def condition(name: str, status: str, reason: str = "Because", message: str = "") -> Object:
    """A condition of a child or pod."""
    return {"type": name, "status": status, "reason": reason, "message": message}


COMPLETE = condition("Progressing", "True", "NewReplicaSetAvailable")
PROGRESSING = condition("Progressing", "True", "ReplicaSetUpdated")
DEADLINE = condition("Progressing", "False", "ProgressDeadlineExceeded")


def replica_failure(message: str) -> Object:
    """Admission refuses the pods."""
    return condition("ReplicaFailure", "True", "FailedCreate", message)


def autoscaler_status(*conditions: Object) -> Object:
    """An autoscaler's status with these conditions."""
    return {"currentReplicas": 2, "currentMetrics": [], "conditions": list(conditions)}


SCALING_ACTIVE = autoscaler_status(
    condition("AbleToScale", "True", "ReadyForNewScale"),
    condition("ScalingActive", "True", "ValidMetricFound"),
)
NO_METRICS = autoscaler_status(
    condition("AbleToScale", "True", "SucceededGetScale"),
    condition("ScalingActive", "False", "FailedGetResourceMetric", "no metrics"),
)
TWO_AUTOSCALERS = autoscaler_status(
    condition("AbleToScale", "True", "SucceededGetScale"),
    condition("ScalingActive", "False", "AmbiguousSelector", "pods are selected by two"),
)
SWITCHED_OFF = autoscaler_status(
    condition("AbleToScale", "True", "SucceededGetScale"),
    condition("ScalingActive", "False", "ScalingDisabled", "scaling is disabled"),
)
CANNOT_SCALE = autoscaler_status(
    condition("AbleToScale", "False", "FailedGetScale", "forbidden by a policy")
)


TEMPLATE_HASH = "5d9f8c7b6d"
REPLICA_SET = {
    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{NAME}-{TEMPLATE_HASH}",
    "uid": "uid-of-replicaset", "controller": True, "blockOwnerDeletion": True,
}  # fmt: skip
"""The owner reference of a pod that the Deployment's controller had made."""


def pod(
    name: str = "risk-1", *, version: str = "v1", ready: bool = False, leaving: bool = False,
    state: Object | None = None, last: Object | None = None, started: bool = False,
    conditions: tuple[Object, ...] = (), init: tuple[Object, ...] = (),
    beside: tuple[Object, ...] = (), owner: Object | None = REPLICA_SET,
    spec: Object | None = None, digest: str = "", candidate: str = "", candidate_digest: str = "",
    **status: Any,
) -> Object:  # fmt: skip
    """A predictor pod whose container waits to be created unless told otherwise.

    Args:
        name: of the pod.
        version: the model version that it serves.
        ready: whether the pod, and the predictor in it, is ready.
        leaving: whether it is being deleted.
        state: of the predictor's container.
        last: the state of the container before this one.
        started: whether the start-up probe has succeeded.
        conditions: of the pod, besides Ready.
        init: statuses of init containers.
        beside: statuses of containers beside the predictor.
        owner: its controller.
        spec: the pod's spec, as far as it is looked at.
        digest: of the model, if it comes from a store.
        candidate: the version of the candidate, if there is one.
        candidate_digest: of the candidate, if it comes from a store.
        status: more fields of the status, such as the phase.
    """
    metadata: Object = {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {
            api.LABEL_PREDICTOR: NAME, api.LABEL_MODEL_VERSION: version,
            "pod-template-hash": TEMPLATE_HASH,
        },
        "ownerReferences": [owner] if owner else [],
    }  # fmt: skip
    if candidate:
        metadata["labels"][api.LABEL_CANDIDATE_VERSION] = candidate
    digests = {
        api.ANNOTATION_MODEL_DIGEST: digest, api.ANNOTATION_CANDIDATE_DIGEST: candidate_digest,
    }  # fmt: skip
    if annotations := {name: each for name, each in digests.items() if each}:
        metadata["annotations"] = annotations
    if leaving:
        metadata["deletionTimestamp"] = NOW
    its_own = container(
        api.CONTAINER, f"health-predictor:{version}", ready=ready, state=state, last=last,
        started=started,
    )  # fmt: skip
    of_pod = (*conditions, condition("Ready", "True" if ready else "False"))
    return {
        "metadata": metadata,
        "spec": spec or {},
        "status": {
            "phase": "Running" if ready else "Pending",
            "conditions": list(of_pod),
            "initContainerStatuses": list(init),
            "containerStatuses": [*beside, its_own],
            **status,
        },
    }


def container(
    name: str, image: str = "mesh:7", *, ready: bool = False, state: Object | None = None,
    last: Object | None = None, started: bool = False,
) -> Object:  # fmt: skip
    """A container's status; it waits to be created unless told otherwise."""
    return {
        "name": name,
        "image": image,
        "state": state or ({"running": {}} if ready else waiting("ContainerCreating")),
        "lastState": last or {},
        "ready": ready,
        "started": ready or started,
    }


def waiting(reason: str, message: str = "") -> Object:
    """A container's waiting state."""
    return {"waiting": {"reason": reason, "message": message}}


def terminated(reason: str, exit_code: int, message: str = "") -> Object:
    """A container's terminated state."""
    return {"terminated": {"reason": reason, "exitCode": exit_code, "message": message}}


def unschedulable(message: str = "0/1 nodes are available") -> Object:
    """The scheduler's word on a pod that fits nowhere."""
    return condition("PodScheduled", "False", "Unschedulable", message)
