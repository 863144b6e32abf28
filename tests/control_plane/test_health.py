"""Health at every observed moment of a life: Ready=True is true, and kstatus and Argo CD agree.

It is held against the Deployment as it was at that moment, not against the status: both are
watched. A resource version is etcd's revision, one sequence for all kinds (as long as they share
an etcd, which they do here), so it puts what two watches saw into one order. The operator learns
of a change by a watch and writes its answer after that, so Ready may stay True over a Deployment
that has just lost a pod, but not longer than ``REACTION_SECONDS``; and it must never be *set* over
one that had been short of pods for as long.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import yaml

import kstatus
from riskpredictor_operator.core.api import POD
from riskpredictor_operator.kube import Key
from support import foreign, lua
from support.api import DEPLOYMENT, RISKPREDICTOR, SERVICE, Api, Body, eventually
from support.lua import SCRIPT
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")

REACTION_SECONDS = 1.0
ARGO = {"Current": "Healthy", "Failed": "Degraded", "InProgress": "Progressing"}
"""Argo CD's word for kstatus's."""


@dataclass(frozen=True)
class Moment:
    """One state of the RiskPredictor or of its Deployment."""

    seen: float
    event: str
    kind: str
    body: Body

    @property
    def revision(self) -> int:
        return int(self.body["metadata"]["resourceVersion"])


def test_every_moment_of_a_life_is_honest(api: Api, predictors: Predictors) -> None:
    key = Key(predictors.namespace, "risk")
    moments: list[Moment] = []
    fields = f"metadata.name={key.name}"
    with ExitStack() as stack:
        for resource in (RISKPREDICTOR, DEPLOYMENT):

            def note(event: str, body: Body, kind: str = resource.kind) -> None:
                moments.append(Moment(time.monotonic(), event, kind, body))

            stack.enter_context(api.following(resource, key.namespace, note, fields=fields))
        _live(api, predictors, key)
        told = [m.body for m in moments if m.kind == RISKPREDICTOR.kind]
        lies = list(_lies(sorted(moments, key=lambda moment: moment.revision)))
        api.delete(RISKPREDICTOR, key)
        eventually(lambda: any(moment.event == "DELETED" for moment in moments))
    assert len(told) > 30
    assert len([body for body in told if _says_ready(body)]) >= 8, "it was Ready again and again"
    assert len([m for m in moments if m.kind == DEPLOYMENT.kind]) > 30
    assert not lies, "\n".join(lies)
    for moment in moments:
        if moment.kind == RISKPREDICTOR.kind:
            assert kstatus.violations(moment.body) == [], moment.body["status"]
            _argo_agrees(moment.body)


def _live(api: Api, predictors: Predictors, key: Key) -> None:
    """A life in which the wanted number and the available one keep changing."""
    predictors.create()
    predictors.wait(key)
    for number in (4, 2):
        # As the autoscaler does it.
        scale = f"/apis/apps/v1/namespaces/{key.namespace}/deployments/{key.name}/scale"
        api.request("PATCH", scale, {"spec": {"replicas": number}}, "application/merge-patch+json")
        time.sleep(1.5)
        predictors.wait(key)
    for change in (
        {"modelVersion": "v2"}, {"minReplicas": 3}, {"replicas": 5}, {"replicas": 1},
        {"modelVersion": "v3", "replicas": None}, {"maxReplicas": 3},
    ):  # fmt: skip
        predictors.patch(key, **change)
        predictors.wait(key)
    for count in (1, 3):
        _lose(api, key, count)
        predictors.wait(key)
    predictors.patch(key, modelVersion="v4", podTemplate={"nodeSelector": {"no": "node"}})
    predictors.wait(key, "False", "Unschedulable")
    _lose(api, key, 1)
    predictors.patch(key, podTemplate={"nodeSelector": None})
    predictors.wait(key)
    predictors.patch(key, suspend=True)
    predictors.wait(key, "False", "Suspended")
    predictors.patch(key, suspend=False)
    predictors.wait(key)


def _lose(api: Api, key: Key, count: int) -> None:
    """So many pods that answer are gone, at once; returns when the Deployment has noticed."""
    before = _ready_pods(api, key)
    for name in before[:count]:
        body = {"gracePeriodSeconds": 0}
        api.request("DELETE", f"/api/v1/namespaces/{key.namespace}/pods/{name}", body)
    eventually(lambda: not set(before[:count]) & set(_ready_pods(api, key)))
    time.sleep(0.2)


def _ready_pods(api: Api, key: Key) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in api.items(POD, key.namespace)
        for condition in pod["status"].get("conditions", ())
        if condition["type"] == "Ready" and condition["status"] == "True"
    ]


def _lies(moments: list[Moment]) -> Iterator[str]:
    """Ready=True over a Deployment that had been short for longer than a reaction takes."""
    predictor: Body | None = None
    deployment: Body | None = None
    short, since = "", 0.0
    for moment in moments:
        if _is_lie(predictor, short, moment.seen - since):
            yield f"still {moment.seen - since:.2f} s after: {short}"
        if moment.kind == RISKPREDICTOR.kind:
            predictor = moment.body
        else:
            deployment = moment.body
        was, short = short, _shortage(predictor, deployment)
        if short and not was:
            since = moment.seen
        if _is_lie(predictor, short, moment.seen - since):
            yield f"said {moment.seen - since:.2f} s after: {short}"
    if _is_lie(predictor, short, REACTION_SECONDS * 2):
        yield f"in the end: {short}"


def _is_lie(predictor: Body | None, short: str, seconds: float) -> bool:
    if predictor is None or not short or seconds <= REACTION_SECONDS:
        return False
    return _says_ready(predictor)


def _shortage(predictor: Body | None, deployment: Body | None) -> str:
    """What a Ready=True would hide; empty where it would hide nothing."""
    if predictor is None or deployment is None:
        return "there is no Deployment"
    spec, status = predictor["spec"], deployment.get("status") or {}
    chosen = deployment["spec"]["replicas"]
    # What the load wants beyond the minimum is no promise of the spec.
    least = spec.get("replicas", spec["minReplicas"])
    version = deployment["spec"]["template"]["metadata"]["labels"]["healthtech.dev/model-version"]
    facts = {
        f"{chosen} pods are out of bounds": "replicas" not in spec
        and not spec["minReplicas"] <= chosen <= spec["maxReplicas"],
        "the Deployment's controller has not seen its spec": status.get("observedGeneration", 0)
        < deployment["metadata"]["generation"],
        f"fewer than {least} are available": status.get("availableReplicas", 0) < least,
        "pods of another template are there": status.get("updatedReplicas", 0)
        < status.get("replicas", 0),
        f"{version} is rolled out, not {spec['modelVersion']}": version != spec["modelVersion"],
    }
    return "; ".join(fact for fact, holds in facts.items() if holds)


def _says_ready(body: Body) -> bool:
    """As kstatus reads it: a status of an older generation says nothing."""
    status = body.get("status") or {}
    current = status.get("observedGeneration") == body["metadata"]["generation"]
    states = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    return current and states.get("Ready") == "True"


def _argo_agrees(body: Body) -> None:
    status, message = lua.health(body)
    expected = ARGO[kstatus.health(body)] if "deletionTimestamp" not in body["metadata"] else status
    if body["spec"]["suspend"]:
        expected = "Suspended"
    assert status == expected, message


def test_a_foreign_child_is_degraded_to_argo(api: Api, predictors: Predictors) -> None:
    key = Key(predictors.namespace, "risk")
    foreign.create(api, SERVICE, key)
    predictors.create()
    body = predictors.wait(key, status="False", reason="NotOwned")
    status, message = lua.health(body)
    assert status == "Degraded"
    assert message.startswith("NotOwned: Service")
    assert api.get(DEPLOYMENT, key) is not None


def test_the_config_map_holds_the_script() -> None:
    patch = yaml.safe_load((SCRIPT.parent / "argocd-cm.yaml").read_text())
    key = "resource.customizations.health.healthtech.dev_RiskPredictor"
    assert patch["data"][key] == SCRIPT.read_text()
