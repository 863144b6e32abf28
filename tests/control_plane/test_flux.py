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
from support import flux, foreign, phases
from support import operator as operators
from support.api import RISKPREDICTOR, SERVICE, Api, Body, eventually
from support.cluster import ROOT, LocalCluster
from support.flux import KUSTOMIZATION, Delivery, Source
from support.operator import OperatorProcess
from support.predictors import Predictors

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
        """It has time for two looks, the first at once, and goes on waiting."""
        time.sleep(POLL + 1)
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


def test_a_running_change_of_the_model_is_in_progress_and_an_aborted_one_fails(
    api: Api, source: Source, deliver: Callable[..., Delivery], namespace: str
) -> None:
    """Without an operator: the test writes what it would."""
    key = Key(namespace, "risk")
    revision = source.commit(_files(namespace))
    delivery = deliver(timeout="10m")
    eventually(lambda: api.get(RISKPREDICTOR, key), within=30)
    for phase in ("Shadow", "Canary", "AwaitingApproval", "Promoting"):
        api.patch(RISKPREDICTOR, key, {"status": phases.status(phase)}, sub="status")
        time.sleep(POLL + 1)
        assert flux.ready(delivery.body())["status"] == "Unknown", phase
    api.patch(RISKPREDICTOR, key, {"status": phases.status("Aborted")}, sub="status")
    delivery.wait(revision, "False", "HealthCheckFailed")
    api.patch(RISKPREDICTOR, key, {"status": phases.status("Observing")}, sub="status")
    delivery.wait(revision)


def test_a_revert_does_not_wait_for_the_end_of_a_long_change_of_the_model(
    api: Api, source: Source, deliver: Callable[..., Delivery], namespace: str
) -> None:
    """The timeout is that of a roll-out of days; Flux looks for new commits all the same."""
    key = Key(namespace, "risk")
    source.commit(_files(namespace, modelVersion="v2"))
    deliver(timeout="169h")
    eventually(lambda: api.get(RISKPREDICTOR, key), within=30)
    api.patch(RISKPREDICTOR, key, {"status": phases.status("Canary")}, sub="status")
    time.sleep(POLL + 1)
    source.commit(_files(namespace))
    eventually(lambda: api.need(RISKPREDICTOR, key)["spec"]["modelVersion"] == "v1", within=30)
    settled = {**phases.status("Observing"), "observedGeneration": 2}
    api.patch(RISKPREDICTOR, key, {"status": settled}, sub="status")


@pytest.mark.usefixtures("operator")
def test_what_needs_a_person_fails_at_once_and_recovers_by_itself(
    api: Api, source: Source, deliver: Callable[..., Delivery], predictors: Predictors
) -> None:
    key = Key(predictors.namespace, "risk")
    foreign.create(api, SERVICE, key)
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


def test_moving_the_folder_of_the_definition_deletes_no_definition(
    api: Api, cluster: LocalCluster, source: Source, deliver: Callable[..., Delivery]
) -> None:
    """Of a copy under another group, so that a failure does not delete everybody's."""
    text = (ROOT / "crds" / "riskpredictors.yaml").read_text()
    copy = {"predictors/crd.yaml": text.replace("healthtech.dev", "moved.example")}
    name = "crd/riskpredictors.moved.example"
    other = {"predictors/other.yaml": yaml.safe_dump(_config_map(source.name))}
    delivery = deliver()
    delivery.wait(source.commit(copy | other))
    delivery.wait(source.commit(other))
    cluster.kubectl("get", name)
    delivery.wait(source.commit(copy | other))
    delivery.end()
    cluster.kubectl("get", name)
    cluster.kubectl("delete", name)


def _config_map(name: str) -> Body:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
