"""The operator in its own pods: confined, replaced without a gap, dispensable for a while."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from riskdemo.shell import Kubectl
from riskpredictor_operator.core.api import CHILDREN, POD
from riskpredictor_operator.core.pods import is_ready
from riskpredictor_operator.kube import Key, Resource
from riskpredictor_operator.runtime.client import LEASE
from riskpredictor_operator.settings import Settings
from support.api import NAMESPACE, RISKPREDICTOR, Api, Body, eventually
from support.audit import WRITES, Mark, resource_of
from support.cluster import LocalCluster, tool
from support.operator import SYSTEM
from support.predictors import Predictors

OPERATOR = "app.kubernetes.io/name=riskpredictor-operator"
THE_LEASE = Key(SYSTEM, Settings().lease_name)
REPLICA_SET = Resource("apps", "v1", "replicasets", "ReplicaSet")
ENDPOINT_SLICE = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")

CONFINEMENT = """
import json, os, pathlib
lines = open("/proc/1/status").read().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if "\\t" in line)
try:
    pathlib.Path("/written").touch()
    root = "writable"
except OSError as error:
    root = error.strerror
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(), "root": root,
    "capabilities": int(status["CapBnd"], 16) | int(status["CapEff"], 16),
    "new privileges": status["NoNewPrivs"].strip() == "0",
    "seccomp filter": status["Seccomp"].strip() == "2",
    "account": os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token"),
}))
"""


@pytest.fixture(scope="module")
def key(predictors: Predictors) -> Key:
    """A settled predictor."""
    key = predictors.create("settled", replicas=1)
    predictors.wait(key, within=90)
    return key


def _confinement(cluster: LocalCluster, pod: Body) -> Body:
    """What a process in a pod may do, as the kernel says."""
    where = ("-n", pod["metadata"]["namespace"], "exec", pod["metadata"]["name"])
    said = cluster.kubectl(*where, "--", "/opt/venv/bin/python", "-c", CONFINEMENT)
    confined: Body = json.loads(said)
    return confined


def test_operator_pods_may_do_nothing_but_talk_to_the_api_server(
    cluster: LocalCluster, api: Api
) -> None:
    labels = api.need(NAMESPACE, Key("", SYSTEM))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = api.items(POD, SYSTEM, OPERATOR)
    assert len(pods) == 2
    for pod in pods:
        assert _confinement(cluster, pod) == _confined(account=True)


def test_predictor_pods_may_do_even_less(cluster: LocalCluster, api: Api, key: Key) -> None:
    (pod,) = api.items(POD, key.namespace, f"healthtech.dev/riskpredictor={key.name}")
    assert _confinement(cluster, pod) == _confined(account=False)


def _confined(*, account: bool) -> Body:
    return {
        "user": 10001, "group": 10001, "root": "Read-only file system", "capabilities": 0,
        "new privileges": False, "seccomp filter": True, "account": account,
    }  # fmt: skip


def _settled_leader(cluster: LocalCluster, api: Api) -> str:
    """The leading pod, once two operator pods are ready."""

    def ready() -> bool:
        pods = api.items(POD, SYSTEM, OPERATOR)
        return (
            len(pods) == 2 and all(is_ready(pod) for pod in pods) and _leader(api) in _names(pods)
        )

    eventually(ready, within=60, every=0.2, what="two operator pods, one of which leads")
    return _leader(api)


def _names(pods: list[Body]) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods]


def _leader(api: Api) -> str:
    return _holder(api.need(LEASE, THE_LEASE))


def _holder(lease: Body) -> str:
    return str(lease["spec"].get("holderIdentity") or "")


def _time(lease: Body, name: str) -> float:
    return datetime.fromisoformat(lease["spec"][name]).timestamp()


def test_when_the_leader_leaves_the_other_takes_over_within_a_second(
    cluster: LocalCluster, api: Api, predictors: Predictors
) -> None:
    leader = _settled_leader(cluster, api)
    with api.watching(LEASE, THE_LEASE) as states:
        api.delete(POD, Key(SYSTEM, leader))
        eventually(lambda: _holder(states[-1]) not in ("", leader), within=20, what="a new leader")
        changes = list(states)
    released = next(state for state in changes if not _holder(state))
    taken = next(state for state in changes if _holder(state) not in ("", leader))
    gap = _time(taken, "acquireTime") - _time(released, "renewTime")
    print(f"hand-over in {gap:.3f} s")
    assert gap < 1.0
    # And it does the work.
    predictors.wait(predictors.create("after-hand-over", replicas=1), within=60)


def test_when_the_leader_freezes_the_other_takes_over_when_the_lease_runs_out(
    cluster: LocalCluster, api: Api, predictors: Predictors
) -> None:
    leader = _settled_leader(cluster, api)
    restarts = _container(api, leader)["restartCount"]
    started = time.monotonic()
    with _frozen(cluster, api, leader):
        within = Settings().lease_seconds * 1.5
        eventually(lambda: _leader(api) != leader, within=within, what="a new leader")
        print(f"taken over after {time.monotonic() - started:.1f} s")
        predictors.wait(predictors.create("after-freeze", replicas=1), within=60)
        mark = Mark(cluster)
    # On waking up it notices, and starts again as a standby without having written anything.
    eventually(
        lambda: _container(api, leader)["restartCount"] == restarts + 1,
        within=90,
        what=f"{leader} restarts",
    )
    assert _leader(api) != leader
    assert _writes_of(mark, leader) == []


@contextmanager
def _frozen(cluster: LocalCluster, api: Api, pod: str) -> Iterator[None]:
    """Every process of the pod's container stands still, as on a machine that hangs."""
    task = _container(api, pod)["containerID"].removeprefix("containerd://")
    tool("ctr", "--name", cluster.name, "--", "tasks", "pause", task)
    try:
        yield
    finally:
        tool("ctr", "--name", cluster.name, "--", "tasks", "resume", task)


