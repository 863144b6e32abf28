"""What is told about a RiskPredictor and its children, as plain data: the ``-o json`` of status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from riskpredictor_kubectl import names
from riskpredictor_kubectl.advice import findings, verdict
from riskpredictor_kubectl.family import Family, event_time, owner
from riskpredictor_kubectl.names import Body, condition


@dataclass(frozen=True)
class Summary:
    """One row of the overview."""

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
    """Average over the pods, in percent of their CPU request; None while unknown."""
    cpu_target: int | None
    """None where there is no autoscaler."""
    url: str
    image: str
    created: str

    @property
    def cpu(self) -> str:
        """As kubectl shows the target of an autoscaler."""
        if self.cpu_target is None:
            return ""
        current = "<unknown>" if self.cpu_percent is None else f"{self.cpu_percent}%"
        return f"{current}/{self.cpu_target}%"

    @property
    def pods(self) -> str:
        """Ready ones of those wanted."""
        return f"{self.ready_pods}/{self.wanted_pods}"


def summary(predictor: Body, autoscaler: Body | None) -> Summary:
    """From the RiskPredictor and its autoscaler, if it has one of its own."""
    metadata, spec = predictor["metadata"], predictor["spec"]
    status = predictor.get("status") or {}
    fixed = spec.get("replicas")
    ready, reason, message = verdict(predictor)
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
    # An autoscaler that has never seen metrics says 0; what runs stays then, within the bounds.
    number = desired or status.get("replicas", 0)
    return int(min(max(number, spec["minReplicas"]), spec["maxReplicas"]))


def summaries(predictors: Sequence[Body], autoscalers: Sequence[Body]) -> list[Summary]:
    """One for each RiskPredictor, with the autoscaler that it controls."""
    owned = {owner(each).get("uid"): each for each in autoscalers}
    return [summary(each, owned.get(each["metadata"]["uid"])) for each in predictors]


def cpu_percent(autoscaler: Body | None) -> int | None:
    """Average use of the CPU request that the autoscaler last saw."""
    for metric in ((autoscaler or {}).get("status") or {}).get("currentMetrics") or ():
        current = (metric.get("resource") or {}).get("current") or {}
        if "averageUtilization" in current:
            return int(current["averageUtilization"])
    return None


@dataclass(frozen=True)
class Node:
    """One object of the tree."""

    kind: str
    name: str
    ready: str
    """True, False, Unknown, or how many of how many; empty where there is no such thing."""
    status: str
    detail: str
    created: str
    owned: bool = True
    children: tuple[Node, ...] = ()


def tree(family: Family) -> Node:
    """The RiskPredictor with its children below it."""
    one = summary(family.predictor, _own(family, family.autoscaler))
    model = f"model {one.model}, serving {one.serving or 'none'}"
    children = [
        _deployment(family),
        _child(family, "Service", family.service, _service),
        _child(family, "HorizontalPodAutoscaler", family.autoscaler, _autoscaler),
    ]
    return Node(
        names.KIND, family.name, one.ready, one.reason, model, one.created,
        children=tuple(child for child in children if child is not None),
    )  # fmt: skip


def _own(family: Family, child: Body | None) -> Body | None:
    return child if child is not None and family.owns(child) else None


def _child(family: Family, kind: str, body: Body | None, describe: Any) -> Node | None:
    if body is None:
        if kind == "HorizontalPodAutoscaler" and "replicas" in family.predictor["spec"]:
            return None
        return Node(kind, family.name, "", "Missing", "", "")
    created = body["metadata"]["creationTimestamp"]
    if not family.owns(body):
        by = owner(body)
        whose = f"controlled by {by['kind']}/{by['name']}" if by else "without a controller"
        detail = f"not of this RiskPredictor: {whose}"
        return Node(kind, family.name, "", "NotOwned", detail, created, owned=False)
    ready, status, detail = describe(body)
    return Node(kind, family.name, ready, status, detail, created)


def _deployment(family: Family) -> Node | None:
    pods = tuple(map(_pod, family.pods))
    node = _child(family, "Deployment", family.deployment, _deployment_words)
    return None if node is None else Node(**{**vars(node), "children": pods})


def _deployment_words(body: Body) -> tuple[str, str, str]:
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


def _service(body: Body) -> tuple[str, str, str]:
    spec = body["spec"]
    ports = ",".join(
        f"{p['port']}" + (f":{p['nodePort']}" if "nodePort" in p else "") for p in spec["ports"]
    )
    ingress = ((body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    outside = [i.get("ip") or i.get("hostname") for i in ingress]
    address = f"{spec.get('clusterIP')}, port {ports}"
    return "", spec.get("type", ""), ", ".join([address, *outside])


def _autoscaler(body: Body) -> tuple[str, str, str]:
    spec, status = body["spec"], body.get("status") or {}
    active = condition(body, "ScalingActive")
    word = "Waiting" if not active else "Active" if active["status"] == "True" else "NoMetrics"
    target = spec["metrics"][0]["resource"]["target"]["averageUtilization"]
    current = cpu_percent(body)
    cpu = "CPU <unknown>" if current is None else f"CPU {current}%"
    bounds = f"{spec['minReplicas']}-{spec['maxReplicas']}"
    # One that has never seen metrics says 0, and means nothing by it.
    desired = status.get("desiredReplicas")
    wants = f"wants {desired} of {bounds}" if desired else f"bounds {bounds}"
    return active.get("status", "Unknown"), word, f"{cpu} of {target}%, {wants}"


def _pod(body: Body) -> Node:
    metadata, status = body["metadata"], body.get("status") or {}
    containers = status.get("containerStatuses") or ()
    states = [container.get("state") or {} for container in containers]
    waiting = [s["waiting"].get("reason", "") for s in states if "waiting" in s]
    ended = [s["terminated"].get("reason", "") for s in states if "terminated" in s]
    if "deletionTimestamp" in metadata:
        word = "Terminating"
    elif condition(body, "PodScheduled").get("reason") == "Unschedulable":
        word = "Unschedulable"
    else:
        word = next((w for w in [*waiting, *ended] if w), status.get("phase", "Unknown"))
    restarts = sum(container.get("restartCount", 0) for container in containers)
    node = body["spec"].get("nodeName")
    parts = [
        names.model_version(body),
        f"{restarts} restart{'' if restarts == 1 else 's'}",
        f"on {node}" if node else "on no node",
    ]
    ready = condition(body, "Ready").get("status", "False")
    return Node("Pod", metadata["name"], ready, word, ", ".join(filter(None, parts)),
                metadata["creationTimestamp"])  # fmt: skip


def everything(family: Family) -> dict[str, Any]:
    """All of it as plain data."""
    one = summary(family.predictor, _own(family, family.autoscaler))
    return {
        **asdict(one),
        "findings": [asdict(finding) for finding in findings(family.predictor)],
        "tree": asdict(tree(family)),
        "conditions": list((family.predictor.get("status") or {}).get("conditions") or ()),
        "events": [_event(event) for event in family.events],
    }


def _event(event: Body) -> dict[str, Any]:
    about = event["involvedObject"]
    return {
        "time": event_time(event),
        "type": event.get("type", ""),
        "reason": event.get("reason", ""),
        "object": f"{about.get('kind', '')}/{about.get('name', '')}",
        "message": event.get("message", ""),
    }
