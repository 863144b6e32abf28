"""What ``status`` shows about a RiskPredictor and its children, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from riskpredictor_kubectl import autoscalers, model_change, model_source, names
from riskpredictor_kubectl.names import Body, condition
from riskpredictor_kubectl.remedies import findings, readiness
from riskpredictor_kubectl.resources import Resources, event_time, owner, scaled_by_others


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
    digest: str
    """Of the declared model; empty if it is in the image."""
    source: str
    """The store that it comes from; empty if it is in the image."""
    serving_digest: str
    """Of the model from a store that answers now."""
    candidate: str
    """The version on trial; empty if there is none."""
    step: str
    """Of the change of the model that is under way, observed or aborted; empty if there is none."""
    progressive: bool
    """Whether another model has to pass gates before it serves."""
    ready_pods: int
    wanted_pods: int
    scaling: str
    """Bounds of the autoscaler, the fixed size, or ``external``."""
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
        current = autoscalers.UNKNOWN if self.cpu_percent is None else f"{self.cpu_percent}%"
        return f"{current}/{self.cpu_target}%"

    @property
    def ready_of_wanted(self) -> str:
        """How many of the wanted pods are ready, as 2/3."""
        return f"{self.ready_pods}/{self.wanted_pods}"


def summary(predictor: Body, autoscaler: Body | None) -> Summary:
    """The row of a RiskPredictor, given the autoscaler that it owns."""
    metadata, spec = predictor["metadata"], predictor["spec"]
    status = predictor.get("status") or {}
    managed = "replicas" not in spec and not scaled_by_others(predictor)
    model = spec.get("model") or {}
    ready, reason, message = readiness(predictor)
    change = model_change.current(predictor)
    return Summary(
        namespace=metadata["namespace"],
        name=metadata["name"],
        ready=ready,
        reason=reason,
        message=message,
        model=spec["modelVersion"],
        serving=status.get("servingVersion", ""),
        digest=model.get("digest", ""),
        source=model_source.place(model.get("source") or {}),
        serving_digest=(status.get("model") or {}).get("digest", ""),
        candidate=change.after.version if change else "",
        step=change.step if change else "",
        progressive=(spec.get("rollout") or {}).get("strategy") == "Progressive",
        ready_pods=status.get("readyReplicas", 0),
        wanted_pods=_wanted(predictor, autoscaler),
        scaling=_scaling(spec, managed=managed),
        cpu_percent=autoscalers.cpu_percent(autoscaler) if managed else None,
        cpu_target=spec["targetCPUUtilizationPercentage"] if managed else None,
        url=status.get("url", ""),
        image=status.get("image", ""),
        created=metadata["creationTimestamp"],
    )


def _scaling(spec: Body, *, managed: bool) -> str:
    if managed:
        return f"{spec['minReplicas']}-{spec['maxReplicas']}"
    return str(spec.get("replicas", "external"))


def _wanted(predictor: Body, autoscaler: Body | None) -> int:
    spec, status = predictor["spec"], predictor.get("status") or {}
    if "replicas" in spec:
        return int(spec["replicas"])
    desired = ((autoscaler or {}).get("status") or {}).get("desiredReplicas")
    # Without metrics an autoscaler reports 0 and keeps the present number, within its bounds.
    number = desired or status.get("replicas", 0)
    if scaled_by_others(predictor):
        return int(number)
    return int(min(max(number, spec["minReplicas"]), spec["maxReplicas"]))


def summaries(predictors: Iterable[Body], autoscalers: Iterable[Body]) -> list[Summary]:
    """The rows of RiskPredictors, each with the autoscaler that it owns."""
    owned = {owner(each).get("uid"): each for each in autoscalers}
    return [summary(each, owned.get(each["metadata"]["uid"])) for each in predictors]


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
    children = [
        _deployment(resources),
        _disruption_budget(resources),
        _child(resources, "Service", resources.service, _service),
        _autoscaler(resources),
    ]
    return Node(
        names.KIND, resources.name, one.ready, one.reason, _model(one), one.created,
        children=tuple(child for child in children if child is not None),
    )  # fmt: skip


def _model(one: Summary) -> str:
    """The declared model and the one that answers; digests where a model comes from a store."""
    declared, serving = f"model {one.model}", f"serving {one.serving or 'none'}"
    if one.digest:
        declared += f" {model_source.short(one.digest)} from {one.source}"
    if one.serving_digest not in ("", one.digest):
        serving += f" {model_source.short(one.serving_digest)}"
    return f"{declared}, {serving}"


def _summary(resources: Resources) -> Summary:
    autoscaler = resources.autoscaler
    ours = scaled_by_others(resources.predictor) or (autoscaler and resources.owns(autoscaler))
    return summary(resources.predictor, autoscaler if ours else None)


def _child(
    resources: Resources, kind: str, body: Body | None, describe: Callable[[Body], _NodeText]
) -> Node:
    if body is None:
        return Node(kind, resources.name, "", "Missing", "", "")
    created = body["metadata"]["creationTimestamp"]
    if not resources.owns(body):
        by = owner(body)
        whose = f"controlled by {by['kind']}/{by['name']}" if by else "without a controller"
        detail = f"not of this RiskPredictor: {whose}"
        return Node(kind, resources.name, "", "NotOwned", detail, created, owned=False)
    ready, status, detail = describe(body)
    return Node(kind, resources.name, ready, status, detail, created)


def _deployment(resources: Resources) -> Node:
    pods = tuple(_pod(pod_summary(body)) for body in resources.pods)
    node = _child(resources, "Deployment", resources.deployment, _deployment_text)
    return replace(node, children=pods)


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
    inside = spec.get("clusterIPs") or [str(spec.get("clusterIP"))]
    return "", spec.get("type", ""), ", ".join([*inside, f"port {ports}", *outside])


def _autoscaler(resources: Resources) -> Node | None:
    body, kind = resources.autoscaler, "HorizontalPodAutoscaler"
    if scaled_by_others(resources.predictor):
        return None if body is None else _of_others(kind, body)
    if body is None and "replicas" in resources.predictor["spec"]:
        return None
    return _child(resources, kind, body, _autoscaler_text)


def _autoscaler_text(body: Body) -> _NodeText:
    ready = condition(body, "ScalingActive").get("status", "Unknown")
    return ready, autoscalers.status(body), autoscalers.text(body)


def _of_others(kind: str, body: Body) -> Node:
    """An autoscaler that spec.autoscaler leaves the number of pods to."""
    metadata, by = body["metadata"], owner(body)
    ready, status, detail = _autoscaler_text(body)
    detail += f", controlled by {by['kind']}/{by['name']}" if by else ""
    return Node(kind, metadata["name"], ready, status, detail, metadata["creationTimestamp"],
                owned=False)  # fmt: skip


def _disruption_budget(resources: Resources) -> Node | None:
    # Without one nothing is wrong: a single pod needs none, and the spec can switch it off.
    body = resources.disruption_budget
    kind = "PodDisruptionBudget"
    return None if body is None else _child(resources, kind, body, _disruption_budget_text)


def _disruption_budget_text(body: Body) -> _NodeText:
    spec, status = body["spec"], body.get("status") or {}
    bounds = [f"{name} {spec[name]}" for name in ("minAvailable", "maxUnavailable") if name in spec]
    allowed = f"{status.get('disruptionsAllowed', 0)} may be evicted now"
    word = condition(body, "DisruptionAllowed").get("reason", "Waiting")
    return "", word, ", ".join([*bounds, allowed])


def _pod(pod: PodSummary) -> Node:
    parts = [
        pod.end,
        pod.version,
        f"candidate {pod.candidate}" if pod.candidate else "",
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
    """Its phase, why a container does not run, or ``Ended``."""
    ready: str
    """True, False or Unknown; empty if it has ended."""
    restarts: int
    version: str
    candidate: str
    """The version on trial in it; empty if there is none."""
    node: str
    """Empty until it is scheduled."""
    end: str
    """Why it has ended, if it has; it is history then, and another pod takes its place."""
    created: str


def pod_summary(body: Body) -> PodSummary:
    """The row of a pod."""
    metadata, status = body["metadata"], body.get("status") or {}
    containers = status.get("containerStatuses") or ()
    ended = status.get("phase") in ("Failed", "Succeeded")
    if "deletionTimestamp" in metadata:
        word = "Terminating"
    elif ended:
        word = "Ended"
    elif condition(body, "PodScheduled").get("reason") == "Unschedulable":
        word = "Unschedulable"
    else:
        word = _cause(status) or status.get("phase", "Unknown")
    return PodSummary(
        name=metadata["name"],
        status=word,
        ready="" if ended else condition(body, "Ready").get("status", "False"),
        restarts=sum(container.get("restartCount", 0) for container in containers),
        version=names.model_version(body),
        candidate=names.candidate_version(body),
        node=body["spec"].get("nodeName", ""),
        end=(status.get("reason") or status["phase"]) if ended else "",
        created=metadata["creationTimestamp"],
    )


def _cause(status: Body) -> str:
    """Why a container of a pod does not run; empty if there is no reason.

    As kubectl writes it, ``Init:`` stands before that of an init container; a container beside
    the predictor is named.
    """
    inits = [
        (f"Init:{reason}", container)
        for container, reason in _reasons(status.get("initContainerStatuses"))
        if reason not in ("Completed", "PodInitializing")
    ]
    others = [(reason, container) for container, reason in _reasons(status.get("containerStatuses"))
              if not (inits and reason == "PodInitializing")]  # fmt: skip
    word, container = next(iter(inits + others), ("", names.CONTAINER))
    return word if container == names.CONTAINER else f"{word} ({container})"


def _reasons(containers: Sequence[Body] | None) -> list[tuple[str, str]]:
    """The containers that do not run, each with its reason; those that wait come first."""
    return [
        (container["name"], container["state"][kind]["reason"])
        for kind in ("waiting", "terminated")
        for container in containers or ()
        if ((container.get("state") or {}).get(kind) or {}).get("reason")
    ]


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
