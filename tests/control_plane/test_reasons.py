"""Each reason for which pods need not run, met on a real API server and real controllers.

Those that only real pods have (a bad image, a crash, no memory) are met in tests/e2e.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key, Resource
from support.api import (
    AUTOSCALER,
    DEPLOYMENT,
    Api,
    Body,
    Refused,
    eventually,
)
from support.cluster import ROOT, LocalCluster
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")

SCALER_ROLE = "clusterrole/system:controller:horizontal-pod-autoscaler"


def _apply(cluster: LocalCluster, *objects: Body) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(listed))


# ---- the roll-out ----


@contextmanager
def _without(cluster: LocalCluster, component: str) -> Iterator[None]:
    cluster.component("stop", component)
    try:
        yield
    finally:
        cluster.component("start", component)


def test_a_rollout_that_stalls_without_a_cause_in_its_pods_says_so(
    cluster: LocalCluster, api: Api, predictors: Predictors
) -> None:
    """Pods that no scheduler looks at say nothing of themselves.

    A shorter deadline, set by hand while the operator is suspended, passes at once; the
    Deployment's controller keeps its verdict when the operator sets the declared one again. The
    test in tests/chaos waits for a whole deadline.
    """
    with _without(cluster, "kube-scheduler"):
        key = predictors.create(minReplicas=1)
        eventually(lambda: api.get(DEPLOYMENT, key) is not None)
        declared = _deadline(api, key)
        predictors.patch(key, suspend=True)
        predictors.wait(key, "False", "Suspended")
        api.patch(DEPLOYMENT, key, {"spec": {"progressDeadlineSeconds": 1}})
        eventually(lambda: _progress(api, key) == "ProgressDeadlineExceeded", within=30)
        predictors.patch(key, suspend=False)
        predictors.wait(key, "False", "RolloutStalled")
        assert _deadline(api, key) == declared
        stalled = predictors.condition(key, "Stalled")
        assert "kubectl describe pods -l healthtech.dev/riskpredictor=risk" in stalled["message"]
        assert "nothing answers yet" in stalled["message"]
        assert f"no progress for {declared} s" in stalled["message"]
    predictors.wait(key)
    assert predictors.condition(key, "Stalled") == {}


def _deadline(api: Api, key: Key) -> int:
    return int(api.need(DEPLOYMENT, key)["spec"]["progressDeadlineSeconds"])


def _progress(api: Api, key: Key) -> str:
    conditions = api.need(DEPLOYMENT, key).get("status", {}).get("conditions", [])
    reasons = [c["reason"] for c in conditions if c["type"] == "Progressing"]
    return reasons[0] if reasons else ""


def test_a_paused_deployment_says_how_to_resume_it(
    cluster: LocalCluster, predictors: Predictors
) -> None:
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    where = ("-n", key.namespace, "rollout")
    cluster.kubectl(*where, "pause", f"deployment/{key.name}")
    predictors.patch(key, modelVersion="v2")
    predictors.wait(key, "False", "RolloutPaused")
    message = predictors.condition(key)["message"]
    assert f"kubectl -n {key.namespace} rollout resume deployment/{key.name}" in message
    assert "v1 still answers" in message
    cluster.kubectl(*where, "resume", f"deployment/{key.name}")
    assert predictors.wait(key)["status"]["servingVersion"] == "v2"


# ---- what the API server refuses ----

REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    # What is wrong: the spec, what mends it, the child that is refused, a word of the message.
    "a node port out of the cluster's range": (
        {"service": {"type": "NodePort", "nodePort": 25000}},
        {"service": {"type": "ClusterIP", "nodePort": None}},
        "Service",
        "nodePort",
    ),
    "an affinity with an unknown field": (
        {"podTemplate": {"affinity": {"nodeAffinity": {"wrong": []}}}},
        {"podTemplate": None},
        "Deployment",
        "wrong",
    ),
    "an affinity with a field of another type": (
        {"podTemplate": {"affinity": {"podAffinity": "near"}}},
        {"podTemplate": None},
        "Deployment",
        "podAffinity",
    ),
    "an affinity that breaks a rule": (
        {
            "podTemplate": {
                "affinity": {
                    "podAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": ""}
                        ]
                    }
                }
            }
        },
        {"podTemplate": None},
        "Deployment",
        "topologyKey",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_api_server_refuses_is_told_and_leaves_what_serves(
    predictors: Predictors, what: str
) -> None:
    wrong, right, kind, word = REFUSED[what]
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    predictors.patch(key, **wrong)
    predictors.wait(key, "False", "ApplyRefused")
    message = predictors.condition(key, "Stalled")["message"]
    assert f"refuses {kind} {key}" in message
    assert word in message
    assert predictors.condition(key, "Available")["status"] == "True"
    predictors.patch(key, **right)
    predictors.wait(key)


def test_a_policy_that_refuses_a_child(
    cluster: LocalCluster, api: Api, predictors: Predictors
) -> None:
    key = Key(predictors.namespace, "risk")
    with _no_services(cluster, key.namespace, "ask the network team"):
        predictors.create()
        predictors.wait(key, "False", "ApplyRefused")
        assert "ask the network team" in predictors.condition(key, "Stalled")["message"]
    # Any change of the spec has it tried again at once; without one it takes half a minute.
    predictors.patch(key, minReplicas=1)
    predictors.wait(key)


@contextmanager
def _no_services(cluster: LocalCluster, namespace: str, message: str) -> Iterator[None]:
    """A policy that refuses new Services in a namespace."""
    api_version = "admissionregistration.k8s.io/v1"
    name = f"no-service-{namespace}"
    policy = {
        "apiVersion": api_version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["services"],
                "operations": ["CREATE"],
            }]},
            "validations": [{"expression": "false", "message": message}],
        },
    }  # fmt: skip
    binding = {
        "apiVersion": api_version, "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": namespace},
            }},
        },
    }  # fmt: skip
    _apply(cluster, policy, binding)
    try:
        trial = ("-n", namespace, "create", "service", "clusterip", "trial", "--tcp=80",
                 "--dry-run=server")  # fmt: skip
        eventually(
            lambda: message in cluster.try_kubectl(*trial).stderr,
            within=30, every=0.2, what="the policy is in force",
        )  # fmt: skip
        yield
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            cluster.kubectl("delete", kind, name)


# ---- what fails ----


@contextmanager
def _nobody_there() -> Iterator[str]:
    """An address that refuses connections, and is nobody else's meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"https://127.0.0.1:{bound.getsockname()[1]}/"


