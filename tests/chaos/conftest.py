"""Faults against a real control plane: what fails is real, or is induced by a proxy in between.

Each test ends with observed equals desired, no orphan, no storm of Events and an honest status.
``CHAOS=long`` (``make chaos``) repeats each fault often enough to mean something.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import operator as operators
from support.cluster import LocalCluster
from support.fixtures import api, namespace, operator_config, predictors
from support.operator import Supervisor
from support.proxy import Proxy

__all__ = ["api", "namespace", "operator_config", "predictors"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.chaos)


@pytest.fixture(scope="session")
def long() -> bool:
    """Whether to take the time that many repetitions need."""
    return os.environ.get("CHAOS") == "long"


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
