"""Ready, Available and Autoscaling while the number of pods follows a load, or cannot.

The number is changed through the Deployment's scale, as an autoscaler does it.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

import kstatus
from riskpredictor_operator.core.api import LABEL_MODEL_VERSION, LABEL_PREDICTOR, POD
from riskpredictor_operator.kube import Key
from support import foreign
from support.api import RISKPREDICTOR, SERVICE, Api, Body, eventually
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")

ONE_PER_NODE = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {
                "labelSelector": {"matchLabels": {LABEL_PREDICTOR: "risk"}},
                "topologyKey": "kubernetes.io/hostname",
            }
        ]
    }
}


def _scale(api: Api, key: Key, replicas: int) -> None:
    path = f"/apis/apps/v1/namespaces/{key.namespace}/deployments/{key.name}/scale"
    change = {"spec": {"replicas": replicas}}
    api.request("PATCH", path, change, "application/merge-patch+json")


def _told(api: Api, namespace: str) -> list[str]:
    """The reasons of Events about RiskPredictors."""
    events = api.request("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    return [e["reason"] for e in events if e["involvedObject"]["kind"] == RISKPREDICTOR.kind]


def _states(states: list[Body], name: str) -> list[tuple[str, str]]:
    return [
        (c["status"], c["reason"])
        for state in states
        for c in state["status"].get("conditions", ())
        if c["type"] == name
    ]


def _until(predictors: Predictors, key: Key, reason: str, start: str = "") -> str:
    """Wait for Autoscaling to have a reason, and a message that starts so; the message."""

    def said() -> str:
        condition = predictors.condition(key, "Autoscaling")
        message = str(condition["message"])
        fits = condition["reason"] == reason and message.startswith(start)
        return message if fits else ""

    return eventually(said, what=f"Autoscaling {reason}: {start}")


def test_two_to_five_to_two_is_no_news_of_ready(api: Api, predictors: Predictors) -> None:
    key = predictors.create()
    predictors.settle(key)
    before = _told(api, key.namespace)
    with api.watching(RISKPREDICTOR, key) as states:
        for number in (5, 2):
            _scale(api, key, number)
            _until_ready(api, key, number)
    assert {state for state, _ in _states(states, "Ready")} == {"True"}
    assert {reason for _, reason in _states(states, "Ready")} == {"Ready"}
    assert [found for state in states if (found := kstatus.violations(state))] == []
    assert _told(api, key.namespace) == before
    assert len(states) <= 8, "the counts follow, in a few writes"


def _until_ready(api: Api, key: Key, number: int) -> None:
    def reached() -> bool:
        status = api.need(RISKPREDICTOR, key)["status"]
        return bool(status["replicas"] == status["readyReplicas"] == number)

    eventually(reached, what=f"{number} ready pods")


def test_a_full_cluster_is_news_of_autoscaling_and_heals(api: Api, predictors: Predictors) -> None:
    """Two nodes, each of which takes one pod."""
    key = predictors.create(minReplicas=1, podTemplate={"affinity": ONE_PER_NODE})
    predictors.settle(key)
    with api.watching(RISKPREDICTOR, key) as states:
        _scale(api, key, 4)
        start = "2 of 4 wanted pods are available; risk-"
        message = _until(predictors, key, "AtCapacity", start)
        assert "didn't match pod anti-affinity rules" in message
        assert "loosen spec.podTemplate.affinity" in message
        _scale(api, key, 2)
        _until(predictors, key, "MetricsUnavailable")
    assert {state for state, _ in _states(states, "Ready")} == {"True"}
    assert _told(api, key.namespace).count("AtCapacity") == 1


def test_a_used_up_quota_is_news_of_autoscaling_and_heals(api: Api, predictors: Predictors) -> None:
    key = predictors.create(minReplicas=1)
    predictors.settle(key)
    api.limit(key.namespace, pods="2")
    with api.watching(RISKPREDICTOR, key) as states:
        _scale(api, key, 3)
        start = "2 of 3 wanted pods are available; a ResourceQuota"
        message = _until(predictors, key, "AtCapacity", start)
        assert "exceeded quota: full" in message
        api.lift_the_limit(key.namespace)
        # The ReplicaSet's controller waits longer after each refusal.
        _scale(api, key, 2)
        _scale(api, key, 3)
        _until_ready(api, key, 3)
        _until(predictors, key, "MetricsUnavailable")
    assert {state for state, _ in _states(states, "Ready")} == {"True"}


def test_below_the_minimum_ready_says_why(api: Api, predictors: Predictors) -> None:
    key = predictors.create(minReplicas=3, podTemplate={"affinity": ONE_PER_NODE})
    predictors.wait(key, "False", "Unschedulable")
    message = predictors.condition(key)["message"]
    assert "loosen spec.podTemplate.affinity" in message
    assert message.endswith("meanwhile v1 still answers")
    predictors.patch(key, minReplicas=2)
    _scale(api, key, 2)
    predictors.wait(key)


# ---- pods that do not count ----


def _pods(api: Api, key: Key) -> list[Body]:
    return api.items(POD, key.namespace, f"{LABEL_PREDICTOR}={key.name}")


def _end(pod: Body, reason: str) -> dict[str, Any]:
    """The status of a pod that the node ended, its container having crashed before."""
    ended = {"exitCode": 137, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z",
             "startedAt": "2026-01-01T00:00:00Z", "containerID": "containerd://1"}  # fmt: skip
    container = pod["status"]["containerStatuses"][0]
    return {
        "phase": "Failed",
        "reason": reason,
        "containerStatuses": [
            {**container, "ready": False, "started": False, "state": {"terminated": ended}}
        ],
        "conditions": [{"type": "Ready", "status": "False", "reason": "PodFailed"}],
    }


@pytest.mark.parametrize("reason", ["Evicted", "Terminated", "UnexpectedAdmissionError"])
def test_ended_pods_are_history(api: Api, predictors: Predictors, reason: str) -> None:
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    (pod,) = _pods(api, key)
    name = Key(key.namespace, pod["metadata"]["name"])
    api.patch(POD, name, {"status": _end(pod, reason)}, sub="status")
    eventually(lambda: len(_pods(api, key)) == 2, what="a pod in its place")
    predictors.wait(key)
    predictors.patch(key, modelVersion="v2", podTemplate={"nodeSelector": {"no": "node"}})
    predictors.wait(key, "False", "Unschedulable")
    status = api.need(RISKPREDICTOR, key)["status"]
    assert status["servingVersion"] == "v1"
    assert status["readyReplicas"] == 1
    assert "keeps exiting" not in predictors.condition(key)["message"]
    assert api.need(POD, name)["status"]["phase"] == "Failed", "it is still there"


def test_a_pod_that_merely_carries_the_labels_does_not_count(
    api: Api, predictors: Predictors
) -> None:
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    labels = {LABEL_PREDICTOR: key.name, LABEL_MODEL_VERSION: "v9"}
    trial = {
        "metadata": {"name": "trial", "namespace": key.namespace, "labels": labels},
        "spec": {"containers": [{"name": "predictor", "image": "trial"}]},
    }
    api.create(POD, trial)
    eventually(lambda: _is_ready(api.need(POD, Key(key.namespace, "trial"))), what="trial ready")
    predictors.patch(key, modelVersion="v2", podTemplate={"nodeSelector": {"no": "node"}})
    predictors.wait(key, "False", "Unschedulable")
    assert api.need(RISKPREDICTOR, key)["status"]["servingVersion"] == "v1"


def _is_ready(pod: Body) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_a_node_that_does_not_report_is_named(api: Api, predictors: Predictors) -> None:
    """The node's controller marks its pods so; nobody else says that they are not ready."""
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    (pod,) = _pods(api, key)
    silent = [
        {**c, "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        if c["type"] == "Ready"
        else c
        for c in pod["status"]["conditions"]
    ]
    name = Key(key.namespace, pod["metadata"]["name"])
    api.patch(POD, name, {"status": {"conditions": silent}}, sub="status")
    predictors.wait(key, "False", "NodeNotReady")
    assert f"node {pod['spec']['nodeName']} does not report" in predictors.condition(key)["message"]


# ---- Available, and somebody else's autoscaler ----


def test_without_a_service_nothing_is_available(api: Api, predictors: Predictors) -> None:
    key = Key(predictors.namespace, "risk")
    foreign.create(api, SERVICE, key)
    predictors.create(minReplicas=1)
    predictors.wait(key, "False", "NotOwned")

    def told() -> Body:
        return predictors.condition(key, "Available")

    eventually(lambda: told()["reason"] == "NoService", what="NoService")
    assert told()["status"] == "False"
    api.delete(SERVICE, key)
    predictors.patch(key, minReplicas=2)
    predictors.wait(key)
    eventually(lambda: told()["status"] == "True")


def test_somebody_elses_autoscaler_may_scale_to_zero(api: Api, predictors: Predictors) -> None:
    key = predictors.create(autoscaler="External")
    predictors.wait(key)
    _scale(api, key, 3)
    _until_ready(api, key, 3)
    condition = predictors.condition(key, "Autoscaling")
    assert (condition["status"], condition["reason"]) == ("Unknown", "ExternalAutoscaler")
    eventually(lambda: ", 3 now" in predictors.condition(key, "Autoscaling")["message"])
    with api.watching(RISKPREDICTOR, key) as states:
        _scale(api, key, 0)
        _until_ready(api, key, 0)
        eventually(lambda: "scaled to zero" in predictors.condition(key)["message"])
    assert {state for state, _ in _states(states, "Ready")} == {"True"}
    assert predictors.condition(key, "Available")["reason"] == "NoPodsAvailable"


def test_the_operator_is_quiet_when_all_is_said(api: Api, predictors: Predictors) -> None:
    """At capacity pods are looked at again and again; the status is written once."""
    key = predictors.create(minReplicas=1, podTemplate={"affinity": ONE_PER_NODE})
    predictors.settle(key)
    _scale(api, key, 4)
    _until(predictors, key, "AtCapacity")
    time.sleep(3.0)
    before = api.need(RISKPREDICTOR, key)
    time.sleep(8.0)
    assert api.need(RISKPREDICTOR, key) == before
