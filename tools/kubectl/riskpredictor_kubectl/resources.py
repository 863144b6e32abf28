"""A RiskPredictor with its children and Events, read from the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from riskpredictor_kubectl import names
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError, ServerError
from riskpredictor_kubectl.names import Body, path


@dataclass(frozen=True)
class Resources:
    """A RiskPredictor and the objects of its name; None where there is none."""

    predictor: Body
    deployment: Body | None = None
    service: Body | None = None
    autoscaler: Body | None = None
    """Its own, or with ``spec.autoscaler: External`` the one that scales its Deployment."""
    disruption_budget: Body | None = None
    pods: Sequence[Body] = field(default=())
    events: Sequence[Body] = field(default=())
    """Those about any of them, the newest first."""

    @property
    def name(self) -> str:
        """The name of the RiskPredictor and of its children."""
        return str(self.predictor["metadata"]["name"])

    def owns(self, child: Body) -> bool:
        """Whether the child is the RiskPredictor's own; the operator touches no other."""
        return owns(self.predictor, child)


def gather(client: Client, namespace: str, name: str) -> Resources:
    """Read all of it."""
    predictor = client.predictor(namespace, name)
    pods = client.items(path(names.PODS, namespace), labelSelector=f"{names.LABEL}={name}")
    return Resources(
        predictor=predictor,
        deployment=client.find(path(names.DEPLOYMENTS, namespace, name)),
        service=client.find(path(names.SERVICES, namespace, name)),
        autoscaler=_autoscaler(client, predictor),
        disruption_budget=_disruption_budget(client, namespace, name),
        pods=sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"])),
        events=_events(client, namespace, name, pods),
    )


def autoscaler_of(client: Client, predictor: Body) -> Body | None:
    """The autoscaler of a RiskPredictor, if it owns one."""
    metadata = predictor["metadata"]
    found = client.find(path(names.AUTOSCALERS, metadata["namespace"], metadata["name"]))
    return found if found is not None and owns(predictor, found) else None


def scaled_by_others(predictor: Body) -> bool:
    """Whether the number of pods is left to an autoscaler that the operator does not make."""
    return bool(predictor["spec"].get("autoscaler") == "External")


def _autoscaler(client: Client, predictor: Body) -> Body | None:
    namespace, name = predictor["metadata"]["namespace"], predictor["metadata"]["name"]
    if not scaled_by_others(predictor):
        return client.find(path(names.AUTOSCALERS, namespace, name))
    every = client.items(path(names.AUTOSCALERS, namespace))
    return next((each for each in every if _scales(each, name)), None)


def _scales(autoscaler: Body, name: str) -> bool:
    target = autoscaler["spec"]["scaleTargetRef"]
    return bool(target["name"] == name and target["kind"] in ("Deployment", names.KIND))


def _disruption_budget(client: Client, namespace: str, name: str) -> Body | None:
    try:
        return client.find(path(names.DISRUPTION_BUDGETS, namespace, name))
    except ServerError as error:
        # The rest is worth showing to people who may not read it.
        if error.status == 403:
            return None
        raise


def serving(client: Client, name: str) -> tuple[Body, Body]:
    """A RiskPredictor of which a pod answers, and its Service.

    Raises:
        PluginError: no pod answers, or it does not own the Service of its name.
    """
    predictor = client.predictor(client.namespace, name)
    service = client.find(path(names.SERVICES, client.namespace, name))
    problem = ""
    if service is None:
        problem = "has no Service yet"
    elif not owns(predictor, service):
        problem = "does not own the Service of its name"
    elif not (predictor.get("status") or {}).get("readyReplicas"):
        problem = "has no pod that answers"
    if service is None or problem:
        raise PluginError(f"{name} {problem}; see: kubectl riskpredictor status {name}")
    return predictor, service


def owner(child: Body) -> Body:
    """The owner reference of an object's controller; empty if it has none."""
    owners = child["metadata"].get("ownerReferences") or ()
    return next((o for o in owners if o.get("controller")), {})


def owns(parent: Body, child: Body) -> bool:
    """Whether an object is the controller of another one."""
    return bool(owner(child).get("uid") == parent["metadata"]["uid"])


def _events(client: Client, namespace: str, name: str, pods: Sequence[Body]) -> list[Body]:
    # Field selectors have no OR, so all Events of the namespace are read: those of an hour.
    about = {name, *(pod["metadata"]["name"] for pod in pods)}
    # If a quota or a policy refuses the pods, only their ReplicaSet has an Event.
    about |= {each["name"] for pod in pods for each in pod["metadata"].get("ownerReferences") or ()}
    found = [
        event
        for event in client.items(path(names.EVENTS, namespace))
        if event["involvedObject"].get("name") in about
    ]
    return sorted(found, key=event_time, reverse=True)


def event_time(event: Body) -> str:
    """When an Event happened last."""
    series = (event.get("series") or {}).get("lastObservedTime")
    last = series or event.get("lastTimestamp") or event.get("eventTime")
    return str(last or event["metadata"]["creationTimestamp"])
