"""The operator in its own pods: confined, and replaced without a gap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import pytest

from riskpredictor_operator.core.api import POD
from riskpredictor_operator.core.pods import is_ready
from riskpredictor_operator.kube import Key
from riskpredictor_operator.runtime.client import LEASE
from support import operator
from support.api import NAMESPACE, Api, Body, eventually
from support.cluster import LocalCluster
from support.operator import SYSTEM
from support.predictors import Predictors

OPERATOR = "app.kubernetes.io/name=riskpredictor-operator"

ASSIGNED = 1000650000

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


@pytest.fixture
def _assigned(cluster: LocalCluster) -> Iterator[None]:
    """The operator with a user as OpenShift assigns one: any of a range, of group 0."""

    def run_as(user: object, group: object) -> None:
        context = {"runAsUser": user, "runAsGroup": group, "fsGroup": user}
        patch = {"spec": {"template": {"spec": {"securityContext": context}}}}
        where = ("-n", SYSTEM, "patch", "deployment", "riskpredictor-operator")
        cluster.kubectl(*where, "--type=merge", f"--patch={json.dumps(patch)}")
        wait = ("rollout", "status", "deployment/riskpredictor-operator", "--timeout=120s")
        cluster.kubectl("-n", SYSTEM, *wait)

    run_as(ASSIGNED, 0)
    yield
    run_as(None, None)


@pytest.mark.usefixtures("_assigned")
def test_operator_pods_run_as_any_user_that_the_cluster_assigns(
    cluster: LocalCluster, api: Api, predictors: Predictors
) -> None:
    predictors.wait(predictors.create("assigned", replicas=1), within=60)
    pods = [pod for pod in api.items(POD, SYSTEM, OPERATOR) if is_ready(pod)]
    assert len(pods) == 2
    for pod in pods:
        assigned = {"user": ASSIGNED, "group": 0}
        assert _confinement(cluster, pod) == {**_confined(account=True), **assigned}


def _confined(*, account: bool) -> Body:
    return {
        "user": 10001, "group": 0, "root": "Read-only file system", "capabilities": 0,
        "new privileges": False, "seccomp filter": True, "account": account,
    }  # fmt: skip


def test_when_the_leader_leaves_the_other_takes_over_within_a_second(
    api: Api, predictors: Predictors
) -> None:
    """By the Lease's own times: from its release to its next acquisition."""

    def settled_leader() -> str:
        pods = api.items(POD, SYSTEM, OPERATOR)
        leader = _holder(api.need(LEASE, operator.LEASE))
        ready = [pod["metadata"]["name"] for pod in pods if is_ready(pod)]
        return leader if len(pods) == len(ready) == 2 and leader in ready else ""

    leader = eventually(settled_leader, every=0.2, what="two operator pods, one of which leads")
    with api.watching(LEASE, operator.LEASE) as states:
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


def _holder(lease: Body) -> str:
    return str(lease["spec"].get("holderIdentity") or "")


def _time(lease: Body, name: str) -> float:
    return datetime.fromisoformat(lease["spec"][name]).timestamp()
