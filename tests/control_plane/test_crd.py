"""The API as users meet it: defaults, refusals that name the field and the fix, kubectl's views."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api, Refused
from support.cluster import ROOT, LocalCluster

SAMPLES = ROOT / "deploy" / "samples"


def _create(api: Api, namespace: str, name: str = "risk", **spec: Any) -> dict[str, Any]:
    body = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
    return api.create(RISKPREDICTOR, body)


def test_the_smallest_object_gets_every_default(api: Api, namespace: str) -> None:
    body = _create(api, namespace, modelVersion="v1")
    assert body["spec"] == {
        "modelVersion": "v1",
        "minReplicas": 2,
        "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 70,
        "scaleDownStabilizationSeconds": 300,
        "image": {"pullPolicy": "IfNotPresent"},
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "200m", "memory": "256Mi"},
        },
        "service": {"type": "ClusterIP", "port": 80},
        "podTemplate": {},
        "suspend": False,
    }
    assert body["status"] == {"observedGeneration": -1}, "or kstatus would call it Current"


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no version": ({"modelVersion": None}, r"spec\.modelVersion: Required value"),
    "version with a space": ({"modelVersion": "v 1"}, "modelVersion must consist of letters"),
    "version too long": ({"modelVersion": "v" * 64}, r"modelVersion.*63"),
    "version of another type": ({"modelVersion": 2}, r"modelVersion.*must be of type string"),
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
    "request above limit": (
        {"resources": {"requests": {"cpu": "300m"}}},
        r"resources\.requests\.cpu must not exceed spec\.resources\.limits\.cpu; lower",
    ),
    "memory above limit": (
        {"resources": {"requests": {"cpu": "1m", "memory": "1Gi"}}},
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
    "suspend as text": ({"suspend": "yes"}, r"suspend.*must be of type boolean"),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_mistake_is_refused_by_name(
    api: Api, namespace: str, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        _create(api, namespace, **{"modelVersion": "v1", **spec})


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
    assert header == ["NAME", "MODEL", "SERVING", "READY", "REPLICAS", "MIN", "MAX", "AGE"]
    wide = cluster.kubectl("-n", namespace, "get", "rp", "-o", "wide").splitlines()[0].split()
    assert wide == [*header, "REASON", "URL", "IMAGE"]


def test_status_is_out_of_a_users_reach(api: Api, namespace: str) -> None:
    _create(api, namespace, modelVersion="v1")
    key = Key(namespace, "risk")
    after = api.patch(RISKPREDICTOR, key, {"status": {"servingVersion": "v9"}})
    assert "servingVersion" not in after["status"]


def _schema() -> dict[str, Any]:
    crd = yaml.safe_load((ROOT / "crds" / "riskpredictors.yaml").read_text())
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema
