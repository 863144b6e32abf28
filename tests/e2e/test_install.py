"""docs/INSTALL.md on a real cluster: install, upgrade, roll back, remove; predictors serve on.

On the cluster as it is before the operator is installed for the other tests.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from riskdemo.install import OPERATOR_IMAGE
from riskdemo.stage import PATIENTS
from riskpredictor_operator.core.api import CHILDREN, LABEL_PREDICTOR, POD
from riskpredictor_operator.kube import Key, Resource
from support import oldchart
from support.api import DEPLOYMENT, NAMESPACE, RISKPREDICTOR, Api, eventually
from support.cluster import ROOT, LocalCluster, build_image
from support.diagnosis import explain
from support.guide import block, shell
from support.helm import Helm, dist
from support.operator import SYSTEM
from support.predictors import Predictors

OLD_IMAGE = f"riskpredictor-operator:{oldchart.VERSION}"
PATIENT = PATIENTS["a healthy adult"]
OPERATOR = Key(SYSTEM, "riskpredictor-operator")
PREDICTOR = Key("default", "health-predictor")
CRD = Key("", "riskpredictors.healthtech.dev")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions",
                "CustomResourceDefinition")  # fmt: skip
PROBES = itertools.count(1)
OWN_VALUE = "--set settings.logLevel=debug"
CLUSTER_WIDE = "clusterroles,clusterrolebindings,namespaces,customresourcedefinitions"


@pytest.fixture(scope="module")
def cluster(node: LocalCluster) -> LocalCluster:
    """The cluster, with the image of an older operator."""
    build_image(OLD_IMAGE, ROOT / "Dockerfile.operator")
    node.load_images(OLD_IMAGE)
    return node


@pytest.fixture(scope="module")
def helm(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm.built(tmp_path_factory.mktemp("helm"), cluster.kubeconfig)


@pytest.fixture
def environment(cluster: LocalCluster, helm: Helm) -> dict[str, str]:
    """A shell of somebody who reads the guide, with helm and kubectl."""
    there = cluster.environment
    return {**helm.environment, "PATH": f"{helm.program.parent}:{there['PATH']}"}


@pytest.fixture
def predictors(cluster: LocalCluster, api: Api) -> Predictors:
    return Predictors(api, PREDICTOR.namespace, partial(explain, cluster))


@pytest.fixture(autouse=True)
def _nothing_installed(cluster: LocalCluster, api: Api, helm: Helm) -> Iterator[None]:
    """Every test starts from, and leaves, a cluster that has never heard of RiskPredictors."""
    yield
    helm.attempt("uninstall", "riskpredictor", "--namespace", SYSTEM, "--wait")
    cluster.try_kubectl("delete", "-k", "deploy/operator", "--ignore-not-found")
    kinds = ",".join(resource.plural for resource in CHILDREN)
    cluster.kubectl("-n", PREDICTOR.namespace, "delete", kinds, "-l", LABEL_PREDICTOR)
    eventually(lambda: api.get(NAMESPACE, Key("", SYSTEM)) is None, within=90, every=0.2)


@contextmanager
def served(api: Api) -> Iterator[list[str]]:
    """Predictions all the while; the list has what went wrong, and must stay empty."""
    path = f"/api/v1/namespaces/{PREDICTOR.namespace}/services/{PREDICTOR.name}:http/proxy/predict"
    failures: list[str] = []
    answers: list[str] = []
    stopping = threading.Event()

    def ask() -> None:
        while not stopping.wait(0.1):
            try:
                answers.append(api.request("POST", path, PATIENT)["risk_level"])
            except Exception as error:  # whatever it is, it is a failure
                failures.append(repr(error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield failures
    finally:
        stopping.set()
        thread.join(timeout=60)
    assert failures == []
    assert len(answers) > 20
    print(f"{len(answers)} predictions, none failed")


def identity(api: Api) -> dict[str, tuple[str, Any]]:
    """What must stay as it is: the children and their generations, and the pods."""
    pods = api.items(POD, PREDICTOR.namespace, f"{LABEL_PREDICTOR}={PREDICTOR.name}")
    bodies = [*(api.need(r, PREDICTOR) for r in CHILDREN), *pods]
    return {
        f"{body.get('kind', 'Pod')} {body['metadata']['name']}": (
            body["metadata"]["uid"],
            body["metadata"].get("generation"),
        )
        for body in bodies
    }


def uids(found: dict[str, tuple[str, Any]]) -> dict[str, str]:
    """An identity without the generations."""
    return {name: uid for name, (uid, _) in found.items()}


def operator_image(api: Api) -> str:
    """Image of the running operator."""
    spec = api.need(DEPLOYMENT, OPERATOR)["spec"]["template"]["spec"]
    return str(spec["containers"][0]["image"])


def works(predictors: Predictors) -> None:
    """The operator does what it is asked for."""
    key = predictors.create(f"probe-{next(PROBES)}", replicas=1)
    predictors.wait(key, within=60)


def commands(notes: str) -> str:
    """The commands in the chart's notes, but for the one that watches without end."""
    here_document, line = r"^kubectl [^\n]*<<END\n.*?^END$", r"^kubectl [^\n]*$"
    found = re.findall(f"{here_document}|{line}", notes, re.DOTALL | re.MULTILINE)
    return "\n".join(command for command in found if "--watch" not in command)


def test_a_release_lives_and_predictors_serve_all_the_while(
    cluster: LocalCluster,
    api: Api,
    helm: Helm,
    predictors: Predictors,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    old = oldchart.pack(tmp_path)
    install = block("Install with Helm")
    notes = shell(install.replace("deploy/chart", f"{old} {OWN_VALUE}"), environment)
    assert operator_image(api) == OLD_IMAGE
    shell(commands(notes), environment)
    predictors.wait(PREDICTOR, within=90)
    predictors.settle(PREDICTOR)
    before = identity(api)
    assert len(before) == len(CHILDREN) + 2

    with served(api) as failures:
        assert not _knows_the_new_field(api)
        shell(block("Upgrade"), environment)
        assert operator_image(api) == OPERATOR_IMAGE
        assert _knows_the_new_field(api), "the CRD is upgraded, too"
        assert api.need(DEPLOYMENT, OPERATOR)["spec"]["replicas"] == 2, "the new chart's default"
        assert _variable(api, "RISKPREDICTOR_LOG_LEVEL") == "debug", "the user's own value"
        works(predictors)
        assert identity(api) == before

        shell(block("Downgrade"), environment)
        assert operator_image(api) == OLD_IMAGE
        assert not _knows_the_new_field(api)
        predictors.wait(PREDICTOR)
        assert identity(api) == before

        said = shell(block("Remove the operator with Helm"), environment)
        assert "[CustomResourceDefinition] riskpredictors.healthtech.dev" in said, "it is kept"
        assert api.get(DEPLOYMENT, OPERATOR) is None
        assert api.get(CRDS, CRD) is not None
        assert api.get(RISKPREDICTOR, PREDICTOR) is not None
        # Away long enough for whatever would follow from it.
        api.delete(NAMESPACE, Key("", SYSTEM))
        eventually(lambda: api.get(NAMESPACE, Key("", SYSTEM)) is None, within=90, every=0.2)
        assert identity(api) == before

        shell(block("Install with Helm"), environment)
        works(predictors)
        predictors.wait(PREDICTOR)
        assert identity(api) == before, "taken over without a new generation"
        assert failures == []


def _variable(api: Api, name: str) -> str:
    spec = api.need(DEPLOYMENT, OPERATOR)["spec"]["template"]["spec"]
    (value,) = [entry["value"] for entry in spec["containers"][0]["env"] if entry["name"] == name]
    return str(value)


def _knows_the_new_field(api: Api) -> bool:
    (version,) = api.need(CRDS, CRD)["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return oldchart.NEW_FIELD in spec["podTemplate"]["properties"]


def test_an_installation_of_kustomize_becomes_helms(
    api: Api, predictors: Predictors, environment: dict[str, str]
) -> None:
    shell(block("Install with kustomize"), environment)
    shell("kubectl apply -f deploy/samples/minimal.yaml", environment)
    predictors.wait(PREDICTOR, within=90)
    predictors.settle(PREDICTOR)
    before = identity(api)
    with served(api):
        shell(block("From kustomize to Helm"), environment)
        works(predictors)
        assert identity(api) == before
    labels = api.need(DEPLOYMENT, OPERATOR)["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_the_operator_the_resources_and_the_predictors_are_removed_one_after_the_other(
    cluster: LocalCluster,
    api: Api,
    predictors: Predictors,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    dist(tmp_path)
    one_file = block("Install with one file").replace("dist/", f"{tmp_path}/")
    # The CRD is in the same file as what needs it, and the sample comes right after.
    shell(one_file, environment)
    shell("kubectl apply -f deploy/samples/minimal.yaml", environment)
    predictors.wait(PREDICTOR, within=90)
    predictors.settle(PREDICTOR)
    before = identity(api)

    with served(api):
        shell(block("Remove the operator with kubectl"), environment)
        assert api.get(NAMESPACE, Key("", SYSTEM)) is None
        assert api.get(RISKPREDICTOR, PREDICTOR) is not None
        shell(block("Remove RiskPredictors and keep predictors"), environment)
        assert api.get(CRDS, CRD) is None
        for resource in CHILDREN:
            assert "ownerReferences" not in api.need(resource, PREDICTOR)["metadata"]
        assert identity(api) == before

        shell(one_file, environment)
        shell("kubectl apply -f deploy/samples/minimal.yaml", environment)
        predictors.wait(PREDICTOR, within=60)
        owner = api.need(RISKPREDICTOR, PREDICTOR)["metadata"]["uid"]
        for resource in CHILDREN:
            (reference,) = api.need(resource, PREDICTOR)["metadata"]["ownerReferences"]
            assert reference["uid"] == owner, "taken back"
        # Another owner is another annotation, which counts as a generation of a Deployment.
        assert uids(identity(api)) == uids(before), "no child and no pod is replaced"

    shell(block("Remove everything"), environment)
    assert "riskpredictor" not in cluster.kubectl("get", CLUSTER_WIDE, "--output=name")
    eventually(
        lambda: not any(
            api.items(resource, PREDICTOR.namespace, LABEL_PREDICTOR)
            for resource in (*CHILDREN, POD)
        ),
        within=90, every=0.2, what="no predictor is left",
    )  # fmt: skip
