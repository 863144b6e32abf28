"""Who may say what in a child: tables by place, as the Kubernetes API defines its fields.

A place is the path of a field without list items, after the kind of the child:
``Deployment.spec.template.spec.containers.image``. Places inside a list hold for the items that
the operator renders; items of others are theirs altogether. A control-plane test holds what comes
from the API's own schema against the OpenAPI document of a real API server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskpredictor_operator.core import api, slots
from riskpredictor_operator.kube import Body, Resource

_SPEC = "Deployment.spec"
_POD = f"{_SPEC}.template.spec"
_OURS = f"{_POD}.containers"
_INIT = f"{_POD}.initContainers"
_EACH = (_OURS, _INIT)
_SERVICE = "Service.spec"
_PROBES = tuple(f"{_OURS}.{name}" for name in ("startupProbe", "readinessProbe", "livenessProbe"))
_CONTEXTS = (f"{_POD}.securityContext", *(f"{each}.securityContext" for each in _EACH))
_VOLUMES = ("emptyDir", "secret", "configMap", "persistentVolumeClaim")

LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "metadata.ownerReferences": ("uid",),
    f"{_POD}.containers": ("name",),
    f"{_POD}.initContainers": ("name",),
    f"{_POD}.volumes": ("name",),
    f"{_POD}.imagePullSecrets": ("name",),
    f"{_POD}.topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    **{f"{each}.env": ("name",) for each in _EACH},
    f"{_OURS}.ports": ("containerPort", "protocol"),
    **{f"{each}.volumeMounts": ("mountPath",) for each in _EACH},
    f"{_SERVICE}.ports": ("port", "protocol"),
}
"""Lists that server-side apply merges by key; all others it replaces as a whole.

Source: ``x-kubernetes-list-map-keys`` in the API server's OpenAPI document.
"""

UNIQUE: Mapping[str, tuple[str, ...]] = {f"{_SERVICE}.ports": ("name",)}
"""Lists whose items are unique by another field, too: a port that somebody renumbered is ours."""

ORDERED = frozenset({_INIT})
"""Lists with keys in which the order of our items means something: init containers run in it."""

SETS = frozenset({
    f"{_POD}.tolerations", *(f"{each}.securityContext.capabilities.drop" for each in _EACH),
})  # fmt: skip
"""Lists in which items of others stay beside ours, although server-side apply replaces them."""

ATOMIC_MAPS = frozenset({
    f"{_SPEC}.selector", f"{_POD}.nodeSelector",
    f"{_POD}.topologySpreadConstraints.labelSelector",
    *(f"{each}.env.valueFrom.{source}" for each in _EACH
      for source in ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")),
    f"{_SERVICE}.selector", "HorizontalPodAutoscaler.spec.scaleTargetRef",
    "PodDisruptionBudget.spec.selector",
})  # fmt: skip
"""Maps that server-side apply replaces as a whole.

