"""Specification of reading a RiskPredictor: defaults, optional fields, and errors with a path."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.builders import UID, changed, declared, predictor, without

from riskpredictor_operator.core.reading import SpecError
from riskpredictor_operator.core.spec import ChildMetadata, Image, PodTemplate, ServiceSpec, parse
from riskpredictor_operator.kube import Key


def test_the_smallest_predictor_has_every_default() -> None:
    rp = parse(predictor(generation=3))
    assert (rp.key, rp.uid, rp.generation) == (Key("shop", "risk"), UID, 3)
    assert (rp.model_version, rp.min_replicas, rp.max_replicas) == ("v1", 2, 5)
    assert (rp.target_cpu_utilization, rp.scale_down_stabilization_seconds) == (70, 300)
    assert (rp.replicas, rp.autoscaled, rp.suspend) == (None, True, False)
    assert (rp.autoscaler, rp.disruption_budget) == ("Managed", "Enabled")
    assert rp.child_metadata == ChildMetadata()
    assert rp.image == Image(None, None, None, "IfNotPresent", ())
    assert rp.requests == {"cpu": "100m", "memory": "128Mi"}
    assert rp.limits == {"cpu": "200m", "memory": "256Mi"}
    assert rp.service == ServiceSpec("ClusterIP", 80, None)
    assert rp.pod_template == PodTemplate(30, 600)


@pytest.mark.parametrize("replicas", [0, 1, 4])
def test_a_fixed_size_switches_autoscaling_off(replicas: int) -> None:
    rp = declared(replicas=replicas)
    assert (rp.replicas, rp.autoscaled) == (replicas, False)


def test_quantities_become_canonical() -> None:
    rp = declared(resources={"requests": {"cpu": "0.25", "memory": "1024Mi"}, "limits": {"cpu": 1}})
    assert rp.requests == {"cpu": "250m", "memory": "1Gi"}
    assert rp.limits["cpu"] == "1"


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        pytest.param(
            {}, {"cpu": "100m", "memory": "128Mi"}, {"cpu": "200m", "memory": "256Mi"}, id="nothing"
        ),
        pytest.param(
            {"limits": {"cpu": "50m"}}, {"memory": "128Mi"}, {"cpu": "50m"},
            id="a limit below the default request, which Kubernetes takes as the request",
        ),
        pytest.param(
            {"limits": {"cpu": "0.1", "memory": "64Mi"}}, {"cpu": "100m"},
            {"cpu": "100m", "memory": "64Mi"}, id="a limit that equals the default request",
        ),
        pytest.param(
            {"limits": {"memory": "1Gi"}}, {"cpu": "100m", "memory": "128Mi"}, {"memory": "1Gi"},
            id="a limit of one resource sets none for the other",
        ),
        pytest.param(
            {"requests": {"memory": "64Mi"}}, {"cpu": "100m", "memory": "64Mi"},
            {"cpu": "200m", "memory": "256Mi"}, id="the CPU that 70 % are of stays",
        ),
        pytest.param(
            {"requests": {"cpu": "300m"}}, {"cpu": "300m", "memory": "128Mi"}, {"memory": "256Mi"},
            id="a request above the default limit",
        ),
        pytest.param(
            {"requests": {"cpu": "300m"}, "limits": {}}, {"cpu": "300m"}, {},
            id="no limits, said so",
        ),
        pytest.param(
            {"requests": None, "limits": {"cpu": "1", "memory": None}},
            {"cpu": "100m", "memory": "128Mi"}, {"cpu": "1"}, id="null is absent",
        ),
        pytest.param(
            {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}, {"cpu": "1"},
            {"memory": "1Gi"}, id="both as written",
        ),
    ],
)  # fmt: skip
def test_defaults_fill_only_what_fits_the_amounts_that_are_given(
    given: Any, requests: Any, limits: Any
) -> None:
    rp = declared(resources=given)
    assert (rp.requests, rp.limits) == (requests, limits)


def test_the_defaults_of_resources_are_those_of_the_schema() -> None:
    """Objects that were stored with them written out render the same bytes."""
    assert declared() == declared(resources={})


def test_nulls_are_absent() -> None:
    rp = declared(
        podTemplate={
            "labels": {"a": None, "b": "c"},
            "affinity": {"nodeAffinity": None, "podAffinity": {"x": [{"y": None}]}},
            "tolerations": [{"key": "a", "value": None}],
            "env": [{"name": "A", "value": "b", "valueFrom": None}],
        },
        service={"nodePort": None, "annotations": {"a": None}},
        replicas=None,
    )
    assert rp.pod_template.labels == {"b": "c"}
    assert rp.pod_template.affinity == {"podAffinity": {"x": [{}]}}
    assert rp.pod_template.tolerations == ({"key": "a"},)
    assert rp.pod_template.env == ({"name": "A", "value": "b"},)
    assert rp.service == declared().service
    assert rp.autoscaled


def test_the_unit_of_a_variable_is_text() -> None:
    """As it is read back; a number would look like a change for ever."""
    source = {"resourceFieldRef": {"resource": "limits.memory", "divisor": 1}}
    env = [{"name": "A", "valueFrom": source}]
    (variable,) = declared(podTemplate={"env": env}).pod_template.env
    assert variable["valueFrom"]["resourceFieldRef"]["divisor"] == "1"


@pytest.mark.parametrize(
    ("variable", "path"),
    [
        ("A=b", ""), ({"value": "b"}, ".name"), ({"name": "A", "value": 1}, ".value"),
        ({"name": "A", "valueFrom": []}, ".valueFrom"),
        (
            {"name": "A", "valueFrom": {"resourceFieldRef": {"divisor": "x"}}},
            ".valueFrom.resourceFieldRef.divisor",
        ),
    ],
    ids=["text", "no name", "a number", "no source", "no quantity"],
)  # fmt: skip
def test_a_variable_that_cannot_be_read_is_named(variable: Any, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        declared(podTemplate={"env": [variable]})
    assert caught.value.path == f"spec.podTemplate.env[0]{path}"


@pytest.mark.parametrize(
    ("spec", "replicas", "held"),
    [
        ({}, 0, 2), ({}, 9, 5),
        ({"autoscaler": "External"}, 0, 0), ({"autoscaler": "External"}, 9, 9),
    ],
)  # fmt: skip
def test_only_the_operators_own_autoscaler_is_held_to_the_bounds(
    spec: Any, replicas: int, held: int
) -> None:
    assert declared(**spec).within_bounds(replicas) == held


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
@pytest.mark.parametrize("amount", ["lots", "1 Gi", True, ""], ids=repr)
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
        ("labels", {}), ("nodeSelector", {}), ("tolerations", []), ("affinity", {}), ("env", []),
        ("securityContext", {}),
        ("priorityClassName", ""), ("serviceAccountName", ""), ("topologySpreadConstraints", []),
    ],
)  # fmt: skip
def test_empty_and_absent_are_the_same_in_the_pod_template(name: str, empty: Any) -> None:
    assert declared(podTemplate={name: empty}).pod_template == declared().pod_template
