"""Fixtures of every suite that runs the operator as a process against a control plane.

A suite imports them into its conftest and adds the ``cluster``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from riskpredictor_operator.kube import Key
from support import operator as operators
from support.api import NAMESPACE, Api
from support.cluster import LocalCluster
from support.predictors import Predictors


@pytest.fixture(scope="session")
def api(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Api:
    return Api(cluster.kubeconfig, tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def operator_config(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kubeconfig of the operator's service account."""
    return operators.kubeconfig(cluster, tmp_path_factory.mktemp("operator"))


@pytest.fixture
def namespace(api: Api, unique_name: str) -> Iterator[str]:
    """A namespace of the test's own."""
    api.create(NAMESPACE, {"metadata": {"name": unique_name}})
    yield unique_name
    api.delete(NAMESPACE, Key("", unique_name))


@pytest.fixture
def predictors(api: Api, namespace: str) -> Predictors:
    return Predictors(api, namespace)
