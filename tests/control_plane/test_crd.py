"""The API as users meet it: defaults, refusals that name the field and the fix, kubectl's views."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from riskpredictor_operator.core.api import POD
from riskpredictor_operator.kube import Key
from support.api import DEPLOYMENT, RISKPREDICTOR, Api, Refused, eventually
from support.cluster import ROOT, LocalCluster
from support.operator import OperatorProcess
from support.predictors import Predictors

SAMPLES = ROOT / "deploy" / "samples"


def _create(api: Api, namespace: str, name: str = "risk", **spec: Any) -> dict[str, Any]:
    body = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
    return api.create(RISKPREDICTOR, body)


def test_the_smallest_object_gets_every_default(api: Api, namespace: str) -> None:
    """But those of spec.rollout, which are in test_rollout_spec.py."""
    body = _create(api, namespace, modelVersion="v1")
    del body["spec"]["rollout"]
    assert body["spec"] == {
        "modelVersion": "v1",
        "minReplicas": 2,
        "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 70,
        "scaleDownStabilizationSeconds": 300,
        "autoscaler": "Managed",
        "disruptionBudget": "Enabled",
        "image": {"pullPolicy": "IfNotPresent"},
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "200m", "memory": "256Mi"},
        },
        "service": {"type": "ClusterIP", "port": 80},
        "podTemplate": {"terminationGracePeriodSeconds": 30, "progressDeadlineSeconds": 600},
        "suspend": False,
    }
    assert body["status"] == {"observedGeneration": -1}, "or kstatus would call it Current"


SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no version": ({"modelVersion": None}, r"spec\.modelVersion: Required value"),
    "version with a space": ({"modelVersion": "v 1"}, "modelVersion must consist of letters"),
    "version too long": ({"modelVersion": "v" * 64}, r"modelVersion.*63"),
    "version as a number": (
        {"modelVersion": 2}, r'modelVersion must be text; write it in quotes, for example "2"',
    ),
    "version as a decimal": ({"modelVersion": 1.1}, r"modelVersion.*must be of type .*string"),
    "tag as a number": ({"image": {"tag": 2}}, r"image\.tag must be text; write it in quotes"),
    "digest without algorithm": (
        {"image": {"digest": "0a" * 32}}, r"image\.digest must be 'sha256:' and 64 digits",
    ),
    "unknown autoscaler": ({"autoscaler": "None"}, r'autoscaler.*"Managed", "External"'),
    "unknown budget": ({"disruptionBudget": "Off"}, r'disruptionBudget.*"Enabled", "Disabled"'),
    "a label as a number": (
        {"childMetadata": {"labels": {"a": 1}}}, r"childMetadata\.labels must .*in quotes",
    ),
    "a label that is none": (
        {"childMetadata": {"labels": {"a": "b c"}}}, r"childMetadata\.labels\.a.* should match",
    ),
    "a label's key": (
        {"childMetadata": {"labels": {"a b": "c"}}}, r"childMetadata\.labels must have keys such",
    ),
    "a child's label of the operator's": (
        {"childMetadata": {"labels": {"app.kubernetes.io/name": "x"}}},
        r"childMetadata\.labels must not set .*use another key",
    ),
    "an annotation as a number": (
        {"childMetadata": {"annotations": {"a": 1}}},
        r"childMetadata\.annotations must .*in quotes",
    ),
    "an annotation's key": (
        {"childMetadata": {"annotations": {"/": "c"}}},
        r"childMetadata\.annotations must have keys",
    ),
    "a child's annotation of Kubernetes": (
        {"childMetadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}}},
        r"childMetadata\.annotations must not set .*use another key",
    ),
    "min above max": ({"minReplicas": 6}, "minReplicas must not be greater than spec.maxReplicas"),
    "no pods at least": ({"minReplicas": 0}, r"minReplicas.*greater than or equal to 1"),
    "min as text": ({"minReplicas": "2"}, r"minReplicas.*must be of type integer"),
    "negative size": ({"replicas": -1}, r"spec\.replicas.*greater than or equal to 0"),
    "CPU target 0": ({"targetCPUUtilizationPercentage": 0}, r"targetCPU.*than or equal to 1"),
    "CPU target 1001": ({"targetCPUUtilizationPercentage": 1001}, r"targetCPU.*equal to 1000"),
    "waits too long": ({"scaleDownStabilizationSeconds": 3601}, r"scaleDown.*equal to 3600"),
    "port 0": ({"service": {"port": 0}}, r"service\.port.*greater than or equal to 1"),
    "port 65536": ({"service": {"port": 65536}}, r"service\.port.*less than or equal to 65535"),
    "unknown type": ({"service": {"type": "Ingress"}}, r'service\.type.*"ClusterIP"'),
    "node port without type": (
        {"service": {"nodePort": 30000}}, "nodePort needs spec.service.type NodePort",
    ),
    "traffic policy without type": (
        {"service": {"externalTrafficPolicy": "Local"}},
        r"externalTrafficPolicy needs spec\.service\.type NodePort or LoadBalancer; set",
    ),
    "unknown traffic policy": (
        {"service": {"type": "NodePort", "externalTrafficPolicy": "local"}},
        r"externalTrafficPolicy must be Cluster or Local",
    ),
    "load balancer class without type": (
        {"service": {"type": "NodePort", "loadBalancerClass": "a"}},
        r"loadBalancerClass needs spec\.service\.type LoadBalancer; set",
    ),
    "load balancer class": (
        {"service": {"type": "LoadBalancer", "loadBalancerClass": "a b"}},
        r"loadBalancerClass must be a name such as",
    ),
    "source ranges without type": (
        {"service": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}},
        r"loadBalancerSourceRanges needs spec\.service\.type LoadBalancer; set",
    ),
    "an address that is no range": (
        {"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1"]}},
        r"loadBalancerSourceRanges\[0\].*must be of type cidr",
    ),
    "unknown family policy": (
        {"service": {"ipFamilyPolicy": "Dual"}}, r"ipFamilyPolicy must be SingleStack, Prefer",
    ),
    "a service's annotation as a number": (
        {"service": {"annotations": {"a": 1}}}, r"service\.annotations must .*in quotes",
    ),
    "a service's annotation's key": (
        {"service": {"annotations": {"a b": ""}}}, r"service\.annotations must have keys such",
    ),
    "a service's annotation of the operator's": (
        {"service": {"annotations": {"healthtech.dev/applied-hash": "x"}}},
        r"service\.annotations must not set .*use another key",
    ),
    "request above limit": (
        {"resources": {"requests": {"cpu": "300m"}, "limits": {"cpu": "200m"}}},
        r"resources\.requests\.cpu must not exceed spec\.resources\.limits\.cpu; lower",
    ),
    "memory above limit": (
        {"resources": {"requests": {"cpu": "1m", "memory": "1Gi"}, "limits": {"memory": "1Mi"}}},
        r"resources\.requests\.memory must not exceed",
    ),
    "not a quantity": (
        {"resources": {"limits": {"cpu": "a lot"}}}, "limits has a value that is not a quantity",
    ),
    "nothing to measure against": (
        {"resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "64Mi"}}},
        r"resources\.requests\.cpu is needed",
    ),
    "zero memory": (
        {"resources": {"limits": {"memory": "0"}}}, "limits values must be greater than 0",
    ),
    "image with a tag": (
        {"image": {"repository": "team/risk:v1"}}, r"image\.repository must be an image name",
    ),
    "tag with a slash": ({"image": {"tag": "a/b"}}, r"image\.tag must consist of"),
    "pull policy": ({"image": {"pullPolicy": "Sometimes"}}, r'pullPolicy.*"Always"'),
    "a label of the operator's": (
        {"podTemplate": {"labels": {"healthtech.dev/riskpredictor": "x"}}},
        r"podTemplate\.labels must not set .*use another key",
    ),
    "a pod's label as a number": (
        {"podTemplate": {"labels": {"a": 4711}}}, r"podTemplate\.labels must .*in quotes",
    ),
    "a pod's annotation as a number": (
        {"podTemplate": {"annotations": {"prometheus.io/port": 9090}}},
        r"podTemplate\.annotations must .*in quotes",
    ),
    "a node's label as a number": (
        {"podTemplate": {"nodeSelector": {"a": 2}}}, r"podTemplate\.nodeSelector must .*in quotes",
    ),
    "a variable of the operator's": (
        {"podTemplate": {"env": [{"name": "POD_NAME", "value": "x"}]}},
        r"podTemplate\.env must not set POD_NAME.*remove",
    ),
    "a variable twice": (
        {"podTemplate": {"env": [{"name": "A"}, {"name": "A"}]}},
        r"podTemplate\.env\[1\]: Duplicate value",
    ),
    "a variable without name": (
        {"podTemplate": {"env": [{"value": "x"}]}}, r"podTemplate\.env\[0\]\.name: Required value",
    ),
    "a variable's name": (
        {"podTemplate": {"env": [{"name": "2A"}]}}, r"podTemplate\.env must have names of letters",
    ),
    "a variable as a number": (
        {"podTemplate": {"env": [{"name": "A", "value": 512}]}},
        r'podTemplate\.env must have text .*in quotes, for example value: "512"',
    ),
    "a variable from two places": (
        {"podTemplate": {"env": [
            {"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        ]}},
        r"podTemplate\.env must have value or valueFrom, not both",
    ),
    "a variable from nowhere": (
        {"podTemplate": {"env": [{"name": "A", "valueFrom": {}}]}},
        r"valueFrom must name exactly one of fieldRef",
    ),
    "a field that no variable can have": (
        {"podTemplate": {"env": [
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.containers"}}}
        ]}},
        r"fieldPath must be metadata\.name",
    ),
    "an amount that no variable can have": (
        {"podTemplate": {"env": [
            {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "cpu"}}}
        ]}},
        r"resourceFieldRef\.resource must be limits or requests",
    ),
    "a unit that is none": (
        {"podTemplate": {"env": [{"name": "A", "valueFrom": {
            "resourceFieldRef": {"resource": "limits.cpu", "divisor": "x"}
        }}]}},
        r"resourceFieldRef\.divisor.* should match",
    ),
    "root": (
        {"podTemplate": {"securityContext": {"runAsUser": 0}}},
        r"securityContext\.runAsUser must not be 0.*set another user or remove",
    ),
    "perhaps root": (
        {"podTemplate": {"securityContext": {"runAsNonRoot": False}}},
        r"securityContext\.runAsNonRoot must not be false.*remove",
    ),
    "a profile of the node's without its name": (
        {"podTemplate": {"securityContext": {"seccompProfile": {"type": "Localhost"}}}},
        r"seccompProfile\.localhostProfile must be set",
    ),
    "an AppArmor profile without its name": (
        {"podTemplate": {"securityContext": {"appArmorProfile": {"type": "Localhost"}}}},
        r"appArmorProfile\.localhostProfile must be set",
    ),
    "how a volume's group changes": (
        {"podTemplate": {"securityContext": {"fsGroupChangePolicy": "Never"}}},
        r"fsGroupChangePolicy must be OnRootMismatch or Always",
    ),
    "how groups are added": (
        {"podTemplate": {"securityContext": {"supplementalGroupsPolicy": "Never"}}},
        r"supplementalGroupsPolicy must be Merge or Strict",
    ),
    "how a volume's SELinux label changes": (
        {"podTemplate": {"securityContext": {"seLinuxChangePolicy": "Never"}}},
        r"seLinuxChangePolicy must be MountOption or Recursive",
    ),
    "no time to drain": (
        {"podTemplate": {"terminationGracePeriodSeconds": 5}},
        r"terminationGracePeriodSeconds.*greater than or equal to 6",
    ),
    "no time to progress": (
        {"podTemplate": {"progressDeadlineSeconds": 0}},
        r"progressDeadlineSeconds.*greater than or equal to 1",
    ),
    "domains that cannot be demanded": (
        {"podTemplate": {"topologySpreadConstraints": [SPREAD | {"minDomains": 2}]}},
        r"minDomains needs whenUnsatisfiable DoNotSchedule; set",
    ),
    "how excluded nodes count": (
        {"podTemplate": {"topologySpreadConstraints": [SPREAD | {"nodeAffinityPolicy": "No"}]}},
        r"nodeAffinityPolicy must be Honor or Ignore",
    ),
    "how tainted nodes count": (
        {"podTemplate": {"topologySpreadConstraints": [SPREAD | {"nodeTaintsPolicy": "No"}]}},
        r"nodeTaintsPolicy must be Honor or Ignore",
    ),
    "suspend as text": ({"suspend": "yes"}, r"suspend.*must be of type boolean"),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_mistake_is_refused_by_name(
    api: Api, namespace: str, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        _create(api, namespace, **{"modelVersion": "v1", **spec})


def test_a_load_balancer_keeps_its_class_and_the_message_says_the_way_round(
    api: Api, namespace: str
) -> None:
    key = Key(namespace, "risk")
    _create(api, namespace, modelVersion="v1", service={"type": "LoadBalancer"})

    def change(**service: Any) -> None:
        api.patch(RISKPREDICTOR, key, {"spec": {"service": service}})

    with pytest.raises(Refused, match=r"loadBalancerClass cannot change while .*set type to Clus"):
        change(loadBalancerClass="a")
    change(type="ClusterIP")
    change(type="LoadBalancer", loadBalancerClass="a")
    with pytest.raises(Refused, match="loadBalancerClass cannot change"):
        change(loadBalancerClass=None)
    change(port=8080)


EMPTY = """
apiVersion: healthtech.dev/v1alpha1
kind: RiskPredictor
metadata: {name: risk, labels: null}
spec:
  modelVersion: v1
  minReplicas: null
  replicas: null
  autoscaler: null
  disruptionBudget: null
  childMetadata: {labels: {a: null}, annotations: null}
  rollout: {strategy: null, canary: {subjectHeader: null}, gates: {cases: null}}
  shadow: null
  image: {repository: null, tag: null, digest: null, pullPolicy: null, pullSecrets: null}
  resources: {requests: {cpu: null, memory: 64Mi}, limits: null}
  service:
    type: null
    nodePort: null
    annotations: null
    loadBalancerClass: null
    loadBalancerSourceRanges: null
    externalTrafficPolicy: null
    ipFamilyPolicy: null
  podTemplate:
    labels: {a: null, b: c}
    annotations: {a: null}
    env: [{name: A, value: null}, {name: B, valueFrom: null}]
    securityContext: {runAsUser: null, runAsNonRoot: null, fsGroup: null, seccompProfile: null}
    terminationGracePeriodSeconds: null
    nodeSelector: {a: null}
    tolerations: null
    affinity: {nodeAffinity: null}
    priorityClassName: null
    topologySpreadConstraints: null
