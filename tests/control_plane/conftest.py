"""A real control plane (etcd, kube-apiserver, controller-manager, scheduler) and kwok's fake nodes,
on which pods become ready without running; the operator runs as a process under its own account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from riskpredictor_operator.core.api import Key
from support import operator as operators
from support.api import NAMESPACE, Api
from support.cluster import LocalCluster
from support.operator import OperatorProcess
from support.predictors import Predictors


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.control_plane)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """The cluster of this test run, without an operator."""
    cluster = LocalCluster.up("t-control", "--profile", "control-plane", "--kwok", "2")
    operators.install(cluster)
    yield cluster
    cluster.down()


@pytest.fixture(scope="session")
def api(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Api:
    return Api(cluster.kubeconfig, tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def operator_config(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kubeconfig of the operator's service account."""
    return operators.kubeconfig(cluster, tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def operator(
    operator_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """An operator for a module of tests; never logs a traceback."""
    log = tmp_path_factory.mktemp("log") / "operator.log"
    with operators.running(operator_config, log) as process:
        yield process
    assert "Traceback" not in process.says()


@pytest.fixture
def namespace(api: Api, unique_name: str) -> Iterator[str]:
    """A namespace of the test's own."""
    api.create(NAMESPACE, {"metadata": {"name": unique_name}})
    yield unique_name
    api.delete(NAMESPACE, Key("", unique_name))


@pytest.fixture
def predictors(api: Api, namespace: str) -> Predictors:
    return Predictors(api, namespace)
