"""Faults against a real control plane: what fails is real, or is induced by a proxy in between.

Each test ends with observed equals desired, no orphan, no storm of Events and an honest status.
``CHAOS=long`` (``make chaos``) repeats each fault often enough to mean something.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskpredictor_operator.kube import Key, Resource, path_of
from support import operator as operators
from support.api import NAMESPACE, Api
from support.bound import bounded
from support.cluster import LocalCluster
from support.fixtures import api, namespace, operator_config, predictors
from support.operator import Supervisor
from support.predictors import Predictors
from support.proxy import Proxy

__all__ = ["api", "namespace", "operator_config", "predictors"]

LONG = os.environ.get("CHAOS") == "long"
BOUND_SECONDS = 900.0
"""Of the long run, once its cluster is up: the first time, that alone takes minutes."""
LONG_SECONDS = 480.0
"""How long tests of the long run repeat often. Those that begin later take their short form, so
that all are run within the bound, on any machine."""
FIRST = ("test_kills", "test_outages", "test_leaders", "test_replicas", "test_connection")
"""Where repetitions mean most: these come first in the long run."""

STARTED = pytest.StashKey[float]()
SHORTENED = pytest.StashKey[list[str]]()

collect_ignore = [] if LONG else ["test_stalled.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    for item in mine:
        item.add_marker(pytest.mark.chaos)
    if LONG:
        order = {name: number for number, name in enumerate(FIRST)}
        mine.sort(key=lambda item: order.get(item.path.stem, len(FIRST)))
        items[:] = [*mine, *(item for item in items if here not in item.path.parents)]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if shortened := config.stash.get(SHORTENED, []):
        terminalreporter.section("took their short form, for the time was used up")
        for name in shortened:
            terminalreporter.write_line(name)


@pytest.fixture
def long(request: pytest.FixtureRequest, in_time: None) -> bool:
    """Whether to take the time that many repetitions need."""
    if not LONG:
        return False
    stash = request.config.stash
    if time.monotonic() - stash[STARTED] < LONG_SECONDS:
        return True
    stash.setdefault(SHORTENED, []).append(request.node.nodeid)
    return False


@pytest.fixture(scope="session", autouse=True)
def in_time(request: pytest.FixtureRequest, cluster: LocalCluster) -> Iterator[None]:
    """``make chaos`` takes no more than 15 minutes, whatever hangs."""
    if not LONG:
        yield
        return
    request.config.stash[STARTED] = time.monotonic()
    with bounded(BOUND_SECONDS, "By files: CHAOS=long .venv/bin/python -m pytest tests/chaos/..."):
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """A control plane of this suite's own, because it is stopped now and then."""
    cluster = LocalCluster.up("t-chaos", "--profile", "control-plane", "--kwok", "4")
    operators.install(cluster)
    yield cluster
    cluster.down()


@pytest.fixture
def proxy(operator_config: Path) -> Iterator[Proxy]:
    with Proxy(operator_config) as proxy:
        yield proxy


@pytest.fixture
def cut_off(proxy: Proxy, tmp_path: Path) -> Iterator[Supervisor]:
    """An operator that reaches the API server only through the proxy."""
    config = proxy.kubeconfig(tmp_path / "proxied.kubeconfig")
    with Supervisor(config, tmp_path / "operator.log") as supervisor:
        yield supervisor
    assert "Traceback" not in supervisor.says()


@pytest.fixture(scope="session", autouse=True)
def stuck(
    in_time: None,
    api: Api,
    operator_config: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Key]:
    """In the long run: a predictor whose pods are bound to a node that nobody runs, from the start.

    They say nothing of themselves, so only the deadline of the roll-out tells.
    """
    key = Key("stuck", "risk")
    if not LONG:
        yield key
        return
    node = Resource("", "v1", "nodes", "Node")
    name = Key("", "nobody")
    labels = {"kubernetes.io/hostname": "nobody"}
    api.create(node, {"metadata": {"name": "nobody", "labels": labels}})
    room = {"cpu": "4", "memory": "4Gi", "pods": "10"}
    api.patch(node, name, {"status": {"allocatable": room, "capacity": room}}, sub="status")
    api.create(NAMESPACE, {"metadata": {"name": key.namespace}})
    predictors = Predictors(api, key.namespace)
    log = tmp_path_factory.mktemp("stuck") / "operator.log"
    with Supervisor(operator_config, log):
        there = {"nodeSelector": labels, "tolerations": [{"operator": "Exists"}]}
        predictors.create(key.name, minReplicas=1, podTemplate=there)
        predictors.wait(key, "False", "RollingOut")
    yield key
    api.delete(NAMESPACE, Key("", key.namespace))
    api.request("DELETE", path_of(node, name))
