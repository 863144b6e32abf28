"""Flux's own kustomize-controller applies RiskPredictors, waits for their health and prunes them.

What stands in for source-controller is an ExternalArtifact that a small HTTP server serves; the
controller is the real one, and the Kustomizations are those of deploy/gitops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

import kstatus
from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key
from support import flux
from support import operator as operators
from support.api import AUTOSCALER, NAMESPACE, RISKPREDICTOR, SERVICE, Api, Body, eventually
from support.audit import Mark
from support.cluster import ROOT, LocalCluster
from support.flux import KUSTOMIZATION, Delivery, Source
from support.operator import OperatorProcess
from support.predictors import Predictors
from support.repository import Repository

GITOPS = ROOT / "deploy" / "gitops"
SHIPPED = GITOPS / "flux" / "kustomization.yaml"
POLL = 5.0
"""Seconds between two looks that Flux takes at the health of what it applied."""


@pytest.fixture(scope="module", autouse=True)
def _flux(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with flux.running(cluster, tmp_path_factory.mktemp("flux") / "flux.log"):
        yield


@pytest.fixture
def source(api: Api, namespace: str, tmp_path: Path) -> Iterator[Source]:
    """Where this test's commits go."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    with flux.source(api, Key(namespace, "predictors"), folder) as source:
        yield source


@pytest.fixture
def deliver(api: Api, namespace: str, source: Source) -> Iterator[Callable[..., Delivery]]:
    """Puts a shipped Kustomization to work; removed again with all that it applied."""
    made: list[Delivery] = []

    def declare(shipped: Path = SHIPPED, timeout: str = "60s") -> Delivery:
        made.append(Delivery(api, namespace, shipped, source.name, timeout))
        return made[-1]

    yield declare
    for delivery in made:
        delivery.end()


@pytest.fixture
def operator(operator_config: Path, tmp_path: Path) -> Iterator[OperatorProcess]:
    with operators.running(operator_config, tmp_path / "operator.log") as process:
        yield process


def _files(namespace: str, name: str = "risk", **spec: object) -> dict[str, str]:
    """A commit that declares one RiskPredictor; its version is v1 unless it says otherwise."""
    body = {
        "apiVersion": RISKPREDICTOR.api_version,
        "kind": RISKPREDICTOR.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"modelVersion": "v1", **spec},
    }
    return {f"predictors/{name}.yaml": yaml.safe_dump(body)}


def _versions(api: Api, key: Key) -> dict[str, tuple[int, str]]:
    """Generation and resourceVersion of a RiskPredictor and its children."""
    found = {r.kind: api.need(r, key)["metadata"] for r in (RISKPREDICTOR, *CHILDREN)}
    return {kind: (m.get("generation", 0), str(m["resourceVersion"])) for kind, m in found.items()}


def test_it_is_ready_when_the_predictor_is_and_not_before(
    cluster: LocalCluster,
    api: Api,
    source: Source,
    deliver: Callable[..., Delivery],
    predictors: Predictors,
    operator_config: Path,
    tmp_path: Path,
) -> None:
    key = Key(predictors.namespace, "risk")
    first = source.commit(_files(key.namespace))
    delivery = deliver()

    def flux_is_not_deceived() -> None:
        """It has time for two looks, and goes on waiting."""
        time.sleep(2 * POLL + 1)
        assert flux.ready(delivery.body())["status"] == "Unknown"

    eventually(lambda: api.get(RISKPREDICTOR, key), within=30)
    flux_is_not_deceived()  # nobody looks after it yet
    with operators.running(operator_config, tmp_path / "operator.log"):
        delivery.wait(first)
        home = {key.namespace: "home"}
        second = source.commit(
            _files(key.namespace, modelVersion="v2", podTemplate={"nodeSelector": home})
        )
        predictors.wait(key, status="False", reason="Unschedulable")
        flux_is_not_deceived()  # the operator has seen the new version, which cannot start yet
        with (
            _labelled_node(cluster, key.namespace),
            api.watching(RISKPREDICTOR, key) as predictor,
            api.watching(KUSTOMIZATION, delivery.key) as kustomization,
        ):
            delivery.wait(second)
            serving = eventually(lambda: [b for b in predictor if _serves(b, "v2")])
            ready = eventually(lambda: [b for b in kustomization if _applied(b, second)])
        assert _moment(serving[0]) < _moment(ready[0])


@contextmanager
def _labelled_node(cluster: LocalCluster, label: str) -> Iterator[None]:
    """A node with a label, for the length of the block."""
    node = cluster.kubectl("get", "nodes", "--output=name").split()[0]
    cluster.kubectl("label", node, f"{label}=home")
    yield
    cluster.kubectl("label", node, f"{label}-")


def _serves(body: Body, version: str) -> bool:
    return kstatus.health(body) == "Current" and body["status"]["servingVersion"] == version


def _applied(body: Body, revision: str) -> bool:
    tried = body["status"].get("lastAttemptedRevision") == revision
    return tried and flux.ready(body).get("status") == "True"


def _moment(body: Body) -> int:
    """One counter numbers the writes of all objects."""
    return int(body["metadata"]["resourceVersion"])


@pytest.mark.usefixtures("operator")
def test_what_needs_a_person_fails_at_once_and_recovers_by_itself(
    api: Api, source: Source, deliver: Callable[..., Delivery], predictors: Predictors
) -> None:
    key = Key(predictors.namespace, "risk")
    metadata = {"name": key.name, "namespace": key.namespace}
    api.create(SERVICE, {"metadata": metadata, "spec": {"ports": [{"port": 80}]}})
    revision = source.commit(_files(key.namespace))
    delivery = deliver(timeout="10m")
    failed = delivery.wait(revision, "False", "HealthCheckFailed")
    assert predictors.condition(key)["reason"] == "NotOwned"
    assert f"RiskPredictor/{key.namespace}/{key.name} status: 'Failed'" in failed["message"]
    api.delete(SERVICE, key)
    delivery.wait(revision)


@pytest.mark.usefixtures("operator")
def test_a_version_that_does_not_come_up_fails_in_time_and_the_revert_is_ready(
    source: Source, deliver: Callable[..., Delivery], predictors: Predictors
) -> None:
    key = Key(predictors.namespace, "risk")
    good = _files(key.namespace)
    delivery = deliver(timeout="11s")
    delivery.wait(source.commit(good))
    nowhere = {"nodeSelector": {"no": "node"}}
    broken = source.commit(_files(key.namespace, modelVersion="v2", podTemplate=nowhere))
    failed = delivery.wait(broken, "False", "HealthCheckFailed")
    assert f"RiskPredictor/{key.namespace}/{key.name} status: 'InProgress'" in failed["message"]
    delivery.wait(source.commit(good))
    assert predictors.wait(key)["status"]["servingVersion"] == "v1"


@pytest.mark.usefixtures("operator")
def test_a_suspended_one_counts_as_current(
    source: Source, deliver: Callable[..., Delivery], predictors: Predictors
) -> None:
    key = Key(predictors.namespace, "risk")
    delivery = deliver()
    delivery.wait(source.commit(_files(key.namespace, suspend=True)))
    predictors.wait(key, status="False", reason="Suspended")


@pytest.mark.usefixtures("operator")
def test_reconciling_again_writes_nothing(
    cluster: LocalCluster,
    api: Api,
    source: Source,
    deliver: Callable[..., Delivery],
    predictors: Predictors,
) -> None:
    key = Key(predictors.namespace, "risk")
    delivery = deliver()
    delivery.wait(source.commit(_files(key.namespace)))
    predictors.settle(key)
    time.sleep(1.0)
    mark, before = Mark(cluster), _versions(api, key)
    for _ in range(3):
        delivery.again()
    # The same content as another commit, too.
    delivery.wait(source.commit(_files(key.namespace)))
    assert mark.writes(key.namespace) == []
    assert _versions(api, key) == before
    assert before[RISKPREDICTOR.kind][0] == 1


@pytest.mark.usefixtures("operator")
def test_removing_it_from_git_prunes_it_with_its_children(
    api: Api, source: Source, deliver: Callable[..., Delivery], predictors: Predictors
) -> None:
    kept, gone = Key(predictors.namespace, "kept"), Key(predictors.namespace, "gone")
    delivery = deliver()
    both = _files(kept.namespace, "kept") | _files(gone.namespace, "gone")
    delivery.wait(source.commit(both))
    delivery.wait(source.commit(_files(kept.namespace, "kept")))
    everything = (RISKPREDICTOR, *CHILDREN)
    eventually(lambda: all(api.get(r, gone) is None for r in everything), within=60)
    assert all(api.get(r, kept) is not None for r in everything)


@pytest.mark.usefixtures("operator")
def test_a_number_set_by_hand_is_not_for_flux_to_take_back(
    cluster: LocalCluster,
    api: Api,
    source: Source,
    deliver: Callable[..., Delivery],
    predictors: Predictors,
) -> None:
    key = Key(predictors.namespace, "risk")
    delivery = deliver()
    delivery.wait(source.commit(_files(key.namespace)))
    cluster.kubectl("-n", key.namespace, "scale", "rp/risk", "--replicas=4")
    eventually(lambda: predictors.wait(key)["status"]["readyReplicas"] == 4)
    assert api.get(AUTOSCALER, key) is None
    delivery.again()
    assert api.need(RISKPREDICTOR, key)["spec"]["replicas"] == 4
    predictors.wait(key)


@pytest.mark.usefixtures("operator")
def test_the_example_is_promoted_from_dev_to_prod(
    api: Api, source: Source, deliver: Callable[..., Delivery], tmp_path: Path
) -> None:
    repository = Repository(tmp_path / "repository", GITOPS / "example")
    environments = {
        name: deliver(GITOPS / "example" / "flux" / f"{name}.yaml") for name in ("dev", "prod")
    }

    def published() -> dict[str, str]:
        """What answers in each environment, once Flux calls the last commit healthy."""
        revision = source.commit(repository.files())
        for delivery in environments.values():
            delivery.wait(revision)
        keys = {name: Key(f"predictors-{name}", "health-predictor") for name in environments}
        return {
            name: api.need(RISKPREDICTOR, key)["status"]["servingVersion"]
            for name, key in keys.items()
        }

    assert published() == {"dev": "v1", "prod": "v1"}
    repository.promote("dev", "v2")
    assert published() == {"dev": "v2", "prod": "v1"}
    repository.promote("prod", "v2")
    assert published() == {"dev": "v2", "prod": "v2"}
    repository.revert()
    assert published() == {"dev": "v2", "prod": "v1"}
    for name, delivery in environments.items():
        delivery.end()
        home = Key("", f"predictors-{name}")
        eventually(lambda home=home: api.get(NAMESPACE, home) is None, within=60)  # type: ignore[misc]
