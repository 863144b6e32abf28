"""Specification of the manifests: whole objects, and what must hold for every RiskPredictor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from unit.operator.builders import (
    NAME,
    SAMPLES,
    Object,
    declared,
    manifests,
    predictor,
    rendered,
    sample,
)
from unit.operator.refresh_golden import expected
from unit.operator.strategies import bounded, specs

from riskpredictor_operator.core import api, names
from riskpredictor_operator.core.manifests import RenderOptions, render
from riskpredictor_operator.core.quantity import canonical
from riskpredictor_operator.core.spec import parse

LABELS = {
    "app": NAME,
    "app.kubernetes.io/component": "predictor",
    "app.kubernetes.io/instance": NAME,
    "app.kubernetes.io/managed-by": "riskpredictor-operator",
    "app.kubernetes.io/name": "riskpredictor",
    "app.kubernetes.io/part-of": "riskpredictor",
    "healthtech.dev/riskpredictor": NAME,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_children_of_a_sample_are_exactly_those_on_file(name: str) -> None:
    assert list(manifests(sample(name)).values()) == expected(name)


def test_an_autoscaled_deployment_says_nothing_about_replicas() -> None:
    assert "replicas" not in rendered(predictor()).deployment["spec"]


@pytest.mark.parametrize("replicas", [0, 1, 7])
def test_a_fixed_size_is_in_the_deployment_and_there_is_no_autoscaler(replicas: int) -> None:
    desired = rendered(predictor(replicas=replicas))
    assert desired.deployment["spec"]["replicas"] == replicas
    assert desired.autoscaler is None


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param({}, "ours/model:v1", id="operator's repository, model version as tag"),
        pytest.param({"tag": "sha-1"}, "ours/model:sha-1", id="own tag"),
        pytest.param({"repository": "r:5000/a/b"}, "r:5000/a/b:v1", id="own repository"),
    ],
)
def test_image(image: Object, reference: str) -> None:
    desired = render(declared(image=image), RenderOptions(image_repository="ours/model"))
    pod = desired.deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == reference


def test_labels_of_the_user_never_replace_the_operators() -> None:
    stolen = {"app": "x", "healthtech.dev/riskpredictor": "x", "healthtech.dev/model-version": "x"}
    deployment = rendered(predictor(podTemplate={"labels": {**stolen, "team": "a"}})).deployment
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == {**LABELS, "healthtech.dev/model-version": "v1", "team": "a"}
    assert deployment["spec"]["selector"] == {"matchLabels": {api.LABEL_PREDICTOR: NAME}}


def test_spread_over_nodes_unless_the_user_says_otherwise() -> None:
    own = {"matchLabels": {api.LABEL_PREDICTOR: NAME}}
    zone = {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    theirs = {**zone, "topologyKey": "rack", "labelSelector": {"matchLabels": {"a": "b"}}}

    def spread(**spec: Any) -> Any:
        template = rendered(predictor(**spec)).deployment["spec"]["template"]
        return template["spec"]["topologySpreadConstraints"]

    assert [(c["topologyKey"], c["labelSelector"]) for c in spread()] == [
        ("kubernetes.io/hostname", own)
    ]
    assert spread(podTemplate={"topologySpreadConstraints": [zone, theirs]}) == [
        {**zone, "labelSelector": own},
        theirs,
    ]


def test_a_pod_may_do_nothing_that_the_restricted_profile_forbids() -> None:
    pod = rendered(predictor()).deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert container["readOnlyRootFilesystem"] is True


def test_a_leaving_pod_drains_well_within_its_grace_period() -> None:
    pod = rendered(predictor()).deployment["spec"]["template"]["spec"]
    sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep * 2 <= pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    ("service", "url"),
    [
        pytest.param({}, "http://risk.shop.svc", id="HTTP's own port"),
        pytest.param({"port": 8080}, "http://risk.shop.svc:8080", id="another port"),
    ],
)
def test_address_inside_the_cluster(service: Object, url: str) -> None:
    assert names.url_of(declared(service=service)) == url


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"modelVersion": "v2"}, id="model version"),
        pytest.param({"resources": {"limits": {"cpu": "300m"}}}, id="limit"),
        pytest.param({"podTemplate": {"annotations": {"a": "b"}}}, id="annotation"),
        pytest.param({"replicas": 2}, id="fixed size"),
    ],
)
def test_the_hash_changes_with_the_deployment(spec: Object) -> None:
    def digest(**wanted: Any) -> str:
        deployment = rendered(predictor(**wanted)).deployment
        return str(deployment["metadata"]["annotations"][api.ANNOTATION_HASH])

    assert digest() != digest(**spec)


def test_generation_and_status_do_not_reach_the_children() -> None:
    fresh = rendered(predictor())
    settled = rendered(predictor(generation=7, status={"replicas": 3}))
    assert fresh == settled


@given(spec=specs())
@bounded
def test_the_same_predictor_always_gives_the_same_bytes(spec: Object) -> None:
    body = predictor(**spec)
    again = json.loads(json.dumps(body, sort_keys=True))
    assert rendered(body) == rendered(again)


@given(spec=specs())
@bounded
def test_children_have_no_empty_values_and_only_canonical_quantities(spec: Object) -> None:
    for manifest in manifests(predictor(**spec)).values():
        empties = [path for path, value in walk(manifest) if value in ({}, [], None)]
        assert not empties, "an unchanged apply of an empty value counts as a change"
    container = rendered(predictor(**spec)).deployment["spec"]["template"]["spec"]["containers"][0]
    for amount in container["resources"].values():
        assert amount == {name: canonical(text) for name, text in amount.items()}


@given(spec=specs())
@bounded
def test_selectors_reach_exactly_the_pods_of_the_template(spec: Object) -> None:
    rp = parse(predictor(**spec))
    desired = render(rp, RenderOptions())
    labels = desired.deployment["spec"]["template"]["metadata"]["labels"]
    selector = desired.deployment["spec"]["selector"]["matchLabels"]
    assert selector == desired.service["spec"]["selector"] == {api.LABEL_PREDICTOR: rp.key.name}
    assert selector.items() <= labels.items()


def walk(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Every value inside a JSON value, with its path."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from walk(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, (*path, index))
    yield path, value
