"""Specification of what a live child should be: what is rendered, what leaves, what stays."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from unit.operator.builders import SAMPLES, Object, changed, manifests, predictor, sample, without
from unit.operator.live_objects import live, with_defaults
from unit.operator.strategies import bounded, specs

from riskpredictor_operator.core import api
from riskpredictor_operator.core.compare import Comparison, Difference, compare, recorded
from riskpredictor_operator.core.observed import trim
from riskpredictor_operator.kube import Resource

Path = tuple[str | int, ...]

MANIFESTS: list[tuple[str, Resource, Object]] = [
    (f"{name}-{resource.kind}", resource, recorded(manifest))
    for name in SAMPLES
    for resource, manifest in manifests(sample(name)).items()
]
RENDERED = {resource: recorded(body) for resource, body in manifests(predictor()).items()}

_POD: Path = ("spec", "template", "spec")
_CONTAINER: Path = (*_POD, "containers", 0)
_RECORD: Path = ("metadata", "annotations", api.ANNOTATION_LAST_APPLIED)


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
        if len(path) > 1 and path not in (("metadata", "name"), ("metadata", "namespace"))
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


def wanted(resource: Resource, body: Object, manifest: Object | None = None) -> Comparison:
    return compare(resource, manifest or RENDERED[resource], body)


def differing(resource: Resource, body: Object, manifest: Object | None = None) -> list[str]:
    return [each.path for each in wanted(resource, body, manifest).differences]


def fresh(resource: Resource) -> Object:
    """A live child as it was applied."""
    return restored(resource, live(resource, RENDERED[resource]))


def restored(resource: Resource, body: Object, manifest: Object | None = None) -> Object:
    """The live child once it is as wanted; a second look finds nothing to do."""
    comparison = wanted(resource, body, manifest)
    metadata = {**body["metadata"], **comparison.wanted["metadata"]}
    after = {**body, "metadata": metadata, "spec": comparison.wanted["spec"]}
    assert differing(resource, after, manifest) == []
    return after


each_child = pytest.mark.parametrize(
    ("resource", "manifest"), [m[1:] for m in MANIFESTS], ids=[m[0] for m in MANIFESTS]
)


class TestRendered:
    """What is rendered must be there."""

    @each_child
    def test_what_the_api_server_adds_is_no_difference(
        self, resource: Resource, manifest: Object
    ) -> None:
        assert differing(resource, live(resource, manifest), manifest) == []

    @each_child
    @pytest.mark.parametrize("change", [other_value, emptied, removed])
    def test_every_field_that_is_changed_is_one(
        self, resource: Resource, manifest: Object, change: Callable[[Any], Any]
    ) -> None:
        child = live(resource, manifest)
        unseen = []
        for path in owned(manifest):
            before = at(child, path)
            after = change(before)
            body = without(child, *path) if after is removed else changed(child, after, *path)
            if after not in (before, "") and not differing(resource, body, manifest):
                unseen.append(path)
        assert unseen == []

    @each_child
    def test_every_field_that_is_changed_comes_back_by_itself(
        self, resource: Resource, manifest: Object
    ) -> None:
        child = live(resource, manifest)
        for path in owned(manifest):
            restored(resource, without(child, *path), manifest)

    def test_the_order_of_merged_lists_and_of_fields_is_free(self) -> None:
        body = live(api.DEPLOYMENT, RENDERED[api.DEPLOYMENT])
        at(body, _CONTAINER)["env"].insert(0, {"name": "A", "value": "b"})
        at(body, (*_POD, "containers")).insert(0, {"name": "mesh", "image": "m"})
        assert differing(api.DEPLOYMENT, body) == []

    @pytest.mark.parametrize("empty", ["", [], {}, None], ids=repr)
    def test_an_empty_value_that_the_api_server_does_not_store_is_no_difference(
        self, empty: Any
    ) -> None:
        manifest = changed(RENDERED[api.DEPLOYMENT], empty, *_POD, "affinity")
        assert (
            differing(api.DEPLOYMENT, live(api.DEPLOYMENT, RENDERED[api.DEPLOYMENT]), manifest)
            == []
        )

    @pytest.mark.parametrize("meant", [False, 0], ids=repr)
    def test_false_and_zero_are_values(self, meant: Any) -> None:
        manifest = changed(RENDERED[api.DEPLOYMENT], meant, *_POD, "shareProcessNamespace")
        body = live(api.DEPLOYMENT, RENDERED[api.DEPLOYMENT])
        assert differing(api.DEPLOYMENT, body, manifest) == [
            "spec.template.spec.shareProcessNamespace"
        ]

    def test_a_label_without_a_value_is_one(self) -> None:
        manifest = recorded(
            manifests(predictor(podTemplate={"nodeSelector": {"gpu": ""}}))[api.DEPLOYMENT]
        )
        body = live(api.DEPLOYMENT, manifest)
        del at(body, (*_POD, "nodeSelector"))["gpu"]
        assert differing(api.DEPLOYMENT, body, manifest) != []

    def test_a_child_without_annotations_or_labels_differs_and_is_no_error(self) -> None:
        bare = live(api.SERVICE, RENDERED[api.SERVICE])
        for part in ("annotations", "labels", "ownerReferences"):
            del bare["metadata"][part]
        assert differing(api.SERVICE, bare) == [
            "metadata.annotations", "metadata.labels", "metadata.ownerReferences"
        ]  # fmt: skip

    def test_a_difference_names_the_field_with_both_values(self) -> None:
        body = changed(live(api.DEPLOYMENT, RENDERED[api.DEPLOYMENT]), "x:1", *_CONTAINER, "image")
        (difference,) = wanted(api.DEPLOYMENT, body).differences
        assert difference == Difference(
            "spec.template.spec.containers[predictor].image", "health-predictor:v1", "x:1"
        )


DECLARED: Object = {
    "image": {"pullSecrets": [{"name": "registry"}]},
    "service": {"type": "NodePort", "nodePort": 30900},
    "podTemplate": {
        "labels": {"team": "ward"},
        "annotations": {"example.com/note": "x"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"x": [{"weight": 1}]}},
        "priorityClassName": "high",
        "serviceAccountName": "ward",
        "topologySpreadConstraints": [
            {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
    },
}


def settled(value: Any) -> Any:
    """A spec without what is decided elsewhere, and without the order of its lists."""
    if isinstance(value, dict):
        free = ("replicas", "nodePort")
        return {name: settled(item) for name, item in value.items() if name not in free}
    if isinstance(value, list):
        return sorted((settled(item) for item in value), key=repr)
    return value


class TestFormerlyApplied:
    """What is no longer rendered must go, whoever else claims it."""

    def test_the_record_restarts_no_pod(self) -> None:
        manifest = manifests(predictor())[api.DEPLOYMENT]
        record = recorded(manifest)
        assert record["spec"] == manifest["spec"]
        assert at(record, _RECORD).startswith('{"annotations":{')

    @pytest.mark.parametrize("resource", [api.DEPLOYMENT, api.SERVICE], ids=lambda r: r.kind)
    def test_what_was_declared_and_is_not_any_more(self, resource: Resource) -> None:
        before = recorded(manifests(predictor(**DECLARED))[resource])
        after = restored(resource, live(resource, before))
        assert after["spec"] == fresh(resource)["spec"]

    @bounded
    @given(specs(), specs())
    def test_any_spec_gives_way_to_any_other(self, first: Object, second: Object) -> None:
        one, two = (
            {r: recorded(m) for r, m in manifests(predictor(**spec)).items()}
            for spec in (first, second)
        )
        for resource in one.keys() & two.keys():
            before, expected = live(resource, one[resource]), live(resource, two[resource])
            after = with_defaults(resource, restored(resource, before, two[resource]))
            assert differing(resource, after, two[resource]) == []
            assert settled(after["spec"]) == settled(expected["spec"])

    def test_what_others_put_beside_it_stays(self) -> None:
        body = live(api.DEPLOYMENT, recorded(manifests(predictor(**DECLARED))[api.DEPLOYMENT]))
        pod = at(body, _POD)
        pod["nodeSelector"]["theirs"] = "x"
        pod["tolerations"].append({"key": "theirs", "operator": "Exists"})
        pod["imagePullSecrets"].append({"name": "theirs"})
        body["metadata"]["labels"]["theirs"] = "x"
        after = restored(api.DEPLOYMENT, body)
        pod = at(after, _POD)
        assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "theirs": "x"}
        assert pod["tolerations"] == [{"key": "theirs", "operator": "Exists"}]
        assert pod["imagePullSecrets"] == [{"name": "theirs"}]
        assert after["metadata"]["labels"]["theirs"] == "x"

    @pytest.mark.parametrize(
        "record",
        [None, "", "{", "null", "[]", '{"spec":{}}', '"x"', '{"spec":{},"labels":7}',
         "[" * 100_000],
        ids=lambda record: repr(record)[:30],
    )  # fmt: skip
    def test_where_a_child_does_not_tell_all_that_can_be_declared_counts(
        self, record: str | None
    ) -> None:
        """A child that was restored or made by another tool; annotations of the pods cannot be told
        apart."""
        before = manifests(predictor(**DECLARED))[api.DEPLOYMENT]
        body = without(live(api.DEPLOYMENT, recorded(before)), "metadata", "managedFields")
        body = without(body, *_RECORD) if record is None else changed(body, record, *_RECORD)
        pod = at(body, _POD)
        pod["containers"][0] |= {
            "args": ["-v"],
            "env": [*pod["containers"][0]["env"], {"name": "A"}],
        }
        after = at(restored(api.DEPLOYMENT, body), _POD)
        plain = at(live(api.DEPLOYMENT, RENDERED[api.DEPLOYMENT]), _POD)
        assert after.keys() == plain.keys()
        assert after["topologySpreadConstraints"] == plain["topologySpreadConstraints"]
        assert "args" not in after["containers"][0]
        assert {"name": "A"} in after["containers"][0]["env"]

    @pytest.mark.parametrize("resource", [api.DEPLOYMENT, api.SERVICE], ids=lambda r: r.kind)
    def test_a_child_of_version_0_1_0_tells_by_the_fields_that_its_apply_owns(
        self, resource: Resource
    ) -> None:
        """At once and whole, so that no later apply lets go of them and replaces pods again."""
        before = manifests(predictor(**DECLARED))[resource]
        old = "app.kubernetes.io/instance"
        before = changed(before, "risk", "metadata", "labels", old)
        if resource == api.DEPLOYMENT:
            before = changed(before, "risk", "spec", "template", "metadata", "labels", old)
            before = changed(before, [{"name": "tmp", "emptyDir": {}}], *_POD, "volumes")
        body = without(live(resource, recorded(before)), *_RECORD)
        ranges = ["10.0.0.0/8"]
        if resource == api.SERVICE:
            body = changed(body, ranges, "spec", "loadBalancerSourceRanges")
        body = changed(body, "x", "metadata", "annotations", "theirs")
        manifest = recorded(manifests(predictor(service={"type": "LoadBalancer"}))[resource])
        after = restored(resource, body, manifest)
        assert old not in json.dumps(after["spec"]) + json.dumps(after["metadata"]["labels"])
        assert after["metadata"]["annotations"]["theirs"] == "x"
        if resource == api.SERVICE:
            assert after["spec"]["loadBalancerSourceRanges"] == ranges
        else:
            gone = {"tolerations", "volumes", "imagePullSecrets"}
            assert gone.isdisjoint(at(after, _POD))
            assert "annotations" not in after["spec"]["template"]["metadata"]

    @pytest.mark.parametrize(
        "record",
        [{"spec": {"template": {"spec": {"containers": ["x", 1, None, {"name": {}}]}}}},
         {"spec": {"template": [], "selector": "x"}, "annotations": ["x"]}],
        ids=["items of no shape", "maps of no shape"],
    )  # fmt: skip
    def test_a_record_that_somebody_scribbled_on_is_no_error(self, record: Object) -> None:
        body = live(api.DEPLOYMENT, RENDERED[api.DEPLOYMENT])
        body = changed(body, json.dumps(record), *_RECORD)
        assert not differing(api.DEPLOYMENT, restored(api.DEPLOYMENT, body))

    def test_the_number_of_pods_and_a_node_port_stay_as_they_are(self) -> None:
        """An autoscaler and the API server go on from there."""
        fixed = live(api.DEPLOYMENT, recorded(manifests(predictor(replicas=4))[api.DEPLOYMENT]))
        assert restored(api.DEPLOYMENT, fixed)["spec"]["replicas"] == 4
        service = live(
            api.SERVICE,
            recorded(
                manifests(predictor(service={"type": "NodePort", "nodePort": 30900}))[api.SERVICE]
            ),
        )
        free = recorded(manifests(predictor(service={"type": "NodePort"}))[api.SERVICE])
        assert restored(api.SERVICE, service, free)["spec"]["ports"][0]["nodePort"] == 30900


def append(item: Any, *path: str | int) -> Callable[[Object], None]:
    def change(body: Object) -> None:
        at(body, path[:-1]).setdefault(path[-1], []).append(item)

    return change


def put(value: Any, *path: str | int) -> Callable[[Object], None]:
    def change(body: Object) -> None:
        at(body, path[:-1])[path[-1]] = value

    return change


ADDITIONS = {
    "sidecar": (api.DEPLOYMENT, append({"name": "mesh", "image": "m"}, *_POD, "containers")),
    "init container": (api.DEPLOYMENT, put([{"name": "i", "image": "m"}], *_POD, "initContainers")),
    "variable": (api.DEPLOYMENT, append({"name": "A", "value": "b"}, *_CONTAINER, "env")),
    "variables": (api.DEPLOYMENT, put([{"secretRef": {"name": "s"}}], *_CONTAINER, "envFrom")),
    "volume": (api.DEPLOYMENT, append({"name": "v", "emptyDir": {}}, *_POD, "volumes")),
    "mount": (
        api.DEPLOYMENT, append({"name": "v", "mountPath": "/v"}, *_CONTAINER, "volumeMounts")
    ),
    "toleration": (api.DEPLOYMENT, put([{"operator": "Exists"}], *_POD, "tolerations")),
    "pull secret": (api.DEPLOYMENT, put([{"name": "s"}], *_POD, "imagePullSecrets")),
    "node selector": (api.DEPLOYMENT, put("a", *_POD, "nodeSelector", "pool")),
    "more for a node": (api.DEPLOYMENT, put("1Gi", *_CONTAINER, "resources", "requests", "x.io/y")),
    "restart": (
        api.DEPLOYMENT, put({"kubectl.kubernetes.io/restartedAt": "now"},
                            "spec", "template", "metadata", "annotations")
    ),
    "a user that is not root": (api.DEPLOYMENT, put(1000, *_POD, "securityContext", "fsGroup")),
    "fewer rights": (api.DEPLOYMENT, put(False, *_CONTAINER, "securityContext", "privileged")),
    "fewer capabilities": (
        api.DEPLOYMENT, append("NET_RAW", *_CONTAINER, "securityContext", "capabilities", "drop")
    ),
    "pause": (api.DEPLOYMENT, put(True, "spec", "paused")),
    "label": (api.SERVICE, put("x", "metadata", "labels", "team")),
    "annotation": (api.SERVICE, put("x", "metadata", "annotations", "team")),
    "second owner": (api.SERVICE, append({"uid": "x"}, "metadata", "ownerReferences")),
    "second port": (
        api.SERVICE, append({"name": "b", "port": 9, "protocol": "TCP"}, "spec", "ports")
    ),
    "protocol of the application": (api.SERVICE, put("http", "spec", "ports", 0, "appProtocol")),
}  # fmt: skip


@pytest.mark.parametrize(("resource", "change"), ADDITIONS.values(), ids=ADDITIONS)
def test_what_others_add_stays(resource: Resource, change: Callable[[Object], None]) -> None:
    body = fresh(resource)
    change(body)
    assert differing(resource, body) == []
    after = restored(resource, {**body, "metadata": {**body["metadata"], "labels": {}}})
    assert after["spec"] == body["spec"], "also when something else is repaired"


OVERRIDES = {
    "command": (api.DEPLOYMENT, put(["sleep"], *_CONTAINER, "command")),
    "arguments": (api.DEPLOYMENT, put(["-v"], *_CONTAINER, "args")),
    "a value beside its source": (api.DEPLOYMENT, put("x", *_CONTAINER, "env", 0, "value")),
    "another source": (
        api.DEPLOYMENT,
        put({"configMapKeyRef": {"name": "c", "key": "k"}}, *_CONTAINER, "env", 0, "valueFrom"),
    ),
    "another handler": (
        api.DEPLOYMENT, put({"port": 5000}, *_CONTAINER, "readinessProbe", "tcpSocket")
    ),
    "a slower probe": (api.DEPLOYMENT, put(3, *_CONTAINER, "readinessProbe", "successThreshold")),
    "another host": (api.DEPLOYMENT, put("h", *_CONTAINER, "readinessProbe", "httpGet", "host")),
    "another hook": (api.DEPLOYMENT, put({"exec": {}}, *_CONTAINER, "lifecycle", "postStart")),
    "second port": (
        api.DEPLOYMENT, append({"containerPort": 1, "protocol": "TCP"}, *_CONTAINER, "ports")
    ),
    "port of the node": (api.DEPLOYMENT, put(5000, *_CONTAINER, "ports", 0, "hostPort")),
    "root in the pod": (api.DEPLOYMENT, put(0, *_POD, "securityContext", "runAsUser")),
    "root in the container": (api.DEPLOYMENT, put(0, *_CONTAINER, "securityContext", "runAsUser")),
    "privileged": (api.DEPLOYMENT, put(True, *_CONTAINER, "securityContext", "privileged")),
    "capability": (
        api.DEPLOYMENT,
        put(["NET_ADMIN"], *_CONTAINER, "securityContext", "capabilities", "add"),
    ),
    "a reserved variable": (
        api.DEPLOYMENT, append({"name": "RISKPREDICTOR_PORT", "value": "1"}, *_CONTAINER, "env")
    ),
    "a container on the same port": (
        api.DEPLOYMENT,
        append({"name": "renamed", "ports": [{"containerPort": 5000}]}, *_POD, "containers"),
    ),
    "more CPU": (api.DEPLOYMENT, put("9", *_CONTAINER, "resources", "limits", "cpu")),
    "the node's network": (api.DEPLOYMENT, put(True, *_POD, "hostNetwork")),
    "a node": (api.DEPLOYMENT, put("n", *_POD, "nodeName")),
    "another strategy": (api.DEPLOYMENT, put({"type": "Recreate"}, "spec", "strategy")),
    "slow availability": (api.DEPLOYMENT, put(9, "spec", "minReadySeconds")),
    "selector": (api.SERVICE, put("x", "spec", "selector", "canary")),
    "external name": (api.SERVICE, put("h", "spec", "externalName")),
    "sticky clients": (api.SERVICE, put("ClientIP", "spec", "sessionAffinity")),
    "pods that are not ready": (api.SERVICE, put(True, "spec", "publishNotReadyAddresses")),
    "a load balancer's field": (
        api.SERVICE, put(["10.0.0.0/8"], "spec", "loadBalancerSourceRanges")
    ),
    "a node port of a Service without": (api.SERVICE, put(30900, "spec", "ports", 0, "nodePort")),
    "renumbered port": (api.SERVICE, put(81, "spec", "ports", 0, "port")),
    "renamed port": (api.SERVICE, put("web", "spec", "ports", 0, "name")),
    "another protocol": (api.SERVICE, put("UDP", "spec", "ports", 0, "protocol")),
    "metric": (
        api.AUTOSCALER,
        append({"type": "Resource", "resource": {"name": "memory"}}, "spec", "metrics"),
    ),
    "tolerance": (api.AUTOSCALER, put("0.5", "spec", "behavior", "scaleUp", "tolerance")),
    "a label more of a spread": (
        api.DEPLOYMENT,
        put("x", *_POD, "topologySpreadConstraints", 0, "labelSelector", "matchLabels", "canary"),
    ),
    "a label more of a budget": (
        api.DISRUPTION_BUDGET, put("x", "spec", "selector", "matchLabels", "canary")
    ),
    "the other bound": (api.DISRUPTION_BUDGET, put(1, "spec", "minAvailable")),
}  # fmt: skip


def test_a_container_may_not_overrule_the_user_that_is_declared_for_the_pods() -> None:
    spec = {"securityContext": {"runAsUser": 1000}}
    manifest = recorded(manifests(predictor(podTemplate=spec))[api.DEPLOYMENT])
    body = live(api.DEPLOYMENT, manifest)
    for user, stays in ((1000, True), (2000, False)):
        added = changed(body, user, *_CONTAINER, "securityContext", "runAsUser")
        assert (differing(api.DEPLOYMENT, added, manifest) == []) is stays
        assert at(restored(api.DEPLOYMENT, added, manifest), _CONTAINER)["securityContext"].get(
            "runAsUser"
        ) == (user if stays else None)


@pytest.mark.parametrize(("resource", "change"), OVERRIDES.values(), ids=OVERRIDES)
def test_what_overrides_a_rendered_field_goes(
    resource: Resource, change: Callable[[Object], None]
) -> None:
    body = copy.deepcopy(fresh(resource))
    change(body)
    assert restored(resource, body) == fresh(resource)


@pytest.mark.parametrize(
    ("resource", "change", "suffices"),
    [
        pytest.param(*ADDITIONS["toleration"], True, id="addition beside a field of ours"),
        pytest.param(api.DEPLOYMENT, put("x:1", *_CONTAINER, "image"), True, id="another value"),
        pytest.param(
            api.SERVICE, put({"x": "y"}, "spec", "selector"), True, id="a map that is atomic"
        ),
        pytest.param(*OVERRIDES["another handler"], False, id="another member of a union"),
        pytest.param(*OVERRIDES["command"], False, id="an override"),
        pytest.param(*OVERRIDES["renumbered port"], False, id="another key"),
    ],
)
def test_an_apply_suffices_where_nothing_of_others_must_go(
    resource: Resource, change: Callable[[Object], None], suffices: bool
) -> None:
    body = live(resource, RENDERED[resource])
    body["metadata"]["labels"] = {}
    change(body)
    assert wanted(resource, body).apply_suffices is suffices


def test_an_apply_would_take_a_toleration_of_others_away() -> None:
    spec = {"tolerations": [{"key": "gpu", "operator": "Exists"}]}
    manifest = recorded(manifests(predictor(podTemplate=spec))[api.DEPLOYMENT])
    body = live(api.DEPLOYMENT, manifest)
    at(body, (*_POD, "tolerations")).append({"key": "theirs", "operator": "Exists"})
    assert differing(api.DEPLOYMENT, body, manifest) == []
    body["metadata"]["labels"] = {}
    assert not wanted(api.DEPLOYMENT, body, manifest).apply_suffices


def claimed(body: Object, field: str, manager: str) -> Object:
    """A Deployment whose pods' field another manager has written."""
    pod: Object = {f"f:{field}": {}, "f:containers": {}}
    entry = {
        "manager": manager, "operation": "Update",
        "fieldsV1": {"f:spec": {"f:template": {"f:spec": pod}}},
    }  # fmt: skip
    metadata = {**body["metadata"], "managedFields": [*body["metadata"]["managedFields"], entry]}
    return {**body, "metadata": metadata}


