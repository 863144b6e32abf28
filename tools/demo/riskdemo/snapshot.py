"""What the monitor shows: the RiskPredictors of a cluster at one moment, as plain data."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kubernetes.utils import parse_quantity

from riskpredictor_kubectl import names, view
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.names import LABEL, Body, path

POD_METRICS = "/apis/metrics.k8s.io/v1beta1", "pods"
EVENTS = 8
"""How many of the newest Events are kept."""


@dataclass(frozen=True)
class Pod(view.PodSummary):
    """A pod with what it uses; None while unknown."""

    cpu: int | None
    """Thousandths of a core."""
    memory: int | None
    """MiB."""


@dataclass(frozen=True)
class Predictor(view.Summary):
    """A RiskPredictor with its pods."""

    pods: tuple[Pod, ...]


@dataclass(frozen=True)
class Event(view.Event):
    """An Event about a RiskPredictor."""

    namespace: str


@dataclass(frozen=True)
class Snapshot:
    """All of it."""

    time: str
    metrics_problem: str
    """Why CPU and memory are unknown; empty if they are known."""
    predictors: tuple[Predictor, ...]
    events: tuple[Event, ...]

    def json(self) -> str:
        """One line for scripts."""
        return json.dumps(asdict(self))


def take(client: Client, namespace: str) -> Snapshot:
    """Read it from the cluster, from all namespaces if ``namespace`` is empty.

    Raises:
        PluginError: the cluster does not answer, or does not know RiskPredictors.
    """
    declared = client.predictors(namespace)
    autoscalers = client.items(path(names.AUTOSCALERS, namespace), labelSelector=LABEL)
    pods = client.items(path(names.PODS, namespace), labelSelector=LABEL)
    about = "involvedObject.kind=RiskPredictor"
    events = client.items(path(names.EVENTS, namespace), fieldSelector=about)
    usage, problem = _usage(client, namespace)
    mine: dict[tuple[str, str], list[Pod]] = {}
    for body in sorted(pods, key=_key):
        metadata = body["metadata"]
        owner = metadata["namespace"], metadata["labels"][LABEL]
        mine.setdefault(owner, []).append(_pod(body, usage.get(_key(body))))
    rows = view.summaries(declared, autoscalers)
    found = sorted(map(_event, events), key=lambda event: event.time, reverse=True)
    return Snapshot(
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        problem,
        tuple(
            Predictor(**vars(row), pods=tuple(mine.get((row.namespace, row.name), ())))
            for row in rows
        ),
        tuple(found[:EVENTS]),
    )


def _key(body: Body) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _usage(client: Client, namespace: str) -> tuple[Mapping[tuple[str, str], Body], str]:
    """The metrics of each pod, and why there are none."""
    try:
        found = client.items(path(POD_METRICS, namespace))
    except PluginError:
        return {}, "metrics-server does not answer: no CPU, no memory, and no autoscaling"
    return {_key(body): body for body in found}, ""


def _pod(body: Body, metrics: Body | None) -> Pod:
    used = [container["usage"] for container in metrics["containers"]] if metrics else []
    return Pod(
        **vars(view.pod_summary(body)),
        cpu=round(sum(1000 * parse_quantity(each["cpu"]) for each in used)) if used else None,
        memory=round(sum(parse_quantity(each["memory"]) for each in used) / 2**20)
        if used
        else None,
    )


def _event(body: Body) -> Event:
    fields: Mapping[str, Any] = vars(view.event(body))
    return Event(**fields, namespace=body["involvedObject"]["namespace"])
