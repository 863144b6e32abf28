"""What a cluster says about its predictors at one moment, as plain data."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from riskdemo.quantities import mebibytes, millicores
from riskdemo.shell import DemoError, Kubectl
from riskdemo.state import condition, cpu_percent

LABEL = "healthtech.dev/riskpredictor"
VERSION_LABEL = "healthtech.dev/model-version"
EVENTS = 8
"""How many of the newest Events are kept."""

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """One predictor pod. ``cpu`` in millicores and ``memory`` in MiB; None while unknown."""

    name: str
    state: str
    ready: bool
    restarts: int
    age_seconds: int
    version: str
    cpu: int | None
    memory: int | None


@dataclass(frozen=True)
class Predictor:
    """One RiskPredictor with its autoscaler and pods."""

    namespace: str
    name: str
    model: str
    serving: str
    ready: str
    reason: str
    message: str
    scaling: str
    """Bounds of the autoscaler, or the fixed size."""
    desired: int | None
    cpu_percent: int | None
    """Average over the pods, in percent of their request; None while unknown."""
    cpu_target: int | None
    pods: tuple[Pod, ...]


@dataclass(frozen=True)
class Event:
    """One Event about a RiskPredictor."""

    age_seconds: int
    kind: str
    reason: str
    about: str
    message: str


@dataclass(frozen=True)
class Snapshot:
    """All of it."""

    time: str
    metrics_problem: str
    """Why CPU and memory are unknown; empty when they are known."""
    predictors: tuple[Predictor, ...]
    events: tuple[Event, ...]

    def json(self) -> str:
        """One line for machines."""
        return json.dumps(asdict(self))


def take(kubectl: Kubectl, *, everywhere: bool = False) -> Snapshot:
    """Ask the cluster.

    Raises:
        DemoError: it does not answer, or does not know RiskPredictors.
    """
    scope = ("--all-namespaces",) if everywhere else ()
    declared = _predictors(kubectl, scope)
    children = kubectl.json("get", "hpa,pods", f"--selector={LABEL}", *scope)["items"]
    about = ("events", "--field-selector=involvedObject.kind=RiskPredictor")
    events = kubectl.json("get", *about, *scope)["items"]
    used, problem = _usage(kubectl, everywhere)
    now = datetime.datetime.now(datetime.UTC)
    return Snapshot(
        now.isoformat(timespec="seconds"),
        problem,
        tuple(_predictor(body, children, used, now) for body in declared),
        tuple(sorted((_event(body, now) for body in events), key=_age)[:EVENTS]),
    )


def _predictors(kubectl: Kubectl, scope: tuple[str, ...]) -> list[Object]:
    try:
        found: list[Object] = kubectl.json("get", "riskpredictors", *scope)["items"]
    except DemoError as error:
        if "doesn't have a resource type" in str(error):
            raise DemoError(
                "the cluster does not know RiskPredictors\n  next: kubectl apply -k deploy/operator"
            ) from None
        raise
    return found


def _usage(kubectl: Kubectl, everywhere: bool) -> tuple[dict[tuple[str, str], Object], str]:
    """Use of each container group by (namespace, pod), and why it is unknown."""
    where = "" if everywhere else f"/namespaces/{kubectl.namespace}"
    try:
        found = json.loads(kubectl("get", "--raw", f"/apis/metrics.k8s.io/v1beta1{where}/pods"))
    except DemoError:
        return {}, "metrics-server does not answer: no CPU, no memory, and no autoscaling"
    items = found["items"]
    return {(i["metadata"]["namespace"], i["metadata"]["name"]): i for i in items}, ""


def _predictor(
    body: Object,
    children: Iterable[Object],
    used: Mapping[tuple[str, str], Object],
    now: datetime.datetime,
) -> Predictor:
    meta, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    mine = [
        child
        for child in children
        if child["metadata"]["namespace"] == meta["namespace"]
        and child["metadata"]["labels"][LABEL] == meta["name"]
    ]
    autoscaler = next((child for child in mine if child["kind"] != "Pod"), {})
    ready = condition(status, "Ready")
    pods = (
        _pod(child, used.get((meta["namespace"], child["metadata"]["name"])), now)
        for child in mine
        if child["kind"] == "Pod"
    )
    fixed = spec.get("replicas")
    bounds = (
        f"{spec['minReplicas']} to {spec['maxReplicas']}" if fixed is None else f"{fixed} fixed"
    )
    return Predictor(
        namespace=meta["namespace"],
        name=meta["name"],
        model=spec["modelVersion"],
        serving=status.get("servingVersion", ""),
        ready=ready.get("status", "Unknown"),
        reason=ready.get("reason", "no word from the operator yet"),
        message=ready.get("message", ""),
        scaling=bounds,
        desired=fixed or (autoscaler.get("status") or {}).get("desiredReplicas") or None,
        cpu_percent=cpu_percent(autoscaler),
        cpu_target=spec["targetCPUUtilizationPercentage"] if fixed is None else None,
        pods=tuple(sorted(pods, key=lambda pod: pod.name)),
    )


def _pod(body: Object, used: Object | None, now: datetime.datetime) -> Pod:
    meta, status = body["metadata"], body.get("status") or {}
    containers = status.get("containerStatuses") or ()
    waiting = (c["state"]["waiting"].get("reason") for c in containers if "waiting" in c["state"])
    state = "Terminating" if "deletionTimestamp" in meta else next(waiting, status.get("phase"))
    usage = [container["usage"] for container in used["containers"]] if used else []
    return Pod(
        name=meta["name"],
        state=state or "Unknown",
        ready=condition(status, "Ready").get("status") == "True",
        restarts=sum(c["restartCount"] for c in containers),
        age_seconds=_seconds(meta["creationTimestamp"], now),
        version=meta["labels"].get(VERSION_LABEL, ""),
        cpu=sum(millicores(each["cpu"]) for each in usage) if usage else None,
        memory=sum(mebibytes(each["memory"]) for each in usage) if usage else None,
    )


def _event(body: Object, now: datetime.datetime) -> Event:
    last = body.get("lastTimestamp") or body.get("eventTime")
    about = body["involvedObject"]
    return Event(
        age_seconds=_seconds(last or body["metadata"]["creationTimestamp"], now),
        kind=body.get("type", ""),
        reason=body.get("reason", ""),
        about=f"{about['namespace']}/{about['name']}",
        message=body.get("message", ""),
    )


def _age(event: Event) -> int:
    return event.age_seconds


def _seconds(since: str, now: datetime.datetime) -> int:
    return max(0, round((now - datetime.datetime.fromisoformat(since)).total_seconds()))
