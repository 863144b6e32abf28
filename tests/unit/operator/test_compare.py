"""Specification of drift: what counts as somebody's change of an owned field, and what does not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from unit.operator.builders import SAMPLES, Object, changed, manifests, predictor, sample, without
from unit.operator.live_objects import live

from riskpredictor_operator.core import api
from riskpredictor_operator.core.compare import contains, is_applied, renumbered_ports
from riskpredictor_operator.kube import Resource

Path = tuple[str | int, ...]

MANIFESTS: list[tuple[str, Resource, Object]] = [
    (f"{name}-{resource.kind}", resource, manifest)
    for name in SAMPLES
    for resource, manifest in manifests(sample(name)).items()
]


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Every leaf, map and list inside a JSON value."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in items:
        if isinstance(item, dict | list):
            yield from paths(item, (*at, name))
        else:
            yield (*at, name)


def owned(manifest: Object) -> list[Path]:
    """Paths of all fields that an apply of the manifest owns."""
    return [
        path
        for part in ("metadata", "spec")
        for path in paths(manifest[part], (part,))
        if len(path) > 1
    ]


def at(body: Object, path: Path) -> Any:
    value: Any = body
    for step in path:
        value = value[step]
    return value


def other_value(value: Any) -> Any:
    """A leaf of the same type that differs; maps and lists stay as they are."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return f"{value}-x"
    return value


def emptied(value: Any) -> Any:
    return type(value)()


def removed(_: Any) -> Any:
    return removed


each_child = pytest.mark.parametrize(
    ("resource", "manifest"), [m[1:] for m in MANIFESTS], ids=[m[0] for m in MANIFESTS]
)


@each_child
def test_what_the_api_server_adds_is_no_drift(resource: Resource, manifest: Object) -> None:
    assert is_applied(manifest, live(resource, manifest))


@each_child
@pytest.mark.parametrize("change", [other_value, emptied, removed])
def test_every_owned_field_that_is_changed_is_drift(
    resource: Resource, manifest: Object, change: Callable[[Any], Any]
) -> None:
    fresh = live(resource, manifest)
    unseen = []
    for path in owned(manifest):
        before = at(fresh, path)
        after = change(before)
        body = without(fresh, *path) if after is removed else changed(fresh, after, *path)
        if after != before and is_applied(manifest, body):
            unseen.append(path)
    assert unseen == []


OWNED_WHOLE = {"selector", "labelSelector", "nodeSelector", "tolerations"}


@each_child
def test_an_addition_is_drift_only_in_a_field_that_is_owned_as_a_whole(
    resource: Resource, manifest: Object
) -> None:
    fresh = live(resource, manifest)
    wrong = []
    for path in owned(manifest):
        if isinstance(at(fresh, path), dict):
            more = {**at(fresh, path), "somebody": "else"}
            tolerated = is_applied(manifest, changed(fresh, more, *path))
            if tolerated is bool(OWNED_WHOLE & set(path)):
                wrong.append(path)
    assert wrong == []


def _append(item: Any, *path: str | int) -> Callable[[Object], None]:
    def change(body: Object) -> None:
        at(body, path[:-1]).setdefault(path[-1], []).append(item)

    return change


_POD: Path = ("spec", "template", "spec")


@pytest.mark.parametrize(
    ("resource", "change"),
    [
        pytest.param(
            api.DEPLOYMENT, _append({"name": "mesh", "image": "m"}, *_POD, "containers"),
            id="sidecar",
        ),
        pytest.param(
            api.DEPLOYMENT, _append({"name": "A", "value": "b"}, *_POD, "containers", 0, "env"),
            id="variable",
        ),
        pytest.param(
            api.DEPLOYMENT, _append({"name": "v", "emptyDir": {}}, *_POD, "volumes"), id="volume"
        ),
        pytest.param(
            api.DEPLOYMENT,
            _append({"containerPort": 1, "protocol": "TCP"}, *_POD, "containers", 0, "ports"),
            id="container port",
        ),
        pytest.param(
            api.SERVICE, _append({"port": 9, "protocol": "TCP"}, "spec", "ports"), id="port"
        ),
        pytest.param(
            api.SERVICE, _append({"uid": "x", "kind": "App"}, "metadata", "ownerReferences"),
            id="second owner",
        ),
    ],
)  # fmt: skip
def test_list_items_that_others_add_are_no_drift(
    resource: Resource, change: Callable[[Object], None]
) -> None:
    manifest = manifests(predictor())[resource]
    body = live(resource, manifest)
    change(body)
    assert is_applied(manifest, body)


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        pytest.param(api.AUTOSCALER, ("spec", "metrics"), id="metrics"),
        pytest.param(
            api.AUTOSCALER, ("spec", "behavior", "scaleUp", "policies"), id="scaling policies"
        ),
        pytest.param(
            api.DEPLOYMENT,
            (*_POD, "containers", 0, "securityContext", "capabilities", "drop"),
            id="dropped capabilities",
        ),
    ],
)
def test_an_item_more_in_a_list_that_is_owned_as_a_whole_is_drift(
    resource: Resource, path: Path
) -> None:
    manifest = manifests(predictor())[resource]
    body = live(resource, manifest)
    at(body, path).append(copy.deepcopy(at(body, path)[0]))
    assert not is_applied(manifest, body)