Source: ``x-kubernetes-map-type: atomic``.
"""

_CLOSED = frozenset({
    # Members of a union (a value or its source, one handler, one kind of volume), and what would
    # change the meaning of the field that is rendered.
    *(f"{each}.env{below}" for each in _EACH for below in ("", ".valueFrom")),
    f"{_POD}.volumes", *(f"{_POD}.volumes.{kind}" for kind in _VOLUMES),
    *(f"{probe}{below}" for probe in _PROBES for below in ("", ".httpGet")),
    *(f"{_OURS}.lifecycle{below}" for below in ("", ".preStop")),
    *(f"{context}{below}" for context in _CONTEXTS
      for below in ("", ".capabilities", ".seccompProfile")),
    f"{_OURS}.ports", *(f"{each}.volumeMounts" for each in _EACH),
    f"{_POD}.topologySpreadConstraints",
    f"{_SPEC}.strategy", f"{_SPEC}.strategy.rollingUpdate",
    # A selector with one more label selects no pod.
    *(f"{place}{below}" for place in ATOMIC_MAPS - {f"{_POD}.nodeSelector"}
      for below in ("", ".matchLabels")),
    "HorizontalPodAutoscaler.spec",
    *(f"HorizontalPodAutoscaler.spec.behavior{below}" for below in ("", ".scaleUp", ".scaleDown")),
    "PodDisruptionBudget.spec",
})  # fmt: skip
"""Maps to which nobody may add a field: they are owned as a whole."""

_CLOSED_LISTS = frozenset({f"{_OURS}.ports"})
"""Lists to which nobody may add an item: a second port of the container can be a port of the node,
and one of another name is what a probe or a Service finds."""

_WHOLE = frozenset({f"{_POD}.nodeSelector", f"{_POD}.tolerations"})
"""Places to which no other client may add where they are rendered: server-side apply replaces them,
and they decide where pods may run. What admission adds stays: no other client claims it."""

_REFUSED: Mapping[str, frozenset[str]] = {
    _SPEC: frozenset({"minReadySeconds"}),
    _POD: frozenset({"hostNetwork", "hostPID", "hostIPC", "nodeName", "securityContext"}),
    _OURS: frozenset({
        "command", "args", "workingDir", "lifecycle", "securityContext", "ports",
        "startupProbe", "readinessProbe", "livenessProbe",
    }),
    _INIT: frozenset({
        "command", "args", "workingDir", "lifecycle", "securityContext", "ports", "restartPolicy",
        "startupProbe", "readinessProbe", "livenessProbe",
    }),
    **{f"{each}.resources.{part}": frozenset({"cpu", "memory"}) for each in _EACH
       for part in ("requests", "limits")},
    _SERVICE: frozenset({
        "externalName", "publishNotReadyAddresses", "sessionAffinity", "sessionAffinityConfig",
        "internalTrafficPolicy",
    }),
}  # fmt: skip
"""Fields of open maps that nobody may add, because they override what is owned."""

_OF_LOAD_BALANCERS = frozenset({
    "loadBalancerSourceRanges", "loadBalancerIP", "loadBalancerClass", "healthCheckNodePort",
    "allocateLoadBalancerNodePorts",
})  # fmt: skip
_OF_OUTSIDE = frozenset({"externalTrafficPolicy"})
"""Fields that the API server accepts in a Service of type NodePort or LoadBalancer only."""

_DEFAULTS: Mapping[str, Any] = {
    **{f"{probe}.successThreshold": 1 for probe in _PROBES},
    f"{_POD}.securityContext": {},
    f"{_SERVICE}.sessionAffinity": "None",
    f"{_SERVICE}.internalTrafficPolicy": "Cluster",
    f"{_SERVICE}.externalTrafficPolicy": "Cluster",
    f"{_SERVICE}.allocateLoadBalancerNodePorts": True,
    f"{_SERVICE}.ipFamilyPolicy": "SingleStack",
}
"""What the API server puts in place of a field that was taken away."""

DECIDED_ELSEWHERE = frozenset({f"{_SPEC}.replicas", f"{_SERVICE}.ports.nodePort"})
"""Fields that stay as they are once they are no longer rendered: an autoscaler or the API server
goes on from there."""

FREE_MAPS = frozenset({"labels", "annotations", "nodeSelector", "selector", "matchLabels"})
"""Maps, by name, whose values are any text, also none. Elsewhere no text means no field."""

NOT_NOTHING = frozenset({"emptyDir"})
"""Maps, by name, that mean something when they are empty: a kind of volume."""

EVERYTHING = True
"""In place of a value, map or list of what was applied: whatever is there."""

_OLD_LABELS = {"app.kubernetes.io/instance": EVERYTHING}
_POSSIBLY_APPLIED: Mapping[Resource, Body] = {
    api.DEPLOYMENT: {"minReadySeconds": EVERYTHING, "template": {
        "metadata": {"labels": _OLD_LABELS},
        "spec": {
            **dict.fromkeys((
                "affinity", "imagePullSecrets", "nodeSelector", "priorityClassName",
                "securityContext", "serviceAccount", "serviceAccountName", "tolerations",
                "topologySpreadConstraints",
            ), EVERYTHING),
            "containers": [{
                **dict.fromkeys(("args", "command", "securityContext"), EVERYTHING),
                "name": api.CONTAINER,
                "env": [{"name": "RISKPREDICTOR_MODEL"}],
                # Inside the pod.
                "volumeMounts": [
                    {"mountPath": path} for path in ("/tmp", slots.MODELS, slots.CASES)  # noqa: S108
                ],
            }],
            "initContainers": [
                {"name": name} for slot in slots.SLOTS
                for name in (slot.copy_container, slot.fetch_container)
            ],
            "volumes": [{"name": name} for name in (
                "tmp", api.MODELS_VOLUME, api.CASES_VOLUME,
                *(slot.volume(part) for slot in slots.SLOTS for part in slots.VOLUMES),
            )],
        },
    }},
}  # fmt: skip


def claims_whole(entry: Body) -> frozenset[str]:
    """The places that are owned as a whole and that an entry of ``managedFields`` claims for
    another client."""
    if entry.get("manager") in api.OWN_MANAGERS:
        return frozenset()
    fields = entry.get("fieldsV1") or {}
    for name in _POD.split(".")[1:]:
        fields = fields.get(f"f:{name}") or {}
    return frozenset(place for place in _WHOLE if f"f:{place.rpartition('.')[2]}" in fields)


def possibly_applied(resource: Resource) -> Body:
    """What may have been applied to a child that does not tell: all that a RiskPredictor can
    declare for the pods and that can be told from additions of others, and what version 0.1.0
    rendered.

    Nothing of a Service: to take away a range of addresses that was set by hand would open it.
    """
    return {"metadata": {"labels": _OLD_LABELS}, "spec": _POSSIBLY_APPLIED.get(resource, {})}


@dataclass(frozen=True, slots=True)
class FieldRules:
    """The tables for one child as it is rendered."""

    refused: Mapping[str, frozenset[str]]
    pod_context: Body
    """The security context of the pods as it is rendered."""
    whole: frozenset[str] = frozenset()
    """Places of _WHOLE that are rendered and that another client claims."""

    @classmethod
    def of(cls, resource: Resource, rendered: Body, live: Body) -> FieldRules:
        """The rules for a child; those of a Service depend on its type, those of a Deployment on
        who claims what is owned as a whole."""
        if resource == api.DEPLOYMENT:
            entries = live["metadata"].get("managedFields") or ()
            claimed = frozenset[str]().union(*map(claims_whole, entries))
            pod = rendered["spec"]["template"]["spec"]
            whole = frozenset(place for place in claimed if place.rpartition(".")[2] in pod)
            return cls(_REFUSED, pod["securityContext"], whole)
        if resource != api.SERVICE:
            return cls(_REFUSED, {})
        kind = rendered["spec"]["type"]
        more = frozenset[str]()
        if kind != "LoadBalancer":
            more |= _OF_LOAD_BALANCERS
        refused = {**_REFUSED, _SERVICE: _REFUSED[_SERVICE] | more}
        if kind == "ClusterIP":
            refused[_SERVICE] |= _OF_OUTSIDE
            refused[f"{_SERVICE}.ports"] = frozenset({"nodePort"})
        return cls(refused, {})

    def allows(self, place: str, name: str, value: Any) -> bool:
        """Whether others may add a field with this value to the map at a place."""
        if place in _CONTEXTS and _confines(name, value):
            # The container's context wins over the pod's.
            return bool(self.pod_context.get(name, value) == value)
        closed = place in _CLOSED or place in self.whole
        return not closed and name not in self.refused.get(place, ())

    def allows_item(self, place: str, item: Any) -> bool:
        """Whether others may add an item to the list at a place."""
        if place == f"{_OURS}.env":
            return item.get("name") not in api.RESERVED_ENV
        if place == f"{_INIT}.env":
            return item.get("name") not in api.FETCH_ENV
        if place == _OURS:
            # Two containers cannot listen on the same port of a pod.
            ports = item.get("ports") or ()
            return all(port.get("containerPort") != api.CONTAINER_PORT for port in ports)
        return place not in _CLOSED_LISTS and place not in self.whole

    def default(self, place: str, name: str) -> Any:
        """The value of a field that is taken away; None if it is just absent."""
        if name in self.refused.get(place, ()) and name in _OF_LOAD_BALANCERS | _OF_OUTSIDE:
            return None
        return _DEFAULTS.get(f"{place}.{name}")


def _confines(name: str, value: Any) -> bool:
    """Whether a field of a security context only takes rights away, as policies do that add it."""
    if name in ("runAsUser", "runAsGroup", "fsGroup"):
        return isinstance(value, int) and value > 0
    return bool(value == _CONFINING.get(name, ()))


_CONFINING: Mapping[str, Any] = {
    "runAsNonRoot": True,
    "privileged": False,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "appArmorProfile": {"type": "RuntimeDefault"},
}
