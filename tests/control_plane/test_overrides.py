"""What an apply alone cannot undo: another member of a union, what another manager claims too, and
additions that override what is owned. Single fields, place by place, are in test_owned_fields.py.
"""

from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

import pytest

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key, Resource
from support.api import (
    AUTOSCALER,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    SERVICE,
    Api,
    Body,
)
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")

REPAIR_SECONDS = 1.0

DECLARED: dict[str, Any] = {
    "minReplicas": 1,
    "image": {"pullSecrets": [{"name": "registry"}]},
    "podTemplate": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "system-node-critical",
        "annotations": {"example.com/note": "declared"},
        "serviceAccountName": "default",
    },
}
"""What may leave the spec again."""

UNDECLARED = {
    "image": {"pullSecrets": None},
    "podTemplate": dict.fromkeys(DECLARED["podTemplate"]),
}


def template(**pod: Any) -> Body:
    """A patch of a Deployment's pods."""
    return {"spec": {"template": {"spec": pod}}}


def container(**fields: Any) -> Body:
    """A strategic merge patch of the predictor's container."""
    return template(containers=[{"name": "predictor", **fields}])


PORT = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}

OVERRIDES = {
    "a variable's value instead of its source": (
        DEPLOYMENT, container(env=[{"name": "POD_NAME", "value": "x", "valueFrom": None}])
    ),
    "another handler of a probe": (
        DEPLOYMENT, container(readinessProbe={"httpGet": None, "tcpSocket": {"port": 5000}})
    ),
    "another handler of a hook": (
        DEPLOYMENT, container(
            lifecycle={"preStop": {"sleep": None, "exec": {"command": ["sleep", "1"]}}}
        )
    ),
    "a probe that asks another host": (
        DEPLOYMENT, container(livenessProbe={"httpGet": {"host": "example.com"}})
    ),
    "a probe that succeeds later": (DEPLOYMENT, container(readinessProbe={"successThreshold": 3})),
    "another strategy": (DEPLOYMENT, {
        "spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}
    }),
    "a pod that waits to be available": (DEPLOYMENT, {"spec": {"minReadySeconds": 60}}),
    "a command": (DEPLOYMENT, container(command=["sleep", "infinity"])),
    "arguments": (DEPLOYMENT, container(args=["--debug"])),
    "root in the pod": (DEPLOYMENT, template(securityContext={"runAsUser": 0})),
    "root in the container": (DEPLOYMENT, container(securityContext={"runAsUser": 0})),
    "a privileged container": (DEPLOYMENT, container(
        securityContext={"privileged": True, "allowPrivilegeEscalation": None}
    )),
    "a capability": (
        DEPLOYMENT, container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}})
    ),
    "the node's network": (DEPLOYMENT, template(hostNetwork=True)),
    "the node's processes": (DEPLOYMENT, template(hostPID=True)),
    "a certain node": (DEPLOYMENT, template(nodeName="kwok-0")),
    "a second port": (
        DEPLOYMENT, container(ports=[{"name": "debug", "containerPort": 5005}])
    ),
    "a port of the node": (
        DEPLOYMENT, container(ports=[{"containerPort": 5000, "protocol": "TCP", "hostPort": 5000}])
    ),
    "a headless Service": (SERVICE, "recreated"),
    "an external name": (SERVICE, {
        "spec": {"type": "ExternalName", "externalName": "example.com"}
    }),
    "addresses of pods that are not ready": (SERVICE, {"spec": {"publishNotReadyAddresses": True}}),
    "clients bound to a pod": (SERVICE, {"spec": {"sessionAffinity": "ClientIP"}}),
    "traffic within a node": (SERVICE, {"spec": {"internalTrafficPolicy": "Local"}}),
    "another selector": (SERVICE, {"spec": {"selector": {"canary": "yes"}}}),
    "a load balancer with ranges": (SERVICE, {
        "spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]}
    }),
    "a class of load balancers": (SERVICE, {
        "spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/internal"}
    }),
    "a renumbered port": (SERVICE, {"spec": {"ports": [{**PORT, "port": 81}]}}),
    "a renamed port": (SERVICE, {"spec": {"ports": [{**PORT, "name": "web"}]}}),
    "two ports where ours was": (SERVICE, {
        "spec": {"ports": [{**PORT, "name": "web"}, {**PORT, "port": 81}]}
    }),
    "another metric": (AUTOSCALER, {"spec": {"metrics": [{
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
    }]}}),
    "the other bound of a budget": (
        DISRUPTION_BUDGET, {"spec": {"maxUnavailable": None, "minAvailable": "100%"}}
    ),
    "another eviction policy": (
        DISRUPTION_BUDGET, {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}
    ),
}  # fmt: skip


def owned(body: Body) -> Body:
    """What must be as before; an autoscaler sets the number of pods, the API server addresses."""
    free = ("replicas", "clusterIP", "clusterIPs", "ipFamilies")
    return {name: value for name, value in body["spec"].items() if name not in free}


@pytest.fixture
def key(predictors: Predictors) -> Key:
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    return key


def change(api: Api, resource: Resource, key: Key, patch: Body | str) -> None:
    if patch != "recreated":
        kind = "strategic" if resource == DEPLOYMENT else "merge"
        api.patch(resource, key, patch, kind=kind)
        return
    body = bare(api.need(resource, key))
    api.delete(resource, key)
    body["spec"]["clusterIP"] = "None"
    api.create(resource, body)


def bare(body: Body) -> Body:
    """An object as ``kubectl get -o yaml`` exports it, without what refers to the one it was."""
    copy = deepcopy(body)
    for name in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields",
                 "ownerReferences"):  # fmt: skip
        copy["metadata"].pop(name, None)
    for name in ("clusterIP", "clusterIPs"):
        copy["spec"].pop(name, None)
    copy.pop("status", None)
    return copy


def test_every_override_is_repaired_at_once(api: Api, predictors: Predictors, key: Key) -> None:
    """One after the other, so that fifty repairs in a row are seen to be as quick as one."""
    before = {resource: owned(api.need(resource, key)) for resource in CHILDREN}
    slow = {}
    for what, (resource, patch) in OVERRIDES.items():
        change(api, resource, key, patch)
        started = time.monotonic()
        while (live := api.get(resource, key)) is None or owned(live) != before[resource]:
            if time.monotonic() - started > 10:
                slow[what] = live and owned(live)
                break
            time.sleep(0.01)
        seconds = time.monotonic() - started
        if seconds > REPAIR_SECONDS:
            slow.setdefault(what, seconds)
    assert slow == {}
    predictors.wait(key)
    predictors.patch(key, modelVersion="v2")
    assert predictors.wait(key)["status"]["servingVersion"] == "v2"
