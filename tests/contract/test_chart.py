"""The Helm chart against the kustomize base: two ways to install the same objects."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import fields
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from release import chart as packaging
from riskpredictor_operator import __version__
from riskpredictor_operator.core import api
from riskpredictor_operator.settings import Settings, load
from support.cluster import ROOT
from support.helm import CHART, Helm, Object, documents, kustomize

pytestmark = pytest.mark.usefixtures("renderers")

SYSTEM = "riskpredictor-system"
RELEASE_LABELS = (
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
)
OPERATOR = "riskpredictor-operator"
CRD = ("CustomResourceDefinition", "", "riskpredictors.healthtech.dev")
KEEP = "helm.sh/resource-policy"
ONE_NAMESPACE = {"watchNamespace": "default", "crd": {"install": False}}


def monitored(*parts: str) -> dict[str, Any]:
    """Values that switch on these parts of monitoring."""
    return {"monitoring": {part: {"enabled": True} for part in parts}}


MONITORED = monitored("podMonitors", "alerts", "dashboard")

Id = tuple[str, str, str]
"""Kind, namespace, name."""


def by_id(objects: Iterable[Object]) -> dict[Id, Object]:
    """Objects by what they are; none may be there twice."""
    found: dict[Id, Object] = {}
    for body in objects:
        metadata = body["metadata"]
        key = (body["kind"], metadata.get("namespace", ""), metadata["name"])
        assert key not in found
        found[key] = body
    return found


def common(objects: Iterable[Object]) -> dict[Id, Object]:
    """What both ways must agree on: all but Helm's own labels and the order of variables.

    The namespace is kustomize's alone: Helm's users name theirs on the command line. That Helm
    keeps the CRD has a test of its own.
    """
    found = by_id(deepcopy(list(objects)))
    for (kind, _, _), body in found.items():
        for label in RELEASE_LABELS:
            body["metadata"].get("labels", {}).pop(label, None)
        if body["metadata"].get("labels") == {}:
            del body["metadata"]["labels"]
        if kind == CRD[0]:
            body["metadata"]["annotations"].pop(KEEP, None)
        if kind == "Deployment":
            (container,) = body["spec"]["template"]["spec"]["containers"]
            container["env"].sort(key=lambda variable: variable["name"])
    return {key: body for key, body in found.items() if key[0] != "Namespace"}


@pytest.mark.parametrize(
    ("values", "folders"),
    [
        pytest.param({}, ["deploy/operator"], id="all namespaces"),
        pytest.param(ONE_NAMESPACE, ["deploy/operator/overlays/namespaced"], id="one namespace"),
        pytest.param(MONITORED, ["deploy/operator", "deploy/monitoring"], id="monitored"),
    ],
)
def test_both_ways_install_the_same(helm: Helm, values: Any, folders: list[str]) -> None:
    wanted = common(body for folder in folders for body in documents(kustomize(folder)))
    assert common(helm.template(values)) == wanted


def test_the_predictors_policies_are_those_of_the_policies_folder(helm: Helm) -> None:
    namespaces = ["wards", "lab"]
    more = (
        by_id(helm.template({"networkPolicy": {"predictors": {"namespaces": namespaces}}})).keys()
        - by_id(helm.template()).keys()
    )
    policies = {
        policy["metadata"]["name"]: policy
        for path in (ROOT / "deploy/policies").glob("*.yaml")
        for policy in [yaml.safe_load(path.read_text())]
    }
    assert set(policies) == {
        "riskpredictors", "riskpredictors-model-stores", "riskpredictors-candidate-stores",
    }  # fmt: skip
    assert more == {("NetworkPolicy", where, name) for where in namespaces for name in policies}
    rendered = by_id(helm.template({"networkPolicy": {"predictors": {"namespaces": ["wards"]}}}))
    for name, policy in policies.items():
        assert rendered["NetworkPolicy", "wards", name]["spec"] == policy["spec"]


def test_whoever_uninstalls_keeps_the_definition_and_so_every_riskpredictor(helm: Helm) -> None:
    crd = by_id(helm.template())[CRD]
    assert crd["metadata"]["annotations"][KEEP] == "keep"
    assert not (CHART / "crds").exists(), "Helm never upgrades what is there"


def test_no_gitops_tool_prunes_the_definition_however_it_came(helm: Helm) -> None:
    guards = {
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    }
    for objects in (helm.template(), documents(kustomize("crds"))):
        assert guards.items() <= by_id(objects)[CRD]["metadata"]["annotations"].items()


def test_the_cluster_assigns_the_user_unless_somebody_names_one(helm: Helm) -> None:
    """A user of ours would be refused where a namespace has a range of its own (OpenShift)."""
    for objects in (helm.template(), documents(kustomize("deploy/operator"))):
        spec = pod(objects)["spec"]
        assert spec["securityContext"] == {
            "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
        }  # fmt: skip
        assert "runAsUser" not in str(spec)
    named = pod(helm.template({"podSecurityContext": {"runAsUser": 1000}}))["spec"]
    assert named["securityContext"] == {**spec["securityContext"], "runAsUser": 1000}


def test_the_operator_pod_states_what_quotas_demand(helm: Helm) -> None:
    for objects in (helm.template(), documents(kustomize("deploy/operator"))):
        (container,) = pod(objects)["spec"]["containers"]
        for part in ("requests", "limits"):
            assert container["resources"][part].keys() == {"cpu", "memory"}


def reaches(policy: Object, protocol: str, port: int, address: str) -> bool:
    """Whether a NetworkPolicy lets its pods open a connection."""
    for rule in policy["spec"]["egress"]:
        peers = rule.get("to", ())
        blocks = [ip_network(peer["ipBlock"]["cidr"]) for peer in peers if "ipBlock" in peer]
        here = not peers or any(ip_address(address) in block for block in blocks)
        ports = [(p["protocol"], p.get("port", port)) for p in rule["ports"]]
        if here and (protocol, port) in ports:
            return True
    return False


API_SERVER_PORTS = {
    "Service": 443, "kubeadm, k3s, OpenShift": 6443, "minikube": 8443, "MicroK8s": 16443,
    "own": 34567,
}  # fmt: skip


@pytest.mark.parametrize("where", API_SERVER_PORTS)
@pytest.mark.parametrize("address", ["10.0.0.10", "fd00::10"])
def test_the_policy_lets_the_operator_reach_every_api_server(
    helm: Helm, where: str, address: str
) -> None:
    """A policy sees the port after the Service's was replaced by the server's own."""
    for objects in (helm.template(), documents(kustomize("deploy/operator"))):
        policy = by_id(objects)["NetworkPolicy", SYSTEM, OPERATOR]
        assert reaches(policy, "TCP", API_SERVER_PORTS[where], address)
        assert not reaches(policy, "UDP", API_SERVER_PORTS[where], address)
        for dns in (53, 5353):
            assert reaches(policy, "UDP", dns, address)
            assert reaches(policy, "TCP", dns, address)


def test_the_policy_can_be_narrowed_to_the_api_server(helm: Helm) -> None:
    server = {"ports": [6443], "addresses": ["10.0.0.0/24", "fd00::/64"]}
    values = {"networkPolicy": {"operator": {"apiServer": server}}}
    policy = by_id(helm.template(values))["NetworkPolicy", SYSTEM, OPERATOR]
    for address, other in (("10.0.0.10", "10.0.1.10"), ("fd00::10", "fd01::10")):
        assert reaches(policy, "TCP", 6443, address)
        assert not reaches(policy, "TCP", 6443, other)
        assert not reaches(policy, "TCP", 443, address)
        assert reaches(policy, "UDP", 53, other), "the name server is elsewhere"
    (pods,) = [rule for rule in policy["spec"]["egress"] if "podSelector" in str(rule)]
    assert pods["ports"] == [{"protocol": "TCP", "port": api.CONTAINER_PORT}]
    assert pods["to"] == [
        {
            "namespaceSelector": {},
            "podSelector": {"matchExpressions": [{"key": label, "operator": "Exists"}]},
        }
        for label in (api.LABEL_MODEL_SOURCE, api.LABEL_CANDIDATE_VERSION)
    ]
    only = {"networkPolicy": {"operator": {"apiServer": {"addresses": ["10.0.0.0/24"]}}}}
    policy = by_id(helm.template(only))["NetworkPolicy", SYSTEM, OPERATOR]
    assert reaches(policy, "TCP", 8443, "10.0.0.10")
    assert not reaches(policy, "TCP", 8443, "10.0.1.10")


def test_everything_says_which_release_it_belongs_to(helm: Helm) -> None:
    for (kind, _, name), body in by_id(helm.template(MONITORED)).items():
        wanted = set(RELEASE_LABELS)
        if kind == CRD[0]:
            # It outlives the release, and Argo CD may track its applications by this label.
            wanted -= {"app.kubernetes.io/instance"}
            assert "app.kubernetes.io/instance" not in body["metadata"]["labels"]
        assert wanted <= body["metadata"]["labels"].keys(), name


OFF: dict[str, tuple[dict[str, Any], set[Id]]] = {
    "crd": ({"crd": {"install": False}}, {CRD}),
    "rights": (
        {"rbac": {"create": False}},
        {
            ("ClusterRole", "", OPERATOR),
            ("ClusterRoleBinding", "", OPERATOR),
            ("Role", SYSTEM, f"{OPERATOR}-lease"),
            ("RoleBinding", SYSTEM, f"{OPERATOR}-lease"),
        },
    ),
    "account": (
        {"serviceAccount": {"create": False, "name": "theirs"}},
        {("ServiceAccount", SYSTEM, OPERATOR)},
    ),
    "network policy": (
        {"networkPolicy": {"operator": {"enabled": False}}},
        {("NetworkPolicy", SYSTEM, OPERATOR)},
    ),
    "pod monitors": (
        monitored("alerts", "dashboard"),
        {("PodMonitor", SYSTEM, OPERATOR), ("PodMonitor", SYSTEM, "riskpredictors")},
    ),
    "alerts": (
        monitored("podMonitors", "dashboard"),
        {("PrometheusRule", SYSTEM, "riskpredictor")},
    ),
    "dashboard": (
        monitored("podMonitors", "alerts"),
        {("ConfigMap", SYSTEM, "riskpredictor-dashboard")},
    ),
    "election": (
        {"replicas": 1, "settings": {"leaderElection": False}},
        {("Role", SYSTEM, f"{OPERATOR}-lease"), ("RoleBinding", SYSTEM, f"{OPERATOR}-lease")},
    ),
}


@pytest.mark.parametrize("part", OFF)
def test_a_part_that_is_off_is_missing_and_nothing_else(helm: Helm, part: str) -> None:
    values, missing = OFF[part]
    full = by_id(helm.template(MONITORED)).keys()
    assert full - by_id(helm.template({**MONITORED, **values})).keys() == missing


def deployment(objects: Iterable[Object]) -> Object:
    return by_id(objects)["Deployment", SYSTEM, OPERATOR]


def pod(objects: Iterable[Object]) -> Object:
    found: Object = deployment(objects)["spec"]["template"]
    return found


def environment(objects: Iterable[Object]) -> dict[str, str]:
    """Variables of the operator's container that have a value."""
    (container,) = pod(objects)["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


OTHER = Settings(
    namespace="wards",
    operator_namespace="leases",
    image_repository="registry.example/risk",
    runtime_image="registry.example/risk:server",
    max_rolls=1_000_000,
    workers=32,
    resync_seconds=90.5,
    evidence_seconds=2.5,
    leader_election=True,
    lease_name="other",
    lease_seconds=30.0,
    http_host="0.0.0.0",
    http_port=9000,
    request_seconds=2.5,
    log_format="human",
    log_level="debug",
)
VALUES_OF_OTHER: dict[str, Any] = {
    "watchNamespace": "wards",
    "settings": {
        "operatorNamespace": "leases", "imageRepository": "registry.example/risk",
        "runtimeImage": "registry.example/risk:server",
        "maxRolls": 1_000_000, "workers": 32, "resyncSeconds": 90.5, "evidenceSeconds": 2.5,
        "leaderElection": True,
        "leaseName": "other", "leaseSeconds": 30, "httpHost": "0.0.0.0", "httpPort": 9000,
        "requestSeconds": 2.5, "logFormat": "human", "logLevel": "debug",
    },
}  # fmt: skip


def test_every_setting_of_the_operator_can_be_set(helm: Helm) -> None:
    objects = helm.template(VALUES_OF_OTHER)
    assert load([], environment(objects)) == OTHER
    variables = {f"RISKPREDICTOR_{setting.name.upper()}" for setting in fields(Settings)}
    (container,) = pod(objects)["spec"]["containers"]
    assert {entry["name"] for entry in container["env"]} == variables


def test_without_settings_the_operator_has_its_own_defaults(helm: Helm) -> None:
    assert load([], environment(helm.template({"settings": {"logFormat": None}}))) == Settings()


def test_what_depends_on_a_setting_follows_it(helm: Helm) -> None:
    objects = by_id(helm.template(VALUES_OF_OTHER))
    (container,) = objects["Deployment", SYSTEM, OPERATOR]["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 9000}]
    (ingress,) = objects["NetworkPolicy", SYSTEM, OPERATOR]["spec"]["ingress"]
    assert ingress["ports"] == [{"protocol": "TCP", "port": 9000}]
    role = objects["Role", "leases", f"{OPERATOR}-lease"]
    assert role["rules"][1]["resourceNames"] == ["other"]
    binding = objects["RoleBinding", "leases", f"{OPERATOR}-lease"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": OPERATOR, "namespace": SYSTEM}
    ]


def test_the_values_that_are_about_the_pod_reach_it(helm: Helm) -> None:
    values: dict[str, Any] = {
        "replicas": 3,
        "image": {"repository": "r.example:5000/op", "tag": "1", "pullPolicy": "Always",
                  "digest": "sha256:" + "0" * 64, "pullSecrets": [{"name": "pull"}]},
        "resources": {"limits": {"memory": "1Gi"}},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "podLabels": {"team": "risk", "app.kubernetes.io/name": "not this"},
        "podAnnotations": {"note": "1"},
        "serviceAccount": {"name": "theirs", "annotations": {"role": "x"}},
    }  # fmt: skip
    objects = helm.template(values)
    assert deployment(objects)["spec"]["replicas"] == 3
    template = pod(objects)
    spec, (container,) = template["spec"], template["spec"]["containers"]
    assert container["image"] == f"r.example:5000/op:1@sha256:{'0' * 64}"
    assert container["imagePullPolicy"] == "Always"
    assert container["resources"] == {
        "requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "1Gi"},
    }  # fmt: skip
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    for name in ("tolerations", "affinity", "priorityClassName"):
        assert spec[name] == values[name]
    assert spec["nodeSelector"] == {"disk": "ssd", "kubernetes.io/os": "linux"}
    assert template["metadata"]["annotations"] == {"note": "1"}
    assert template["metadata"]["labels"]["team"] == "risk"
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] == OPERATOR, "it is selected by"
    assert spec["serviceAccountName"] == "theirs"
    account = by_id(objects)["ServiceAccount", SYSTEM, "theirs"]
    assert account["metadata"]["annotations"] == {"role": "x"}
    bound = by_id(objects)["ClusterRoleBinding", "", OPERATOR]["subjects"]
    assert [subject["name"] for subject in bound] == ["theirs"]


def test_labels_by_which_prometheus_and_grafana_select(helm: Helm) -> None:
    labels = {"release": "prometheus"}
    values = {part: {"enabled": True, "labels": labels} for part in MONITORED["monitoring"]}
    for (kind, _, _), body in by_id(helm.template({"monitoring": values})).items():
        if kind in ("PodMonitor", "PrometheusRule", "ConfigMap"):
            assert labels.items() <= body["metadata"]["labels"].items(), kind


def test_with_one_namespace_only_its_predictors_are_scraped(helm: Helm) -> None:
    objects = by_id(helm.template({**MONITORED, "watchNamespace": "wards"}))
    monitor = objects["PodMonitor", SYSTEM, "riskpredictors"]
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["wards"]}


