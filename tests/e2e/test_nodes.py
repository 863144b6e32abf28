"""Two nodes of a cluster such as others have: addresses are IPv6, and users are assigned.

After each roll-out the pods are on both nodes, a drain without flags moves them without a lost
request, and nothing names a user or an address of IPv4.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from localcluster import prerequisites
from localcluster.node import PAUSE_IMAGE
from riskdemo.load import Load, Sums
from riskdemo.shell import Kubectl
from riskpredictor_kubectl.loadgen import Demand
from riskpredictor_operator.core.api import POD
from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api, Body, eventually
from support.cluster import LocalCluster
from support.operator import SYSTEM
from support.predictors import Predictors

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a node needs root"),
    pytest.mark.timeout(900),
]

AT_ONCE, ROLL_OUTS = 4, 5
"""Of so many predictors at the same time, so many roll-outs each: 20, in a quarter of the time."""
USERS, THINK = 10, 0.02
LOAD_SECONDS = 600
"""Bound of the load; it ends with the drain."""
PAUSE = PAUSE_IMAGE.rsplit(":", 1)
ASSIGNED = range(1000650000, 1000660000)
"""Users of pods, as tools/cluster/localcluster/assigned-users.yaml has them."""


@pytest.fixture(scope="module")
def cluster(images: tuple[str, ...]) -> Iterator[LocalCluster]:
    """Not the cluster of the other tests: this one has two nodes, and is stricter."""
    family = "ipv6" if prerequisites.has_ipv6() else "ipv4"
    options = ("--nodes", "2", "--ip-family", family, "--assigned-users")
    made = LocalCluster.up("t-nodes", "--profile", "node", *options)
    try:
        made.load_images(*images)
        made.install_operator()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def api(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Api:
    return Api(cluster.kubeconfig, tmp_path_factory.mktemp("certificates"))


def _pods(api: Api, key: Key) -> list[Body]:
    """The pods of a predictor, without those that leave."""
    found = api.items(POD, key.namespace, f"healthtech.dev/riskpredictor={key.name}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _places(api: Api, key: Key) -> set[str]:
    """The nodes on which a predictor's pods are."""
    return {pod["spec"]["nodeName"] for pod in _pods(api, key)}


def test_after_each_of_20_roll_outs_the_pods_are_on_both_nodes(
    api: Api, predictors: Predictors
) -> None:
    keys = [predictors.create(f"rolling-{number}", replicas=2) for number in range(AT_ONCE)]
    for key in keys:
        predictors.wait(key, within=240)
    alone = []
    for number in range(ROLL_OUTS):
        version = "v1" if number % 2 else "v2"
        for key in keys:
            predictors.patch(key, modelVersion=version)
        for key in keys:
            predictors.wait(key, within=240)
            if len(_places(api, key)) == 1:
                alone.append((key.name, number))
    for key in keys:
        api.delete(RISKPREDICTOR, key)
    assert alone == [], "all pods on one node after these roll-outs"


@dataclass
class Drain:
    """What a drain looked like from outside."""

    said: str
    status: int
    places: set[str]
    """Nodes of the pods before it."""
    ok: int
    failures: dict[str, int]


@pytest.fixture(scope="module")
def drains(
    cluster: LocalCluster, api: Api, predictors: Predictors, kubectl: Kubectl
) -> list[Drain]:
    """The first node is drained, with a pod on each, and then the second, which has both.

    Beside it are pods that never get ready, of an image that answers nothing.
    """
    key = predictors.create("drained", replicas=2)
    predictors.create(
        "broken", replicas=2, image=dict(zip(("repository", "tag"), PAUSE, strict=True))
    )
    predictors.wait(key, within=240)
    eventually(lambda: len(_places(api, Key(key.namespace, "broken"))) == 2, within=60)
    nodes = cluster.kubectl("get", "nodes", "-o", "name").split()
    return [_drain(cluster, api, predictors, kubectl, key, node) for node in nodes]


