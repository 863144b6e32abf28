"""A RiskPredictor and what belongs to it, as the cluster has it at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from riskpredictor_kubectl import names
from riskpredictor_kubectl.cluster import Cluster
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.names import Body, path


@dataclass(frozen=True)
class Family:
    """Objects by the names that the operator gives them; None where there is none."""

    predictor: Body
    deployment: Body | None = None
    service: Body | None = None
    autoscaler: Body | None = None
    pods: Sequence[Body] = field(default=())
    events: Sequence[Body] = field(default=())
    """About any of them, the newest first."""

    @property
    def name(self) -> str:
        """Of the RiskPredictor, and of its children."""
        return str(self.predictor["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Of all of them."""
        return str(self.predictor["metadata"]["namespace"])

    def owns(self, child: Body) -> bool:
        """Whether the child is the RiskPredictor's own; the operator touches no other."""
        return bool(owner(child).get("uid") == self.predictor["metadata"]["uid"])


def gather(cluster: Cluster, namespace: str, name: str) -> Family:
    """Ask for all of it."""
    predictor = cluster.predictor(namespace, name)
    deployment = cluster.find(path(names.DEPLOYMENTS, namespace, name))
    pods = cluster.items(path(names.PODS, namespace), labelSelector=f"{names.LABEL}={name}")
    return Family(
        predictor=predictor,
        deployment=deployment,
        service=cluster.find(path(names.SERVICES, namespace, name)),
        autoscaler=cluster.find(path(names.AUTOSCALERS, namespace, name)),
        pods=sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"])),
        events=_events(cluster, namespace, name, pods),
    )


def serving(cluster: Cluster, name: str) -> tuple[Body, Body]:
    """A RiskPredictor that answers, and its Service.

    Raises:
        PluginError: no pod answers, or the Service of its name is somebody else's.
    """
    predictor = cluster.predictor(cluster.namespace, name)
    service = cluster.find(path(names.SERVICES, cluster.namespace, name))
    problem = ""
    if service is None:
        problem = "has no Service yet"
    elif owner(service).get("uid") != predictor["metadata"]["uid"]:
        problem = "does not own the Service of its name"
    elif not (predictor.get("status") or {}).get("readyReplicas"):
        problem = "has no pod that answers"
    if service is None or problem:
        raise PluginError(f"{name} {problem}; see: kubectl riskpredictor status {name}")
    return predictor, service


def owner(child: Body) -> Body:
    """The owner reference of the object's controller; empty if nobody is."""
    owners = child["metadata"].get("ownerReferences") or ()
    return next((o for o in owners if o.get("controller")), {})


def _events(cluster: Cluster, namespace: str, name: str, pods: Sequence[Body]) -> list[Body]:
    # One list for all: field selectors have no OR, and a namespace's Events live for an hour.
    about = {name, *(pod["metadata"]["name"] for pod in pods)}
    # Where a quota or a policy refuses the pods, their ReplicaSet alone tells why.
    about |= {each["name"] for pod in pods for each in pod["metadata"].get("ownerReferences") or ()}
    found = [
        event
        for event in cluster.items(path(names.EVENTS, namespace))
        if event["involvedObject"].get("name") in about
    ]
    return sorted(found, key=event_time, reverse=True)


def event_time(event: Body) -> str:
    """When it happened last."""
    series = (event.get("series") or {}).get("lastObservedTime")
    last = series or event.get("lastTimestamp") or event.get("eventTime")
    return str(last or event["metadata"]["creationTimestamp"])