def test_without_an_election_no_two_operators_run_even_for_a_moment(helm: Helm) -> None:
    objects = helm.template({"replicas": 1, "settings": {"leaderElection": False}})
    assert deployment(objects)["spec"]["strategy"] == {"type": "Recreate"}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown value": ({"replica": 2}, "'replica' not allowed"),
    "unknown part": ({"monitoring": {"alert": {}}}, "at '/monitoring'.*'alert' not allowed"),
    "unknown setting": ({"settings": {"worker": 2}}, "at '/settings'.*'worker' not allowed"),
    "identity": ({"settings": {"identity": "me"}}, "at '/settings'.*'identity' not allowed"),
    "text for a number": ({"replicas": "two"}, "at '/replicas'.*want integer"),
    "too many": ({"replicas": 11}, "at '/replicas'.*maximum"),
    "half a pod": ({"replicas": 1.5}, "at '/replicas'.*integer"),
    "no namespace's name": ({"watchNamespace": "A b"}, "at '/watchNamespace'.*pattern"),
    "log level": ({"settings": {"logLevel": "loud"}}, "at '/settings/logLevel'.*'debug'"),
    "no workers": ({"settings": {"workers": 0}}, "at '/settings/workers'.*minimum"),
    "no time": ({"settings": {"leaseSeconds": 0}}, "at '/settings/leaseSeconds'.*got 0, want"),
    "no port": ({"settings": {"httpPort": 0}}, "at '/settings/httpPort'.*minimum"),
    "digest": ({"image": {"digest": "sha256:12"}}, "at '/image/digest'.*pattern"),
    "pull secret": ({"image": {"pullSecrets": ["a"]}}, "at '/image/pullSecrets/0'.*want object"),
    "switch": ({"crd": {"install": "yes"}}, "at '/crd/install'.*want boolean"),
    "label": ({"podLabels": {"a": 1}}, "at '/podLabels/a'.*want string"),
    "resources": ({"resources": {"cpu": "1"}}, "at '/resources'.*'cpu'"),
    "API server": (
        {"networkPolicy": {"operator": {"apiServer": {"addresses": ["10.0.0.1"]}}}},
        "at '/networkPolicy/operator/apiServer/addresses/0'.*pattern",
    ),
    "many writers": (
        {"settings": {"leaderElection": False}},
        "replicas must not be greater than 1 while settings.leaderElection is false.*set replicas",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nonsense_is_refused_by_name(helm: Helm, case: str) -> None:
    values, message = REFUSED[case]
    done = helm.attempt("template", "riskpredictor", CHART, "--kube-version=1.34.0", values=values)
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert re.search(message, said), said


def test_a_kubernetes_that_is_too_old_is_named(helm: Helm) -> None:
    done = helm.attempt("template", "riskpredictor", CHART, "--kube-version=1.29.9")
    assert "chart requires kubeVersion: >=1.30.0-0" in done.stderr


@pytest.mark.parametrize(
    "values",
    [{}, ONE_NAMESPACE, MONITORED, VALUES_OF_OTHER],
    ids=["default", "one namespace", "monitored", "all settings"],
)
def test_helm_finds_nothing_to_say_about_it(helm: Helm, values: Any) -> None:
    said = helm("lint", "--strict", "--kube-version=1.34.0", CHART, values=values)
    assert "0 chart(s) failed" in said
    assert "WARNING" not in said


def test_it_can_be_a_part_of_another_chart(helm: Helm, tmp_path: Path) -> None:
    (tmp_path / "charts").mkdir()
    packaging.pack(packaging.contents(), tmp_path / "charts")
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: hospital, version: 1.0.0}")
    (tmp_path / "values.yaml").write_text("{global: {a: 1}, riskpredictor: {replicas: 1}}")
    assert deployment(helm.template(chart=tmp_path))["spec"]["replicas"] == 1


def test_chart_image_and_operator_have_one_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    base = yaml.safe_load((ROOT / "deploy/operator/base/kustomization.yaml").read_text())
    assert about["appVersion"] == about["version"] == __version__
    assert [image["newTag"] for image in base["images"]] == [__version__]


def test_the_packed_chart_is_the_chart_without_its_sources(helm: Helm, tmp_path: Path) -> None:
    packed = packaging.pack(packaging.contents(), tmp_path, time=86400)
    assert helm.template(MONITORED, chart=packed) == helm.template(MONITORED)
    with tarfile.open(packed) as archive:
        names = {entry.name for entry in archive}
    helm("package", CHART, "--destination", tmp_path / "theirs")
    with tarfile.open(tmp_path / "theirs" / packed.name) as archive:
        assert names == {entry.name for entry in archive}, "helm package has the same files"
