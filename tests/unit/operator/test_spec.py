"""Specification of reading a RiskPredictor: defaults, optional fields, and errors with a path."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.builders import UID, changed, declared, predictor, without

from riskpredictor_operator.core.spec import Image, PodTemplate, ServiceSpec, SpecError, parse
from riskpredictor_operator.kube import Key


def test_the_smallest_predictor_has_every_default() -> None:
    rp = parse(predictor(generation=3))
    assert (rp.key, rp.uid, rp.generation) == (Key("shop", "risk"), UID, 3)
    assert (rp.model_version, rp.min_replicas, rp.max_replicas) == ("v1", 2, 5)
    assert (rp.target_cpu_utilization, rp.scale_down_stabilization_seconds) == (70, 300)
    assert (rp.replicas, rp.autoscaled, rp.suspend) == (None, True, False)
    assert rp.image == Image(None, None, "IfNotPresent", ())
    assert rp.requests == {"cpu": "100m", "memory": "128Mi"}
    assert rp.limits == {"cpu": "200m", "memory": "256Mi"}
    assert rp.service == ServiceSpec("ClusterIP", 80, None)
    assert rp.pod_template == PodTemplate()


@pytest.mark.parametrize("replicas", [0, 1, 4])
def test_a_fixed_size_switches_autoscaling_off(replicas: int) -> None:
    rp = declared(replicas=replicas)
    assert (rp.replicas, rp.autoscaled) == (replicas, False)


def test_quantities_become_canonical() -> None:
    rp = declared(resources={"requests": {"cpu": "0.25", "memory": "1024Mi"}, "limits": {"cpu": 1}})
    assert rp.requests == {"cpu": "250m", "memory": "1Gi"}
    assert rp.limits["cpu"] == "1"


@pytest.mark.parametrize(
    "path",
    [
        "spec", "spec.modelVersion", "spec.minReplicas", "spec.maxReplicas",
        "spec.targetCPUUtilizationPercentage", "spec.scaleDownStabilizationSeconds", "spec.image",
        "spec.image.pullPolicy", "spec.resources", "spec.resources.requests",
        "spec.resources.limits", "spec.service", "spec.service.type", "spec.service.port",
        "spec.podTemplate", "spec.suspend",
    ],
)  # fmt: skip
def test_a_field_that_an_older_crd_does_not_fill_is_named(path: str) -> None:
    with pytest.raises(SpecError, match="missing; apply the CRD") as caught:
        parse(without(predictor(), *path.split(".")))
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec", []), ("spec.modelVersion", 1), ("spec.minReplicas", "2"),
        ("spec.minReplicas", True), ("spec.replicas", False), ("spec.replicas", "3"),
        ("spec.maxReplicas", 2.5), ("spec.image", "x"), ("spec.image.repository", 1),
        ("spec.image.tag", []), ("spec.image.pullPolicy", {}), ("spec.image.pullSecrets", "x"),
        ("spec.resources", []), ("spec.resources.requests", "100m"), ("spec.service", 80),
        ("spec.service.type", 1), ("spec.service.port", "http"), ("spec.service.nodePort", "x"),
        ("spec.podTemplate", []), ("spec.podTemplate.labels", []),
        ("spec.podTemplate.annotations", "x"), ("spec.podTemplate.nodeSelector", []),
        ("spec.podTemplate.tolerations", {}), ("spec.podTemplate.affinity", []),
        ("spec.podTemplate.priorityClassName", 1), ("spec.podTemplate.serviceAccountName", 1),
        ("spec.podTemplate.topologySpreadConstraints", {}), ("spec.suspend", "true"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_named(path: str, value: Any) -> None:
    with pytest.raises(SpecError, match="must be of type") as caught:
        parse(changed(predictor(), value, *path.split(".")))
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("secrets", "path"),
    [
        pytest.param(["registry"], "spec.image.pullSecrets[0]", id="a bare name"),
        pytest.param([{"name": "a"}, {}], "spec.image.pullSecrets[1].name", id="no name"),
        pytest.param([{"name": 7}], "spec.image.pullSecrets[0].name", id="a number"),
    ],
)
def test_a_pull_secret_that_cannot_be_read_is_named(secrets: Any, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(changed(predictor(), secrets, "spec", "image", "pullSecrets"))
    assert caught.value.path == path


@pytest.mark.parametrize("part", ["requests", "limits"])
@pytest.mark.parametrize("amount", ["lots", "1 Gi", True, None, ""], ids=repr)
def test_a_quantity_that_is_none_is_named(part: str, amount: Any) -> None:
    with pytest.raises(SpecError, match="is not a quantity") as caught:
        parse(changed(predictor(), amount, "spec", "resources", part, "memory"))
    assert caught.value.path == f"spec.resources.{part}.memory"


def test_bounds_in_the_wrong_order_name_both_fields() -> None:
    with pytest.raises(SpecError, match=r"spec.minReplicas: 6 exceeds spec.maxReplicas 5"):
        declared(minReplicas=6)


@pytest.mark.parametrize(
    ("name", "empty"),
    [
        ("labels", {}), ("nodeSelector", {}), ("tolerations", []), ("affinity", {}),
        ("priorityClassName", ""), ("serviceAccountName", ""), ("topologySpreadConstraints", []),
    ],
)  # fmt: skip
def test_empty_and_absent_are_the_same_in_the_pod_template(name: str, empty: Any) -> None:
    assert declared(podTemplate={name: empty}).pod_template == PodTemplate()
