"""Argo CD's own controller and repo server deploy the example repository of deploy/gitops.

Argo CD is as it was just installed, with the health check of the guide; the repository is a real
one that it clones.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from riskpredictor_operator.core.api import CHILDREN, DEPLOYMENT
from riskpredictor_operator.kube import Key, Resource
from support import argocd, phases
from support import operator as operators
from support.api import NAMESPACE, RISKPREDICTOR, Api, Body, eventually
from support.argocd import APPLICATION, Delivery
from support.cluster import ROOT, LocalCluster
from support.guide import shell
from support.operator import OperatorProcess
from support.predictors import Predictors
from support.repository import Repository

EXAMPLE = ROOT / "deploy" / "gitops" / "example"
SHIPPED = EXAMPLE / "argocd" / "prod.yaml"
GUIDE = (ROOT / "docs" / "GITOPS.md").read_text()
HOME = "predictors-prod"
KEY = Key(HOME, "health-predictor")
CRD = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "")
SETTLED = 4.0
"""Seconds in which Argo CD would have undone what it took for a difference."""


@pytest.fixture(scope="module", autouse=True)
def _argocd(
    cluster: LocalCluster, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    argocd.install(cluster, api)
    (command,) = re.findall(r"^kubectl -n argocd patch .*", GUIDE, re.MULTILINE)
    shell(command, cluster.environment)
    with argocd.running(cluster, tmp_path_factory.mktemp("argocd")):
        yield
    _remove(api, argocd.NAMESPACE)


@pytest.fixture(autouse=True)
def _tidy(api: Api) -> Iterator[None]:
    """The example's namespace has a fixed name: gone before the next test."""
    yield
    _remove(api, HOME)


def _remove(api: Api, name: str) -> None:
    key = Key("", name)
    if api.get(NAMESPACE, key) is not None:
        api.delete(NAMESPACE, key)
    eventually(lambda: api.get(NAMESPACE, key) is None, within=60)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository", EXAMPLE)


@pytest.fixture
def deliver(api: Api, repository: Repository, _tidy: None) -> Iterator[Callable[..., Delivery]]:
    """Puts the shipped Application to work, under this name; removed again before its namespace."""
    made: list[Delivery] = []

    def declare(name: str = "predictors-prod") -> Delivery:
        made.append(Delivery(api, repository, SHIPPED, name))
        return made[-1]

    yield declare
    for delivery in made:
        delivery.end()


@pytest.fixture
def track(cluster: LocalCluster) -> Iterator[Callable[[str], None]]:
    """Sets the way in which Argo CD knows its objects, which is as installed again afterwards."""

    def use(method: str | None) -> None:
        change = json.dumps({"data": {"application.resourceTrackingMethod": method}})
        cluster.kubectl("-n", "argocd", "patch", "configmap", "argocd-cm", "--patch", change)

    yield use
    use(None)


@pytest.fixture
def operator(operator_config: Path, tmp_path: Path) -> Iterator[OperatorProcess]:
    with operators.running(operator_config, tmp_path / "operator.log") as process:
        yield process


def _edit(repository: Repository, subject: str, **spec: object) -> None:
    """Commit other fields of prod's predictor."""
    path = repository.folder / "prod" / "health-predictor.yaml"
    body = yaml.safe_load(path.read_text())
    body["spec"] |= spec
    path.write_text(yaml.safe_dump(body))
    repository.commit(subject)


def _roll_at_once(repository: Repository) -> None:
    """Commit that a new model of prod is not compared with the old one."""
    path = repository.folder / "prod" / "kustomization.yaml"
    path.write_text(path.read_text().replace("  - path: rollout.yaml\n", ""))
    repository.commit("New models roll out at once")


def _uids(api: Api) -> dict[str, str]:
    everything = (RISKPREDICTOR, *CHILDREN)
    return {r.kind: api.need(r, KEY)["metadata"]["uid"] for r in everything}


def _syncs(body: Body) -> tuple[int, str]:
    """How often it has deployed something, and when it began the last time."""
    status = body["status"]
    return len(status["history"]), status["operationState"]["startedAt"]


