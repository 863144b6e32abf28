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


def test_a_spec_that_is_missing_is_named() -> None:
    with pytest.raises(SpecError, match=r"^spec: missing; apply the CRD"):
        parse(without(predictor(), "spec"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec", []), ("spec.minReplicas", True), ("spec.replicas", False),
        ("spec.maxReplicas", 2.5),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_named(path: str, value: Any) -> None:
    """What a schema cannot tell apart; tests/contract/test_crd_spec.py has every field."""
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
