"""docs/INSTALL.md: Helm again, under another name, and what --take-ownership takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from riskpredictor_operator.kube import Key, Resource
from support import operator as operators
from support.api import NAMESPACE, Api, Body
from support.cluster import LocalCluster
from support.guide import block, shell
from support.helm import CHART, Helm

_RBAC, _EXTENSIONS = "rbac.authorization.k8s.io", "apiextensions.k8s.io"
ROLE = Resource(_RBAC, "v1", "clusterroles", "ClusterRole")
CRD = Resource(_EXTENSIONS, "v1", "customresourcedefinitions", "CustomResourceDefinition")
OPERATOR, DEFINITION = Key("", "riskpredictor-operator"), Key("", "riskpredictors.healthtech.dev")
FIRST = "first"
ELSEWHERE = block("Install with Helm under another name")


@pytest.fixture
def helm(cluster: LocalCluster, api: Api, tmp_path: Path) -> Iterator[Helm]:
    """Helm, and a release that has taken over what other tests have installed for all namespaces.

    Not the account in the operator's own namespace: tokens of other tests end with it.
    """
    helm = Helm.built(tmp_path, cluster.kubeconfig)
    options = ("--namespace", FIRST, "--create-namespace", "--take-ownership")
    helm("install", "riskpredictor", CHART, *options)
    yield helm
    for release, namespace in (("riskpredictor", FIRST), ("risk", "risk")):
        helm.attempt("uninstall", release, "--namespace", namespace)
        if api.get(NAMESPACE, Key("", namespace)):
            api.delete(NAMESPACE, Key("", namespace))
            cluster.kubectl("wait", "--for=delete", f"namespace/{namespace}", "--timeout=60s")
    operators.install(cluster)


def _owner(body: Body) -> str:
    return str(body["metadata"]["annotations"]["meta.helm.sh/release-name"])


def _elsewhere(cluster: LocalCluster, helm: Helm) -> None:
    path = f"{cluster.bin}:{helm.environment['PATH']}"
    shell(ELSEWHERE, {**helm.environment, "PATH": path})


def test_after_an_uninstall_another_release_takes_the_definition_over(
    cluster: LocalCluster, api: Api, helm: Helm
) -> None:
    helm("uninstall", "riskpredictor", "--namespace", FIRST)
    assert _owner(api.need(CRD, DEFINITION)) == "riskpredictor"
    refused = helm.attempt("install", "risk", CHART, "--namespace", FIRST)
    assert "invalid ownership metadata" in refused.stderr
    _elsewhere(cluster, helm)
    assert _owner(api.need(CRD, DEFINITION)) == _owner(api.need(ROLE, OPERATOR)) == "risk"


def test_beside_a_release_that_is_still_there_it_takes_the_rights_and_loses_them(
    cluster: LocalCluster, api: Api, helm: Helm
) -> None:
    _elsewhere(cluster, helm)
    assert _owner(api.need(ROLE, OPERATOR)) == "risk"
    helm("uninstall", "riskpredictor", "--namespace", FIRST)
    assert api.get(ROLE, OPERATOR) is None
    assert api.get(CRD, DEFINITION) is not None
    helm("upgrade", "risk", CHART, "--namespace", "risk")
    assert _owner(api.need(ROLE, OPERATOR)) == "risk"