def test_it_is_healthy_when_the_predictor_is_and_not_before(
    cluster: LocalCluster,
    api: Api,
    repository: Repository,
    deliver: Callable[..., Delivery],
    operator_config: Path,
    tmp_path: Path,
) -> None:
    _roll_at_once(repository)
    delivery = deliver()
    found = delivery.wait("Progressing")
    about = argocd.resources(found)[RISKPREDICTOR.kind, KEY.name]
    assert about["status"] == "Synced"
    with operators.running(operator_config, tmp_path / "operator.log"):
        delivery.wait()
        _edit(repository, "v2 on a node that there is not yet", modelVersion="v2",
              podTemplate={"nodeSelector": {"test": "argocd"}})  # fmt: skip
        delivery.wait("Progressing")
        Predictors(api, HOME).wait(KEY, status="False", reason="Unschedulable")
        with api.watching(APPLICATION, delivery.key) as states:
            node = cluster.kubectl("get", "nodes", "--output=name").split()[0]
            cluster.kubectl("label", node, "test=argocd")
            delivery.wait()
            cluster.kubectl("label", node, "test-")
        predictor = api.need(RISKPREDICTOR, KEY)
        assert predictor["status"]["servingVersion"] == "v2"
        healths = [argocd.state(body)[0] for body in states]
        assert healths == sorted(healths, reverse=True), "Progressing, then Healthy"


def test_a_change_of_the_model_has_its_health_and_does_not_hold_up_a_revert(
    api: Api, repository: Repository, deliver: Callable[..., Delivery]
) -> None:
    """Without an operator: the test writes what it would."""
    delivery = deliver()
    delivery.wait("Progressing")
    for phase, health in (
        ("Observing", "Healthy"), ("AwaitingApproval", "Suspended"), ("Aborted", "Degraded"),
        ("Canary", "Progressing"),
    ):  # fmt: skip
        api.patch(RISKPREDICTOR, KEY, {"status": phases.status(phase)}, sub="status")
        delivery.wait(health)
    repository.promote("prod", "v2")
    delivery.wait("Progressing")
    repository.revert()
    delivery.wait("Progressing")
    assert api.need(RISKPREDICTOR, KEY)["spec"]["modelVersion"] == "v1"


@pytest.mark.usefixtures("operator")
def test_what_was_changed_by_hand_is_reverted_once_and_the_operator_does_not_object(
    cluster: LocalCluster, api: Api, deliver: Callable[..., Delivery]
) -> None:
    delivery = deliver()
    before = _syncs(delivery.wait())
    api.patch(RISKPREDICTOR, KEY, {"spec": {"minReplicas": 4}})
    eventually(lambda: api.need(RISKPREDICTOR, KEY)["spec"]["minReplicas"] == 3, within=60)
    after = _syncs(delivery.wait())
    assert after[1] > before[1]
    generation = api.need(RISKPREDICTOR, KEY)["metadata"]["generation"]
    cluster.kubectl("-n", HOME, "set", "image", f"deployment/{KEY.name}", "predictor=other:v9")
    time.sleep(SETTLED)
    delivery.wait()
    assert _syncs(delivery.body()) == after, "the operator's own repairs are no difference"
    assert api.need(RISKPREDICTOR, KEY)["metadata"]["generation"] == generation


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("tracking", ["annotation", "label", "annotation+label"])
def test_children_are_no_difference_and_are_not_pruned(
    api: Api,
    repository: Repository,
    track: Callable[[str], None],
    deliver: Callable[..., Delivery],
    tracking: str,
) -> None:
    track(tracking)
    delivery = deliver(name=KEY.name)  # the Application has the predictor's name
    delivery.wait()
    before = _uids(api)
    _edit(repository, "Another size", minReplicas=2)
    kinds = {kind for kind, _ in argocd.resources(delivery.wait())}
    assert kinds == {"Namespace", "NetworkPolicy", RISKPREDICTOR.kind}
    assert _uids(api) == before


@pytest.mark.usefixtures("operator")
def test_orphans_of_a_predictor_are_not_taken_for_what_left_git(
    api: Api,
    repository: Repository,
    track: Callable[[str], None],
    deliver: Callable[..., Delivery],
) -> None:
    """Argo CD that tracks by label prunes whatever says that it belongs to its Application."""
    track("label")
    orphan = Key(HOME, "orphan")
    delivery = deliver(name=orphan.name)
    delivery.wait()
    Predictors(api, HOME).wait(Predictors(api, HOME).create(orphan.name))
    api.delete(RISKPREDICTOR, orphan, policy="Orphan")
    eventually(lambda: not api.need(DEPLOYMENT, orphan)["metadata"].get("ownerReferences"))
    uids = {r.kind: api.need(r, orphan)["metadata"]["uid"] for r in CHILDREN}
    _edit(repository, "Another size", minReplicas=2)
    delivery.wait()
    assert {r.kind: api.need(r, orphan)["metadata"]["uid"] for r in CHILDREN} == uids