WHOLE = {"tolerations": [{"key": "gpu", "operator": "Exists"}], "nodeSelector": {"disk": "ssd"}}


@pytest.mark.parametrize("field", WHOLE)
@pytest.mark.parametrize("manager", ["kubectl-edit", "restorer"])
def test_what_another_client_adds_to_a_field_owned_as_a_whole_goes(
    field: str, manager: str
) -> None:
    """Pods are scheduled by it. What admission adds in our own writes nobody else claims."""
    manifest = recorded(manifests(predictor(podTemplate=WHOLE))[api.DEPLOYMENT])
    body = live(api.DEPLOYMENT, manifest)
    more = {"key": "theirs", "operator": "Exists"}
    before = copy.deepcopy(at(body, (*_POD, field)))
    after = [*before, more] if field == "tolerations" else {**before, "pool": "theirs"}
    added = changed(body, after, *_POD, field)
    assert differing(api.DEPLOYMENT, added, manifest) == []
    assert differing(api.DEPLOYMENT, claimed(added, field, api.FIELD_MANAGER), manifest) == []
    by_hand = dict(trim(api.DEPLOYMENT, claimed(added, field, manager)))
    comparison = wanted(api.DEPLOYMENT, by_hand, manifest)
    assert at(dict(comparison.wanted), (*_POD, field)) == before
    assert comparison.apply_suffices