@contextmanager
def _somebody_silent() -> Iterator[str]:
    """An address that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}/"


@pytest.mark.parametrize("service", [_nobody_there, _somebody_silent], ids=["down", "hangs"])
def test_an_admission_webhook_that_fails_is_told_and_outlived(
    cluster: LocalCluster,
    predictors: Predictors,
    service: Callable[[], Any],
) -> None:
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    name = f"broken-{key.namespace}"
    with service() as url:
        webhook = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": "broken.example.com", "failurePolicy": "Fail", "sideEffects": "None",
                "admissionReviewVersions": ["v1"], "timeoutSeconds": 30,
                "clientConfig": {"url": url},
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": key.namespace}
                },
                "rules": [{
                    "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"],
                    "operations": ["CREATE", "UPDATE"],
                }],
            }],
        }  # fmt: skip
        _apply(cluster, webhook)
        try:
            # The API server takes a moment to learn of it.
            time.sleep(2.0)
            predictors.patch(key, modelVersion="v2")
            body = predictors.wait(key, "False", "ApplyFailed", within=60)
            assert body["status"]["servingVersion"] == "v1"
            assert predictors.condition(key, "Reconciling")["status"] == "True"
            assert predictors.condition(key, "Available")["status"] == "True"
            assert "retrying" in predictors.condition(key)["message"]
        finally:
            cluster.kubectl("delete", "validatingwebhookconfiguration", name)
    assert predictors.wait(key, within=60)["status"]["servingVersion"] == "v2"


# ---- the autoscaler ----


def test_an_autoscaler_that_may_not_scale_takes_ready_down(
    cluster: LocalCluster, api: Api, predictors: Predictors
) -> None:
    """Its controller's own rights are taken away: a broken cluster, but a real one."""
    role = json.loads(cluster.kubectl("get", SCALER_ROLE, "-o", "json"))
    less = json.loads(json.dumps(role))
    less["rules"] = [rule for rule in role["rules"] if rule["resources"] != ["*/scale"]]
    assert len(less["rules"]) == len(role["rules"]) - 1
    key = predictors.create(minReplicas=1)
    predictors.settle(key)
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(less))
    try:
        predictors.wait(key, "False", "AutoscalingFailed", within=30)
        assert predictors.condition(key, "Autoscaling")["reason"] == "AutoscalingFailed"
        assert predictors.condition(key, "Available")["status"] == "True"
    finally:
        del role["metadata"]["resourceVersion"]
        cluster.kubectl("replace", "-f", "-", stdin=json.dumps(role))
    predictors.wait(key, within=60)


