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

from support import operator as operators
from support.cluster import LocalCluster
from support.fixtures import api, namespace, operator_config, predictors
from support.operator import Supervisor
from support.proxy import Proxy

__all__ = ["api", "namespace", "operator_config", "predictors"]

LONG = os.environ.get("CHAOS") == "long"
LONG_SECONDS = 480.0
"""How long tests of the long run repeat often. Those that begin later take their short form, so
that all run within the quarter of an hour that ``make chaos`` has, on any machine."""
FIRST = ("test_kills", "test_outages", "test_replicas", "test_connection")
"""Where repetitions mean most: these come first in the long run."""

STARTED = pytest.StashKey[float]()
SHORTENED = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if LONG:
        order = {name: number for number, name in enumerate(FIRST)}
        items.sort(key=lambda item: order.get(item.path.stem, len(FIRST)))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if shortened := config.stash.get(SHORTENED, []):
        terminalreporter.section("took their short form, for the time was used up")
        for name in shortened:
            terminalreporter.write_line(name)


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether to take the time that many repetitions need."""
    if not LONG:
        return False
    stash = request.config.stash
    if time.monotonic() - stash[STARTED] < LONG_SECONDS:
        return True
    stash.setdefault(SHORTENED, []).append(request.node.nodeid)
    return False


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    """A control plane of this suite's own, because it is stopped now and then."""
    cluster = LocalCluster.up("t-chaos", "--profile", "control-plane", "--kwok", "4")
    operators.install(cluster)
    request.config.stash[STARTED] = time.monotonic()
    yield cluster
    cluster.down()


@pytest.fixture(scope="module")
def line(operator_config: Path) -> Iterator[Proxy]:
    with Proxy(operator_config) as proxy:
        yield proxy


@pytest.fixture
def proxy(line: Proxy) -> Iterator[Proxy]:
    """The line between ``cut_off`` and the API server, in order before and after the test."""
    line.met.clear()
    yield line
    line.choose = lambda _: None
    line.release()


@pytest.fixture(scope="module")
def cut_off(line: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """An operator, of a module, that reaches the API server only through the proxy."""
    folder = tmp_path_factory.mktemp("cut-off")
    config = line.kubeconfig(folder / "proxied.kubeconfig")
    with Supervisor(config, folder / "operator.log", operators.ALONE) as supervisor:
        yield supervisor
    assert "Traceback" not in supervisor.says()


@pytest.fixture(scope="module")
def operator(
    operator_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervisor]:
    """An operator for a module of tests."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with Supervisor(operator_config, log) as supervisor:
        yield supervisor
    assert "Traceback" not in supervisor.says()