def _container(api: Api, pod: str) -> Body:
    status: Body = api.need(POD, Key(SYSTEM, pod))["status"]["containerStatuses"][0]
    return status


def _writes_of(mark: Mark, pod: str) -> list[str]:
    """What a pod wrote, but for questions about its own rights."""
    return [
        f"{entry['verb']} {resource_of(entry)}"
        for entry in mark.requests()
        if entry["user"]["extra"]["authentication.kubernetes.io/pod-name"] == [pod]
        and entry["verb"] in WRITES
        and not resource_of(entry).endswith("reviews")
    ]


def test_a_rolling_restart_of_the_operator_writes_nothing(
    cluster: LocalCluster, api: Api, key: Key, kubectl: Kubectl
) -> None:
    _settled_leader(cluster, api)
    before = {resource: api.get(resource, key) for resource in (*CHILDREN, RISKPREDICTOR)}
    mark = Mark(cluster)
    system = kubectl.inside(SYSTEM)
    system("rollout", "restart", "deployment/riskpredictor-operator")
    system("rollout", "status", "deployment/riskpredictor-operator", "--timeout=120s")
    _settled_leader(cluster, api)
    assert mark.writes(key.namespace) == []
    assert {resource: api.get(resource, key) for resource in before} == before


def test_deleting_a_riskpredictor_leaves_nothing(api: Api, predictors: Predictors) -> None:
    key = predictors.create("leaving")
    predictors.wait(key, within=90)
    selector = f"healthtech.dev/riskpredictor={key.name}"
    kinds = (*CHILDREN, REPLICA_SET, POD, ENDPOINT_SLICE)
    assert all(api.items(kind, key.namespace, selector) for kind in kinds)
    api.delete(RISKPREDICTOR, key)

    def gone() -> bool:
        return not any(api.items(kind, key.namespace, selector) for kind in kinds)

    eventually(gone, within=60, every=0.2, what="everything of a deleted RiskPredictor is gone")


def test_without_an_operator_predictors_serve_and_a_namespace_can_be_deleted(
    cluster: LocalCluster, api: Api, kubectl: Kubectl, key: Key, unique_name: str
) -> None:
    api.create(NAMESPACE, {"metadata": {"name": unique_name}})
    other = Predictors(api, unique_name)
    other.wait(other.create(replicas=1), within=90)
    system = kubectl.inside(SYSTEM)
    system("scale", "deployment/riskpredictor-operator", "--replicas=0")
    try:
        eventually(lambda: not api.items(POD, SYSTEM, OPERATOR), within=40, what="no operator")
        api.delete(NAMESPACE, Key("", unique_name))
        eventually(
            lambda: api.get(NAMESPACE, Key("", unique_name)) is None, within=90, every=0.2,
            what=f"namespace {unique_name} is gone",
        )  # fmt: skip
        service = f"/api/v1/namespaces/{key.namespace}/services/{key.name}:http/proxy/health"
        assert api.request("GET", service)["status"] == "alive"
    finally:
        system("scale", "deployment/riskpredictor-operator", "--replicas=2")
        system("rollout", "status", "deployment/riskpredictor-operator", "--timeout=120s")
