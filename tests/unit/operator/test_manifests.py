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
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.core.quantity import canonical

LABELS = {
    "app": NAME,
    "app.kubernetes.io/component": "predictor",
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
        pytest.param({"tag": "t", "digest": "sha256:0a"}, "ours/model:t@sha256:0a", id="digest"),
    ],
)
def test_image(image: Object, reference: str) -> None:
    desired = rendered(predictor(image=image), RenderOptions(image_repository="ours/model"))
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

    assert spread() == [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": own,
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]
    assert spread(podTemplate={"topologySpreadConstraints": [zone, theirs]}) == [
        {**zone, "labelSelector": own},
        theirs,
    ]


def test_a_pod_may_do_nothing_that_the_restricted_profile_forbids() -> None:
    pod = rendered(predictor()).deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]["securityContext"]
    # No user: where the cluster assigns users, a fixed one is refused.
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["automountServiceAccountToken"] is False
    assert "volumes" not in pod, "an emptyDir stops a drain"
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert container["readOnlyRootFilesystem"] is True


def test_what_the_user_sets_of_the_security_context_is_added_to_the_default() -> None:
    context = {"runAsUser": 1000, "seccompProfile": {"type": "Localhost", "localhostProfile": "a"}}
    pod = pod_of(securityContext=context)
    assert pod["securityContext"] == {"runAsNonRoot": True, **context}


@pytest.mark.parametrize(
    ("declared", "rendered"),
    [
        ({}, {"kubernetes.io/os": "linux"}),
        ({"disk": "ssd"}, {"kubernetes.io/os": "linux", "disk": "ssd"}),
        ({"kubernetes.io/os": "x"}, {"kubernetes.io/os": "x"}),
    ],
    ids=["default", "added to", "overridden"],
)
def test_pods_go_to_nodes_that_can_run_the_image(declared: Object, rendered: Object) -> None:
    assert pod_of(nodeSelector=declared)["nodeSelector"] == rendered


def test_variables_of_the_user_follow_the_operators() -> None:
    variable = {"name": "A", "value": "b"}
    names = [entry["name"] for entry in pod_of(env=[variable])["containers"][0]["env"]]
    assert names == ["POD_NAME", "A"]


def test_times_of_a_roll_out() -> None:
    times = {"terminationGracePeriodSeconds": 60, "progressDeadlineSeconds": 1200}
    spec = rendered(predictor(podTemplate=times)).deployment["spec"]
    assert spec["progressDeadlineSeconds"] == 1200
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 60


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loadBalancerClass", "example.com/internal"),
        ("loadBalancerSourceRanges", ["10.0.0.0/8"]),
        ("externalTrafficPolicy", "Local"),
        ("ipFamilyPolicy", "PreferDualStack"),
    ],
)
def test_fields_of_the_service_are_passed_through(field: str, value: Any) -> None:
    assert field not in rendered(predictor()).service["spec"]
    service = rendered(predictor(service={"type": "LoadBalancer", field: value})).service
    assert service["spec"][field] == value


def test_metadata_for_all_children_is_on_each_of_them_but_not_on_the_pods() -> None:
    metadata = {
        "labels": {"team": "a", "app.kubernetes.io/version": "7"},
        "annotations": {"owner": "b"},
    }
    plain, children = manifests(predictor()), manifests(predictor(childMetadata=metadata))
    assert len(children) == 4
    for kind, child in children.items():
        assert child["metadata"]["labels"] == {**LABELS, **metadata["labels"]}
        assert child["metadata"]["annotations"].items() >= metadata["annotations"].items()
        hashes = {m["metadata"]["annotations"][api.ANNOTATION_HASH] for m in (plain[kind], child)}
        assert len(hashes) == 2, "so that a change is applied"
        assert child["spec"] == plain[kind]["spec"]


def test_annotations_of_the_service_are_on_it_alone_and_win() -> None:
    body = predictor(
        childMetadata={"annotations": {"a": "all", "b": "all"}},
        service={"annotations": {"a": "service"}},
    )
    found = {kind: child["metadata"]["annotations"] for kind, child in manifests(body).items()}
    assert {kind: notes["a"] for kind, notes in found.items()} == {
        kind: "service" if kind == api.SERVICE else "all" for kind in found
    }
    assert found[api.SERVICE]["b"] == "all"


def test_the_autoscaler_looks_at_the_predictor_alone() -> None:
    """A sidecar's use, or its missing request, changes nothing."""
    autoscaler = rendered(predictor()).autoscaler
    assert autoscaler is not None
    assert autoscaler["spec"]["metrics"] == [
        {
            "type": "ContainerResource",
            "containerResource": {
                "container": api.CONTAINER,
                "name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 70},
            },
        }
    ]


@pytest.mark.parametrize(
    ("spec", "kinds"),
    [
        ({}, {"autoscaler", "budget"}),
        ({"autoscaler": "External"}, {"budget"}),
        ({"disruptionBudget": "Disabled"}, {"autoscaler"}),
        ({"minReplicas": 1, "maxReplicas": 1}, {"autoscaler"}),
        ({"replicas": 1}, set()),
        ({"replicas": 2}, {"budget"}),
    ],
    ids=["default", "External", "Disabled", "one at most", "fixed at one", "fixed at two"],
)
def test_children_that_are_not_always_there(spec: Object, kinds: set[str]) -> None:
    desired = rendered(predictor(**spec))
    optional = {"autoscaler": desired.autoscaler, "budget": desired.disruption_budget}
    assert {name for name, manifest in optional.items() if manifest} == kinds


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
    desired = rendered(predictor(**spec))
    labels = desired.deployment["spec"]["template"]["metadata"]["labels"]
    selector = desired.deployment["spec"]["selector"]["matchLabels"]
    assert selector == desired.service["spec"]["selector"] == {api.LABEL_PREDICTOR: NAME}
    assert selector.items() <= labels.items()


def pod_of(**template: Any) -> Object:
    """The pod spec of a predictor with these fields in its pod template."""
    deployment = rendered(predictor(podTemplate=template)).deployment
    spec: Object = deployment["spec"]["template"]["spec"]
    return spec


def walk(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Every value inside a JSON value, with its path."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from walk(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, (*path, index))
    yield path, value
