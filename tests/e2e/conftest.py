"""A real node on which the real images run: the operator as users install it, and predictors.

One cluster for all; each test, or module of tests, has a namespace of its own in which Pod Security
is enforced.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from riskdemo.install import OPERATOR_IMAGE, VERSIONS
from riskdemo.shell import Kubectl
from riskpredictor_operator.kube import Key
from support.api import NAMESPACE, Api
from support.cluster import ROOT, LocalCluster, build_image
from support.diagnosis import explain
from support.operator import SYSTEM
from support.predictors import Predictors

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # Not for the fixtures: the first time, programs and images are built in them.
            item.add_marker(pytest.mark.timeout(300, func_only=True))
    # They make clusters of their own, and one measures them: the shared one would be in the way.
    first = ("test_local_cluster.py", "test_install.py")
    items.sort(key=lambda item: first.index(item.path.name) if item.path.name in first else 2)


@pytest.fixture(scope="session")
def images() -> tuple[str, ...]:
    """The product's images, built; unchanged ones come from the builder's cache."""
    build_image(OPERATOR_IMAGE, ROOT / "Dockerfile.operator")
    built = [OPERATOR_IMAGE]
    for version in VERSIONS:
        built.append(f"health-predictor:{version}")
        build_image(built[-1], ROOT / "Dockerfile.predictor", f"MODEL_VERSION={version}")
    return tuple(built)


@pytest.fixture(scope="session")
def cluster(images: tuple[str, ...]) -> Iterator[LocalCluster]:
    """The cluster of this test run, with the operator at work in it."""
    cluster = LocalCluster.up("t-e2e", "--profile", "node")
    try:
        cluster.load_images(*images)
        cluster.kubectl("apply", "-k", "deploy/operator")
        wait = ("rollout", "status", "deployment/riskpredictor-operator", "--timeout=300s")
        cluster.kubectl("-n", SYSTEM, *wait)
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="session")
def api(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Api:
    return Api(cluster.kubeconfig, tmp_path_factory.mktemp("certificates"))


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