def test_merged_lists_may_come_in_another_order() -> None:
    assert contains([{"name": "b"}, {"name": "a"}], [{"name": "a"}, {"name": "b"}], "containers")


def test_atomic_lists_may_not() -> None:
    assert not contains(["b", "a"], ["a", "b"], "args")


@pytest.mark.parametrize("empty", ["", [], {}, None], ids=repr)
def test_an_empty_value_that_the_api_server_does_not_store_is_no_drift(empty: Any) -> None:
    assert contains({}, {"field": empty})


@pytest.mark.parametrize("meant", [False, 0], ids=repr)
def test_false_and_zero_are_values(meant: Any) -> None:
    assert not contains({}, {"field": meant})


def test_another_hash_asks_for_an_apply_even_if_all_fields_are_there() -> None:
    """A field that is no longer wanted must go, and only an apply lets go of it."""
    manifest = manifests(predictor())[api.SERVICE]
    other = changed(manifest, "0" * 16, "metadata", "annotations", api.ANNOTATION_HASH)
    assert not is_applied(manifest, live(api.SERVICE, other))


def test_a_child_without_annotations_or_labels_is_drift_and_no_error() -> None:
    manifest = manifests(predictor())[api.SERVICE]
    bare = live(api.SERVICE, manifest)
    for part in ("annotations", "labels", "ownerReferences"):
        del bare["metadata"][part]
    assert not is_applied(manifest, bare)


RENDERED = manifests(predictor())
OURS = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}
OTHER = {"name": "admin", "protocol": "TCP", "port": 81, "targetPort": 9000}


def service(*ports: Object) -> Object:
    return changed(live(api.SERVICE, RENDERED[api.SERVICE]), list(ports), "spec", "ports")


class TestRenumberedPorts:
    """Ports that somebody renumbered under our name."""

    @pytest.mark.parametrize(
        ("ports", "mended"),
        [
            pytest.param([OURS], None, id="as applied"),
            pytest.param([OURS, OTHER], None, id="another port beside ours"),
            pytest.param([], None, id="removed: an apply adds it"),
            pytest.param([{**OURS, "targetPort": 1}], None, id="another target: an apply mends it"),
            pytest.param([{**OURS, "port": 81}], [OURS], id="renumbered"),
            pytest.param([{**OURS, "protocol": "UDP"}], [OURS], id="another protocol"),
            pytest.param([{**OURS, "port": 82}, OTHER], [OURS, OTHER], id="others stay"),
        ],
    )
    def test_of_a_service(self, ports: list[Object], mended: Any) -> None:
        found = renumbered_ports(api.SERVICE, RENDERED[api.SERVICE], service(*ports))
        assert found == (None if mended is None else ("/spec/ports", mended))

    def test_of_our_container_wherever_it_stands(self) -> None:
        body = live(api.DEPLOYMENT, RENDERED[api.DEPLOYMENT])
        containers = body["spec"]["template"]["spec"]["containers"]
        containers.insert(0, {"name": "mesh", "ports": [{"name": "http", "containerPort": 1}]})
        assert renumbered_ports(api.DEPLOYMENT, RENDERED[api.DEPLOYMENT], body) is None
        containers[1]["ports"][0]["containerPort"] = 5001
        assert renumbered_ports(api.DEPLOYMENT, RENDERED[api.DEPLOYMENT], body) == (
            "/spec/template/spec/containers/1/ports",
            [{"name": "http", "containerPort": 5000, "protocol": "TCP"}],
        )

    def test_an_autoscaler_has_no_ports(self) -> None:
        manifest = RENDERED[api.AUTOSCALER]
        assert renumbered_ports(api.AUTOSCALER, manifest, live(api.AUTOSCALER, manifest)) is None
