"""What ``status`` shows about a RiskPredictor and its children, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from riskpredictor_kubectl import names
from riskpredictor_kubectl.names import Body, condition
from riskpredictor_kubectl.remedies import findings, readiness
from riskpredictor_kubectl.resources import Resources, event_time, owner


@dataclass(frozen=True)
class Summary:
    """A RiskPredictor in one row."""

    namespace: str
    name: str
    ready: str
    reason: str
    message: str
    model: str
    serving: str
    ready_pods: int
    wanted_pods: int
    scaling: str
    """Bounds of the autoscaler, or the fixed size."""
    cpu_percent: int | None
    """Average of the pods in percent of their CPU request; None while unknown."""
    cpu_target: int | None
    """None if there is no autoscaler."""
    url: str
    image: str
    created: str

    @property
    def cpu(self) -> str:
        """Present and target CPU, as kubectl shows them for an autoscaler."""
        if self.cpu_target is None:
            return ""
        current = "<unknown>" if self.cpu_percent is None else f"{self.cpu_percent}%"
        return f"{current}/{self.cpu_target}%"

    @property
    def ready_of_wanted(self) -> str:
        """How many of the wanted pods are ready, as 2/3."""
        return f"{self.ready_pods}/{self.wanted_pods}"


def summary(predictor: Body, autoscaler: Body | None) -> Summary:
    """The row of a RiskPredictor, given the autoscaler that it owns."""
    metadata, spec = predictor["metadata"], predictor["spec"]
    status = predictor.get("status") or {}
    fixed = spec.get("replicas")
    ready, reason, message = readiness(predictor)
    return Summary(
        namespace=metadata["namespace"],
        name=metadata["name"],
        ready=ready,
        reason=reason,
        message=message,
        model=spec["modelVersion"],
        serving=status.get("servingVersion", ""),
        ready_pods=status.get("readyReplicas", 0),
        wanted_pods=_wanted(spec, status, autoscaler),
        scaling=f"{spec['minReplicas']}-{spec['maxReplicas']}" if fixed is None else str(fixed),
        cpu_percent=cpu_percent(autoscaler) if fixed is None else None,
        cpu_target=spec["targetCPUUtilizationPercentage"] if fixed is None else None,
        url=status.get("url", ""),
        image=status.get("image", ""),
        created=metadata["creationTimestamp"],
    )


def _wanted(spec: Body, status: Body, autoscaler: Body | None) -> int:
    if "replicas" in spec:
        return int(spec["replicas"])
    desired = ((autoscaler or {}).get("status") or {}).get("desiredReplicas")
    # Without metrics an autoscaler reports 0 and keeps the present number, within its bounds.
    number = desired or status.get("replicas", 0)
    return int(min(max(number, spec["minReplicas"]), spec["maxReplicas"]))


def summaries(predictors: Iterable[Body], autoscalers: Iterable[Body]) -> list[Summary]:
    """The rows of RiskPredictors, each with the autoscaler that it owns."""
    owned = {owner(each).get("uid"): each for each in autoscalers}
    return [summary(each, owned.get(each["metadata"]["uid"])) for each in predictors]


def cpu_percent(autoscaler: Body | None) -> int | None:
    """The average CPU use that an autoscaler last saw, in percent of the request."""
    for metric in ((autoscaler or {}).get("status") or {}).get("currentMetrics") or ():
        current = (metric.get("resource") or {}).get("current") or {}
        if "averageUtilization" in current:
            return int(current["averageUtilization"])
    return None


_NodeText = tuple[str, str, str]
"""The fields ``ready``, ``status`` and ``detail`` of a node."""


@dataclass(frozen=True)
class Node:
    """An object in the tree of a RiskPredictor."""

    kind: str
    name: str
    ready: str
    """True, False, Unknown, or a count as 2/3; empty if the kind has no readiness."""
    status: str
    detail: str
    created: str
    owned: bool = True
    children: tuple[Node, ...] = ()


def tree(resources: Resources) -> Node:
    """A RiskPredictor with its children below it."""
    one = _summary(resources)
    model = f"model {one.model}, serving {one.serving or 'none'}"
    children = [
        _deployment(resources),
        _child(resources, "Service", resources.service, _service),
        _child(resources, "HorizontalPodAutoscaler", resources.autoscaler, _autoscaler),
    ]
    return Node(
        names.KIND, resources.name, one.ready, one.reason, model, one.created,
        children=tuple(child for child in children if child is not None),
    )  # fmt: skip


def _summary(resources: Resources) -> Summary:
    autoscaler = resources.autoscaler
    owned = autoscaler is not None and resources.owns(autoscaler)
    return summary(resources.predictor, autoscaler if owned else None)


def _child(
    resources: Resources, kind: str, body: Body | None, describe: Callable[[Body], _NodeText]
) -> Node | None:
    if body is None:
        if kind == "HorizontalPodAutoscaler" and "replicas" in resources.predictor["spec"]:
            return None
        return Node(kind, resources.name, "", "Missing", "", "")
    created = body["metadata"]["creationTimestamp"]
    if not resources.owns(body):
        by = owner(body)
        whose = f"controlled by {by['kind']}/{by['name']}" if by else "without a controller"
        detail = f"not of this RiskPredictor: {whose}"
        return Node(kind, resources.name, "", "NotOwned", detail, created, owned=False)
    ready, status, detail = describe(body)
    return Node(kind, resources.name, ready, status, detail, created)


def _deployment(resources: Resources) -> Node | None:
    pods = tuple(_pod(pod_summary(body)) for body in resources.pods)
    node = _child(resources, "Deployment", resources.deployment, _deployment_text)
    return None if node is None else replace(node, children=pods)


def _deployment_text(body: Body) -> _NodeText:
    status, wanted = body.get("status") or {}, body["spec"].get("replicas", 1)
    progressing = condition(body, "Progressing")
    updated = status.get("updatedReplicas", 0)
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        word = "Stalled"
    elif updated < wanted or status.get("replicas", 0) > updated:
        word = "RollingOut"
    else:
        word = "Complete" if status.get("availableReplicas", 0) >= wanted else "Waiting"
    image = names.image(body["spec"]["template"]["spec"])
    return f"{status.get('readyReplicas', 0)}/{wanted}", word, f"image {image}"


def _service(body: Body) -> _NodeText:
    spec = body["spec"]
    ports = ",".join(
        f"{p['port']}" + (f":{p['nodePort']}" if "nodePort" in p else "") for p in spec["ports"]
    )
    ingress = ((body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    outside = [i.get("ip") or i.get("hostname") for i in ingress]
    address = f"{spec.get('clusterIP')}, port {ports}"
    return "", spec.get("type", ""), ", ".join([address, *outside])


def _autoscaler(body: Body) -> _NodeText:
    spec, status = body["spec"], body.get("status") or {}
    target = spec["metrics"][0]["resource"]["target"]["averageUtilization"]
    current = cpu_percent(body)
    cpu = "CPU <unknown>" if current is None else f"CPU {current}%"
    bounds = f"{spec['minReplicas']}-{spec['maxReplicas']}"
    # The autoscaler reports 0 until it has metrics.
    desired = status.get("desiredReplicas")
    wants = f"wants {desired} of {bounds}" if desired else f"bounds {bounds}"
    ready = condition(body, "ScalingActive").get("status", "Unknown")
    return ready, _autoscaler_status(body), f"{cpu} of {target}%, {wants}"


def _autoscaler_status(body: Body) -> str:
    """What an autoscaler does, by the rules of the operator's condition Autoscaling."""
    able, active = condition(body, "AbleToScale"), condition(body, "ScalingActive")
    if able.get("status") == "False" and able["reason"] in ("FailedGetScale", "FailedUpdateScale"):
        return "Failed"
    # It is switched off while the Deployment has 0 replicas, which the operator raises.
    if not active or active["reason"] == "ScalingDisabled":
        return "Waiting"
    if active["status"] == "True":
        return "Active"
    return "NoMetrics" if active["reason"].startswith("FailedGet") else "Failed"