"""


@pytest.mark.parametrize("mode", [[], ["--server-side"]], ids=["client-side", "server-side"])
@pytest.mark.parametrize("what", ["parts", "the whole"])
def test_what_a_template_left_empty_is_absent(
    cluster: LocalCluster, api: Api, namespace: str, operator: OperatorProcess,
    predictors: Predictors, mode: list[str], what: str,
) -> None:  # fmt: skip
    spec = yaml.safe_load(EMPTY)
    if what == "the whole":
        empty = dict.fromkeys(
            ("childMetadata", "image", "resources", "rollout", "service", "podTemplate")
        )
        spec["spec"] |= empty
    minor = int(re.sub(r"\D", "", api.request("GET", "/version")["minor"]))
    if mode or minor < 34:
        # The API server's own limit: it reads this field for the scale subresource, and fails.
        del spec["spec"]["replicas"]
    text = yaml.safe_dump(spec)
    cluster.kubectl("-n", namespace, "apply", *mode, "-f", "-", stdin=text)
    predictors.wait(Key(namespace, "risk"))
    body = api.need(RISKPREDICTOR, Key(namespace, "risk"))
    before = body["metadata"]["generation"]
    cluster.kubectl("-n", namespace, "apply", *mode, "-f", "-", stdin=text)
    assert api.need(RISKPREDICTOR, Key(namespace, "risk"))["metadata"]["generation"] == before
    deployment = api.need(DEPLOYMENT, Key(namespace, "risk"))
    assert deployment["metadata"]["generation"] == 1
    assert "a" not in deployment["spec"]["template"]["metadata"]["labels"]


RESOURCES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a limit below the default request": (
        {"limits": {"cpu": "50m"}},
        {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "50m"}},
    ),
    "memory alone, and 70 % mean what they meant": (
        {"requests": {"memory": "64Mi"}},
        {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": "200m", "memory": "256Mi"},
        },
    ),
    "a request above the default limit": (
        {"requests": {"cpu": 1}},
        {"requests": {"cpu": "1", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
    ),
    "no limits": (
        {"requests": {"cpu": "0.5"}, "limits": {}}, {"requests": {"cpu": "500m"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "found"), RESOURCES.values(), ids=RESOURCES)
def test_resources_given_in_part_meet_defaults_that_fit_in_the_pod(
    api: Api, operator: OperatorProcess, predictors: Predictors,
    given: dict[str, Any], found: dict[str, Any],
) -> None:  # fmt: skip
    key = predictors.create(resources=given)
    pods = eventually(lambda: api.items(POD, key.namespace), what="a pod")
    assert pods is not None
    (container,) = pods[0]["spec"]["containers"]
    assert container["resources"] == found


@pytest.mark.parametrize("name", ["1st", "a" * 64, "dotted.name"])
def test_a_name_that_no_service_can_have_is_refused(api: Api, namespace: str, name: str) -> None:
    with pytest.raises(Refused, match=r"metadata\.name must be at most 63 characters.*rename"):
        _create(api, namespace, name, modelVersion="v1")


@pytest.mark.parametrize("name", ["a", "a" * 63, "ward-7"])
def test_a_good_name_is_accepted(api: Api, namespace: str, name: str) -> None:
    _create(api, namespace, name, modelVersion="v1")


def test_an_unknown_field_is_refused_by_kubectl(cluster: LocalCluster, namespace: str) -> None:
    body = {
        "apiVersion": "healthtech.dev/v1alpha1", "kind": "RiskPredictor",
        "metadata": {"name": "risk"}, "spec": {"modelVersion": "v1", "minReplica": 2},
    }  # fmt: skip
    done = cluster.try_kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(body))
    assert done.returncode != 0
    assert 'unknown field "spec.minReplica"' in done.stderr


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_samples(cluster: LocalCluster, namespace: str, path: Path) -> None:
    done = cluster.try_kubectl("-n", namespace, "apply", "-f", str(path))
    if path.stem != "invalid":
        assert done.returncode == 0, done.stderr
        assert cluster.try_kubectl("-n", namespace, "diff", "-f", str(path)).stdout == ""
    else:
        assert done.returncode != 0
        for mistake in ("spec.minReplicas", "spec.modelVersion", "spec.resources.requests.cpu"):
            assert re.search(rf"{mistake}.* must ", done.stderr), done.stderr


def test_explain_reads_like_documentation(cluster: LocalCluster) -> None:
    text = cluster.kubectl("explain", "riskpredictor.spec", "--recursive=false")
    assert "What to serve and how many pods may serve it." in text
    properties = _schema()["properties"]["spec"]["properties"]
    for name in properties:
        assert f"  {name}\t" in text
    assert "<no description>" not in cluster.kubectl("explain", "rp", "--recursive")


def test_short_name_category_and_columns(cluster: LocalCluster, api: Api, namespace: str) -> None:
    _create(api, namespace, modelVersion="v1")
    assert cluster.kubectl("-n", namespace, "get", "rp", "-o", "name").strip().endswith("/risk")
    assert "riskpredictor.healthtech.dev/risk" in cluster.kubectl("-n", namespace, "get", "all")
    header = cluster.kubectl("-n", namespace, "get", "rp").splitlines()[0].split()
    assert header == [
        "NAME", "MODEL", "SERVING", "CANDIDATE", "STEP", "READY", "REPLICAS", "MIN", "MAX", "AGE",
    ]  # fmt: skip
    wide = cluster.kubectl("-n", namespace, "get", "rp", "-o", "wide").splitlines()[0].split()
    assert wide == [*header, "REASON", "DIGEST", "PAIRS", "URL", "IMAGE"]


def test_status_is_out_of_a_users_reach(api: Api, namespace: str) -> None:
    _create(api, namespace, modelVersion="v1")
    key = Key(namespace, "risk")
    after = api.patch(RISKPREDICTOR, key, {"status": {"servingVersion": "v9"}})
    assert "servingVersion" not in after["status"]


def _schema() -> dict[str, Any]:
    crd = yaml.safe_load((ROOT / "crds" / "riskpredictors.yaml").read_text())
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema
