"""A real node on which the real images run: the operator as users install it, and predictors.

One cluster for all; each test, or module of tests, has a namespace of its own in which Pod Security
is enforced.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from riskdemo.shell import Kubectl
from riskpredictor_operator.core.api import CONFIG_MAP
from riskpredictor_operator.kube import Key
from support import candidates, programs
from support.api import NAMESPACE, SECRET, Api
from support.clinic import Clinic
from support.cluster import LocalCluster
from support.diagnosis import explain
from support.operator import SYSTEM
from support.predictors import Predictors
from support.stores import http

OPERATOR = "deployment/riskpredictor-operator"

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


@pytest.fixture(scope="session")
def attentive(cluster: LocalCluster) -> None:
    """The operator reads the counts of compared models every second from now on."""
    cluster.kubectl("-n", SYSTEM, "set", "env", OPERATOR, "RISKPREDICTOR_EVIDENCE_SECONDS=1")
    cluster.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One that pods may read, whatever their user."""
    path = Path(tempfile.mkdtemp(prefix="riskpredictor-stores-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def store(cluster: LocalCluster, folder: Path) -> Iterator[http.WebServer]:
    """A web server for models that pods reach."""
    with http.serve(cluster.machine_address, folder / "store") as store:
        yield store


@pytest.fixture(scope="module")
def clinic(
    cluster: LocalCluster,
    api: Api,
    predictors: Predictors,
    folder: Path,
    store: http.WebServer,
    attentive: None,
) -> Clinic:
    """A place to change models in, with the password and the authority of the store."""
    assert store.authority
    for resource, name, content in (
        (SECRET, "store", {"stringData": dict(store.credentials)}),
        (CONFIG_MAP, "store-ca", {"data": {"ca.crt": store.authority.read_text()}}),
    ):
        metadata = {"name": name, "namespace": predictors.namespace}
        api.create(resource, {"metadata": metadata, **content})
    return Clinic(cluster, api, predictors, candidates.write_all(folder / "candidates"))