def _pod(pod: PodSummary) -> Node:
    parts = [
        pod.version,
        f"{pod.restarts} restart{'' if pod.restarts == 1 else 's'}",
        f"on {pod.node}" if pod.node else "on no node",
    ]
    detail = ", ".join(filter(None, parts))
    return Node("Pod", pod.name, pod.ready, pod.status, detail, pod.created)


@dataclass(frozen=True)
class PodSummary:
    """A pod in one row."""

    name: str
    status: str
    """Its phase, or why its container does not run."""
    ready: str
    """True, False or Unknown."""
    restarts: int
    version: str
    node: str
    """Empty until it is scheduled."""
    created: str


def pod_summary(body: Body) -> PodSummary:
    """The row of a pod."""
    metadata, status = body["metadata"], body.get("status") or {}
    containers = status.get("containerStatuses") or ()
    states = [container.get("state") or {} for container in containers]
    reasons = [s[kind].get("reason") for kind in ("waiting", "terminated") for s in states
               if kind in s]  # fmt: skip
    if "deletionTimestamp" in metadata:
        word = "Terminating"
    elif condition(body, "PodScheduled").get("reason") == "Unschedulable":
        word = "Unschedulable"
    else:
        word = next(filter(None, reasons), status.get("phase", "Unknown"))
    return PodSummary(
        name=metadata["name"],
        status=word,
        ready=condition(body, "Ready").get("status", "False"),
        restarts=sum(container.get("restartCount", 0) for container in containers),
        version=names.model_version(body),
        node=body["spec"].get("nodeName", ""),
        created=metadata["creationTimestamp"],
    )


@dataclass(frozen=True)
class Event:
    """An Event in one row."""

    time: str
    type: str
    reason: str
    object: str
    """Kind and name."""
    message: str


def event(body: Body) -> Event:
    """The row of an Event."""
    about = body["involvedObject"]
    return Event(
        time=event_time(body),
        type=body.get("type", ""),
        reason=body.get("reason", ""),
        object=f"{about.get('kind', '')}/{about.get('name', '')}",
        message=body.get("message", ""),
    )


def status_document(resources: Resources) -> dict[str, Any]:
    """A RiskPredictor with all that is shown about it, as ``status NAME -o json`` prints it."""
    status = resources.predictor.get("status") or {}
    return {
        **asdict(_summary(resources)),
        "findings": [asdict(finding) for finding in findings(resources.predictor)],
        "tree": asdict(tree(resources)),
        "conditions": list(status.get("conditions") or ()),
        "events": [asdict(event(each)) for each in resources.events],
    }