def _drain(
    cluster: LocalCluster, api: Api, predictors: Predictors, kubectl: Kubectl, key: Key, node: str
) -> Drain:
    with _load_from_elsewhere(cluster, kubectl, key, node) as sums:
        places, before = _places(api, key), sums.ok
        try:
            done = cluster.try_kubectl("drain", node, "--timeout=180s")
            predictors.wait(key, within=180)
        finally:
            cluster.kubectl("uncordon", node)
        # Reports come once a second, and one without the drain's end may be on its way.
        ended = sums.seconds
        eventually(lambda: sums.seconds >= ended + 2, within=60, what="two reports")
        drain = Drain(
            done.stdout + done.stderr, done.returncode, places, sums.ok - before,
            dict(sums.failures),
        )  # fmt: skip
    print(drain)
    return drain


@contextmanager
def _load_from_elsewhere(
    cluster: LocalCluster, kubectl: Kubectl, key: Key, node: str
) -> Iterator[Sums]:
    """Load from a pod that is not on a node: no controller owns it, so it would stop a drain."""
    load = Load(kubectl.client(), key.name, Demand(USERS, LOAD_SECONDS, THINK))
    cluster.kubectl("cordon", node)
    with load:
        cluster.kubectl("uncordon", node)
        eventually(lambda: load.sums.ok > 100, within=120, what=f"answers: {load.sums}")
        yield load.sums


@pytest.mark.parametrize(("number", "spread"), [(0, 2), (1, 1)], ids=["spread", "together"])
def test_a_drain_without_flags_loses_no_request(
    drains: list[Drain], number: int, spread: int
) -> None:
    drain = drains[number]
    assert len(drain.places) == spread
    assert drain.status == 0, drain.said
    for name in ("drained", "broken"):
        assert re.search(rf"^pod/{name}-\S+ evicted$", drain.said, re.MULTILINE), drain.said
    assert drain.failures == {}
    assert drain.ok > 500


WHOAMI = """
import json, os, socket
print(json.dumps({"user": os.getuid(), "group": os.getgid(),
                  "api": os.environ.get("KUBERNETES_SERVICE_HOST", "")}))
"""


def test_pods_run_as_the_users_that_the_cluster_assigned(
    cluster: LocalCluster, api: Api, predictors: Predictors
) -> None:
    key = predictors.create("assigned", replicas=1)
    predictors.wait(key, within=120)
    operator = api.items(POD, SYSTEM, "app.kubernetes.io/name=riskpredictor-operator")
    for pod in (*operator, *_pods(api, key)):
        who = _whoami(cluster, pod)
        assert who["user"] in ASSIGNED
        assert who["group"] == 0


@pytest.mark.skipif(not prerequisites.has_ipv6(), reason="this machine has no IPv6")
def test_the_operator_reaches_the_api_server_by_ipv6_and_there_is_no_other_way(
    cluster: LocalCluster, api: Api
) -> None:
    assert api.server.startswith("https://[")
    pods = api.items(POD, SYSTEM)
    assert pods
    for pod in pods:
        assert ":" in _whoami(cluster, pod)["api"]
        assert all(":" in entry["ip"] for entry in pod["status"]["podIPs"])


def _whoami(cluster: LocalCluster, pod: Body) -> Body:
    where = ("-n", pod["metadata"]["namespace"], "exec", pod["metadata"]["name"])
    who: Body = json.loads(cluster.kubectl(*where, "--", "/opt/venv/bin/python", "-c", WHOAMI))
    return who


def test_a_user_that_the_cluster_refuses_is_named_in_the_status(predictors: Predictors) -> None:
    key = predictors.create("fixed", podTemplate={"securityContext": {"runAsUser": 10001}})
    status = predictors.wait(key, "False", "PodsRefused", within=90)["status"]
    (ready,) = (c for c in status["conditions"] if c["type"] == "Ready")
    assert "must be in the ranges: [1000650000, 1000659999]" in ready["message"]