def test_tolerations_of_another_client_stay_where_none_are_declared() -> None:
    body = changed(fresh(api.DEPLOYMENT), [{"operator": "Exists"}], *_POD, "tolerations")
    assert differing(api.DEPLOYMENT, claimed(body, "tolerations", "kubectl-edit")) == []


OURS = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}
OTHER = {"name": "admin", "protocol": "TCP", "port": 9, "targetPort": 9000}


@pytest.mark.parametrize(
    ("ports", "mended"),
    [
        pytest.param([{**OURS, "port": 81, "nodePort": 30901}], [{**OURS, "nodePort": 30901}],
                     id="renumbered: it keeps its node port"),
        pytest.param([{**OURS, "name": "web"}, {**OURS, "port": 81}], [OURS],
                     id="two that claim to be ours"),
        pytest.param([OTHER, OURS], [OTHER, OURS],
                     id="another one stays where it is"),
        pytest.param([], [OURS], id="removed"),
    ],
)  # fmt: skip
def test_the_port_of_a_service_is_ours_by_number_or_name(
    ports: list[Object], mended: list[Object]
) -> None:
    manifest = recorded(manifests(predictor(service={"type": "NodePort"}))[api.SERVICE])
    body = changed(live(api.SERVICE, manifest), ports, "spec", "ports")
    assert restored(api.SERVICE, body, manifest)["spec"]["ports"] == mended
