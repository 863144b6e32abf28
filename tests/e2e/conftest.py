"""A real node on which the real images run: the operator as users install it, and predictors.

One cluster for all; each test, or module of tests, has a namespace of its own in which Pod Security
is enforced.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from riskdemo.shell import Kubectl
from riskpredictor_operator.kube import Key
from support import programs
from support.api import NAMESPACE, Api
from support.cluster import LocalCluster
from support.diagnosis import explain
from support.predictors import Predictors

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One makes clusters of its own and measures them: the shared one would be in the way. The other
    # wants the shared one before anything is installed in it.
    first = ("test_local_cluster.py", "test_install.py")
    items.sort(key=lambda item: first.index(item.path.name) if item.path.name in first else 2)


@pytest.fixture(scope="session")
def images() -> tuple[str, ...]:
    """The product's images, built."""
    return programs.images()


@pytest.fixture(scope="session")
def node(images: tuple[str, ...]) -> Iterator[LocalCluster]:
    """The cluster of this test run, with the images and without an operator."""
    cluster = LocalCluster.up("t-e2e", "--profile", "node")
    try:
        cluster.load_images(*images)
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="session")
def cluster(node: LocalCluster) -> LocalCluster:
    """The same with the operator at work in it."""
    node.install_operator()
    return node


@pytest.fixture(scope="session")
def api(node: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Api:
    return Api(node.kubeconfig, tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def home(api: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for the tests of a module."""
    name = request.path.stem.replace("_", "-")
    api.create(NAMESPACE, {"metadata": {"name": name, "labels": RESTRICTED}})
    yield name
    api.delete(NAMESPACE, Key("", name))


@pytest.fixture(scope="module")
def predictors(cluster: LocalCluster, api: Api, home: str) -> Predictors:
    return Predictors(api, home, partial(explain, cluster))


@pytest.fixture(scope="module")
def kubectl(cluster: LocalCluster, home: str) -> Kubectl:
    """kubectl in the module's namespace."""
    return Kubectl(cluster.kubeconfig, home, str(cluster.bin / "kubectl"))