def test_a_second_autoscaler_on_its_pods_is_told(api: Api, predictors: Predictors) -> None:
    """Neither works while both are there, and that has nothing to do with metrics."""
    key = predictors.create(minReplicas=1)
    predictors.settle(key)
    first = predictors.condition(key, "Autoscaling")
    assert first["reason"] == "MetricsUnavailable"
    assert "metrics-server is not installed; install it" in first["message"]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": key.name}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9}
    second = Key(key.namespace, "second")
    api.create(
        AUTOSCALER, {"metadata": {"name": "second", "namespace": key.namespace}, "spec": spec}
    )

    def told() -> bool:
        condition = predictors.condition(key, "Autoscaling")
        return (condition["status"], condition["reason"]) == ("False", "AutoscalingFailed")

    eventually(told, within=60, what="AutoscalingFailed")
    assert "second" in predictors.condition(key, "Autoscaling")["message"]
    assert "metrics-server" not in predictors.condition(key, "Autoscaling")["message"]
    assert api.need(AUTOSCALER, second)["spec"]["maxReplicas"] == 9, "it is not ours to touch"
    api.delete(AUTOSCALER, second)
    eventually(
        lambda: predictors.condition(key, "Autoscaling")["reason"] == "MetricsUnavailable",
        within=60,
    )
    predictors.wait(key)


# ---- the spec, and what was before ----


def test_a_spec_that_an_older_crd_let_through(
    cluster: LocalCluster, api: Api, predictors: Predictors
) -> None:
    (crd,) = yaml.safe_load_all((ROOT / "crds" / "riskpredictors.yaml").read_text())
    key = Key(predictors.namespace, "risk")
    try:
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(_without_rules(crd)))
        eventually(lambda: _accepts(predictors, {"minReplicas": 6, "maxReplicas": 5}), within=30)
        predictors.wait(key, "False", "InvalidSpec", within=60)
        message = predictors.condition(key, "Stalled")["message"]
        assert "minReplicas" in message
        assert all(api.get(resource, key) is None for resource in CHILDREN)
    finally:
        cluster.install_crd()
    predictors.patch(key, maxReplicas=8)
    predictors.wait(key, within=60)


def _accepts(predictors: Predictors, spec: Body) -> bool:
    try:
        predictors.create(**spec)
    except Refused:
        return False
    return True


def _without_rules(value: Any) -> Any:
    """The same CRD as from before there were CEL rules."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k != "x-kubernetes-validations"}
        return {k: _without_rules(v) for k, v in kept.items()}
    return [_without_rules(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("resource", CHILDREN, ids=lambda r: r.kind)
def test_a_child_that_somebody_holds_back_is_waited_for(
    api: Api, predictors: Predictors, resource: Resource
) -> None:
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    held = api.patch(resource, key, {"metadata": {"finalizers": ["example.com/hold"]}})
    api.delete(resource, key)
    predictors.wait(key, "False", "WaitingForDeletion")
    assert f"{resource.kind} {key} is still being deleted" in predictors.condition(key)["message"]
    time.sleep(1.0)
    assert api.need(resource, key)["metadata"]["uid"] == held["metadata"]["uid"]
    api.patch(resource, key, {"metadata": {"finalizers": None}})
    predictors.wait(key)
    assert api.need(resource, key)["metadata"]["uid"] != held["metadata"]["uid"]