@pytest.mark.usefixtures("operator")
def test_what_is_removed_from_git_is_pruned_with_its_children(
    api: Api, repository: Repository, deliver: Callable[..., Delivery]
) -> None:
    delivery = deliver()
    delivery.wait()
    second = Key(HOME, "second")
    folder = repository.folder / "prod"
    body = yaml.safe_load((folder / "health-predictor.yaml").read_text())
    body["metadata"]["name"] = second.name
    (folder / "second.yaml").write_text(yaml.safe_dump(body))
    path = folder / "kustomization.yaml"
    path.write_text(path.read_text().replace("  - ../base\n", "  - ../base\n  - second.yaml\n"))
    repository.commit("A second predictor")
    delivery.wait()
    api.need(DEPLOYMENT, second)
    repository.revert()
    delivery.wait()
    everything = (RISKPREDICTOR, *CHILDREN)
    eventually(lambda: all(api.get(r, second) is None for r in everything), within=60)
    assert _uids(api)


@pytest.mark.parametrize(
    ("tracking", "label", "sync"),
    [
        # Argo CD marks no definition as its own, so it does not miss this one.
        pytest.param("annotation", "", "Synced", id="as installed"),
        # A chart's label makes it one of its own, which only our annotations save.
        pytest.param("label", "app.kubernetes.io/instance: predictors-prod", "OutOfSync",
                     id="with the label that it tracks by"),
    ],
)  # fmt: skip
def test_a_definition_that_leaves_git_stays_with_its_instances(
    cluster: LocalCluster,
    api: Api,
    repository: Repository,
    track: Callable[[str], None],
    deliver: Callable[..., Delivery],
    tracking: str,
    label: str,
    sync: str,
) -> None:
    track(tracking)
    group = "guarded.example.com"
    name = f"riskpredictors.{group}"
    guarded = (ROOT / "crds/riskpredictors.yaml").read_text().replace("healthtech.dev", group)
    folder = repository.folder / "prod"
    (folder / "crd.yaml").write_text(guarded.replace("  labels:\n", f"  labels:\n    {label}\n", 1))
    path = folder / "kustomization.yaml"
    path.write_text(path.read_text().replace("  - ../base\n", "  - ../base\n  - crd.yaml\n"))
    repository.commit("The definition, too")
    delivery = deliver()
    cluster.await_crd(name)
    delivery.wait("Progressing")
    kind = Resource(group, "v1alpha1", "riskpredictors", RISKPREDICTOR.kind)
    metadata = {"name": KEY.name, "namespace": "default"}
    made = api.create(kind, {"metadata": metadata, "spec": {"modelVersion": "v1"}})
    crd = api.need(CRD, Key("", name))
    repository.revert()
    delivery.wait("Progressing", sync)
    delivery.end(cascade=True)
    eventually(lambda: api.get(APPLICATION, delivery.key) is None, within=60)
    assert api.need(CRD, Key("", name))["metadata"]["uid"] == crd["metadata"]["uid"]
    kept = api.need(kind, Key("default", KEY.name))
    assert kept["metadata"]["uid"] == made["metadata"]["uid"]
    cluster.kubectl("delete", "crd", name)


@pytest.mark.usefixtures("operator")
def test_a_busy_hour_stays_healthy(
    cluster: LocalCluster, api: Api, deliver: Callable[..., Delivery]
) -> None:
    """The autoscaler asks for more pods than there is room for."""
    delivery = deliver()
    delivery.wait()
    nodes = cluster.kubectl("get", "nodes", "--output=name").split()
    with api.watching(APPLICATION, delivery.key) as states:
        cluster.kubectl("cordon", *nodes)
        cluster.kubectl("-n", HOME, "scale", "deployment", KEY.name, "--replicas=6")
        eventually(lambda: api.need(DEPLOYMENT, KEY)["status"].get("replicas") == 6)
        time.sleep(SETTLED)
        delivery.refresh()
        time.sleep(SETTLED)
        cluster.kubectl("uncordon", *nodes)
        eventually(lambda: api.need(DEPLOYMENT, KEY)["status"].get("readyReplicas") == 6)
        delivery.wait()
    assert {argocd.state(body)[:2] for body in states} == {("Healthy", "Synced")}
