"""A real control plane (etcd, kube-apiserver, controller-manager, scheduler) and kwok's fake nodes,
on which pods become ready without running; the operator runs as a process under its own account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import operator as operators
from support.cluster import LocalCluster
from support.fixtures import api, namespace, operator_config, predictors
from support.operator import OperatorProcess

__all__ = ["api", "namespace", "operator_config", "predictors"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """The cluster of this test run, without an operator."""
    cluster = LocalCluster.up("t-control", "--profile", "control-plane", "--kwok", "2")
    operators.install(cluster)
    yield cluster
    cluster.down()


@pytest.fixture(scope="module")
def operator(
    operator_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """An operator for a module of tests; never logs a traceback."""
    log = tmp_path_factory.mktemp("log") / "operator.log"
    with operators.running(operator_config, log) as process:
        yield process
    assert "Traceback" not in process.says()
