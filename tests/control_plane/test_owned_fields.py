"""Every field that the operator renders comes back at once, whatever is done to it.

The list is made by walking the rendered manifests, so a new field is covered by itself: each place,
leaf or not, is removed, and each leaf gets another valid value. Where nothing at all can be done is
listed by hand, and that list is held to be exact.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import pytest
import yaml

from riskpredictor_operator.core.compare import compare, recorded
from riskpredictor_operator.core.manifests import Desired, RenderOptions, render
from riskpredictor_operator.core.spec import parse
from riskpredictor_operator.kube import Key, Resource, path_of
from support.api import RISKPREDICTOR, Api, Body, Refused
from support.cluster import ROOT
from support.predictors import Predictors

pytestmark = pytest.mark.usefixtures("operator")

REPAIR_SECONDS, STALL_SECONDS = 1.0, 5.0
"""Bounds of nineteen repairs in twenty and of each. By itself the operator looks again after half a
minute or more, so a repair that waits for that is found."""
SIDE_BY_SIDE = 3
"""Predictors whose children are edited at the same time, each by one edit after the other."""

POD = r"Deployment /spec/template/spec"
CONTAINER = rf"{POD}/containers/0"

FIXED = [
    # The identity of the object, and what is immutable.
    r"\w+ /metadata/(name|namespace)",
    r"Deployment /spec/selector.*",
    # What must be there, and holds nothing but what is listed below it.
    r"Deployment /spec/template(/metadata(/labels(/healthtech.dev~1riskpredictor)?)?)?",
    rf"{POD}(/containers(/0)?|/volumes(/0)?)?",
    rf"{CONTAINER}/(startup|readiness|liveness)Probe/httpGet",
    rf"{CONTAINER}/(lifecycle/preStop/sleep|env/0/valueFrom/fieldRef)",
    rf"{POD}/affinity/.*/podAffinityTerm",
    r"Service /spec/ports(/0)?",
    r"HorizontalPodAutoscaler /spec/(scaleTargetRef|metrics/0/containerResource(/target)?)",
    # What has no other value beside the rest of what is rendered.
    r"Deployment /spec/strategy/type",
    rf"{POD}/(serviceAccount|volumes/0/name)",
    rf"{CONTAINER}/(volumeMounts/0/name|env/0/valueFrom/fieldRef/apiVersion)",
    r"HorizontalPodAutoscaler /spec/metrics/0/(type|containerResource/target/type)",
    # What the API server fills in just so when it is removed.
    r"HorizontalPodAutoscaler /spec/behavior/scaleDown/policies(/0)?",
]
"""Places that the API server lets nobody change: patterns of kind and JSON pointer."""

HANDED_OVER = [r"\w+ /metadata/ownerReferences/0/(apiVersion|kind|name|uid)"]
"""Edits that make a child somebody else's, which the operator then respects (test_children.py)."""

KEYS = [
    rf"{CONTAINER}/name",
    rf"{CONTAINER}/env/0/name",
    rf"{CONTAINER}/volumeMounts/0/mountPath",
    rf"{POD}/imagePullSecrets/0/name",
    rf"{POD}/topologySpreadConstraints/0/(topologyKey|whenUnsatisfiable)",
    rf"{POD}/tolerations/0/\w+",
    rf"{CONTAINER}/securityContext/capabilities/drop/0",
]
"""Keys of merged lists, and items of sets: with another key it is another item, somebody else's,
and ours comes back beside it."""

VALUES: dict[str, tuple[Any, ...]] = {
    "type": ("ClusterIP", "Unconfined", "Pods", "Percent"),
    "imagePullPolicy": ("Always",),
    "whenUnsatisfiable": ("DoNotSchedule",),
    "effect": ("NoExecute",),
    "scheme": ("HTTPS",),
    "protocol": ("UDP",),
    "selectPolicy": ("Min",),
    "fieldPath": ("metadata.namespace",),
    "cpu": ("150m",),
    "memory": ("130Mi",),
    "sizeLimit": ("1Mi",),
    "priorityClassName": ("system-node-critical",),
    "nodePort": (30999,),
    "operator": ("Exists",),
}
"""Other valid values of fields that do not take just any, by name."""


@dataclass(frozen=True)
class Place:
    """One place in a rendered manifest."""

    resource: Resource
    path: tuple[str, ...]
    value: Any

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.pointer}"

    @property
    def pointer(self) -> str:
        return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in self.path)

    def removal(self) -> list[Body]:
        return [{"op": "remove", "path": self.pointer}]

    def replacements(self) -> Iterator[list[Body]]:
        for value in self._others():
            yield [{"op": "replace", "path": self.pointer, "value": value}]

    def _others(self) -> Iterator[Any]:
        yield from (v for v in VALUES.get(self.path[-1], ()) if v != self.value)
        match self.value:
            case bool():
                yield not self.value
            case int():
                yield from (self.value + 1, self.value - 1)
            case str():
                yield from ("other", "/other", "example.com/other")
            case _:
                return

    def matches(self, patterns: list[str]) -> bool:
        return any(re.fullmatch(pattern, str(self)) for pattern in patterns)


def _places(desired: Desired) -> list[Place]:
    return [
        place
        for resource, manifest in desired.by_kind().items()
        for part in ("metadata", "spec")
        for place in _walk(resource, recorded(manifest)[part], (part,))
        if len(place.path) > 1
    ]


def _walk(resource: Resource, value: Any, path: tuple[str, ...]) -> Iterator[Place]:
    yield Place(resource, path, value)
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, sub in items:
            yield from _walk(resource, sub, (*path, str(name)))


@dataclass
class Editor:
    """Edits the children of one predictor and sees them repaired."""

    api: Api
    key: Key
    desired: Desired
    seconds: dict[str, float] = field(default_factory=dict)
    """How long the repair of each edit took."""
    unchangeable: list[Place] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def try_all(self, place: Place) -> None:
        """Remove it, and replace it by the first value that the API server takes."""
        before = _owned(self.api.need(place.resource, self.key))
        changes = [self._first_accepted(place, [place.removal()], before)]
        changes.append(self._first_accepted(place, place.replacements(), before))
        made = [change for change in changes if change is not None]
        if not made:
            self.unchangeable.append(place)
        for change in made:
            seconds = [self._repair_seconds(place, change)]
            if seconds[0] > REPAIR_SECONDS:
                # Other work on the machine delays one, but not most of three.
                seconds += [self._repair_seconds(place, change) for _ in range(2)]
            self.seconds[f"{place}: {change}"] = median(seconds)

    def _repair_seconds(self, place: Place, change: list[Body]) -> float:
        """Make one edit; how long until everything is as before."""
        before = self.api.need(place.resource, self.key)

        def repaired() -> bool:
            live = self.api.need(place.resource, self.key)
            if place.matches(KEYS):
                manifest = recorded(self.desired.by_kind()[place.resource])
                return not compare(place.resource, manifest, live).differences
            return _owned(live) == _owned(before)

        self.api.patch(place.resource, self.key, change, kind="json")
        started = time.monotonic()
        while not repaired():
            if time.monotonic() - started > STALL_SECONDS:
                live = _owned(self.api.need(place.resource, self.key))
                self.lost.append(f"{place}: {change}: {live} instead of {_owned(before)}")
                break
            time.sleep(0.01)
        seconds = time.monotonic() - started
        if place.matches(KEYS):
            # What came beside ours goes by the hand that brought it.
            spec = {name: value for name, value in before["spec"].items() if name != "replicas"}
            self.api.patch(place.resource, self.key, {"spec": spec})
        return seconds

    def _first_accepted(
        self, place: Place, changes: Iterator[list[Body]] | list[list[Body]], before: Body
    ) -> list[Body] | None:
        """The first of the changes that the API server takes and that is none in name only."""
        path = path_of(place.resource, self.key) + "?dryRun=All"
        for change in changes:
            try:
                after = self.api.request("PATCH", path, change, "application/json-patch+json")
            except Refused:
                continue
            if _owned(after) != before:
                return change
        return None


def _owned(body: Body) -> Body:
    """Everything but bookkeeping, status and what others may add or, as the autoscaler, decide."""
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    return {
        "labels": metadata.get("labels"),
        "owners": metadata.get("ownerReferences"),
        "annotations": {k: v for k, v in annotations.items() if k.startswith("healthtech.dev/")},
        "spec": {k: v for k, v in body["spec"].items() if k != "replicas"},
    }


def _full(number: int) -> dict[str, Any]:
    """Every field, as in the sample; its node port can be had once."""
    spec: dict[str, Any] = yaml.safe_load((ROOT / "deploy/samples/full.yaml").read_text())["spec"]
    spec["service"]["nodePort"] = 30900 + number
    # The sample leaves it to the reader, because what every cluster has is not for predictors.
    spec["podTemplate"]["priorityClassName"] = "system-cluster-critical"
    return spec | {"minReplicas": 1}


def _made(api: Api, predictors: Predictors, name: str, spec: dict[str, Any]) -> Desired:
    """Declare a predictor and wait for it; what its children are rendered as."""
    key = predictors.create(name, **spec)
    predictors.wait(key, within=60)
    options = RenderOptions(image_repository="health-predictor")
    return render(parse(api.need(RISKPREDICTOR, key)), options)


def test_every_owned_field_is_repaired(api: Api, predictors: Predictors) -> None:
    names = [f"risk-{number}" for number in range(SIDE_BY_SIDE)]
    editors = [
        Editor(api, Key(predictors.namespace, name), _made(api, predictors, name, _full(number)))
        for number, name in enumerate(names)
    ]
    places = [[p for p in _places(e.desired) if not p.matches(HANDED_OVER)] for e in editors]

    def work(number: int) -> None:
        for place in places[number][number::SIDE_BY_SIDE]:
            editors[number].try_all(place)

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(work, range(SIDE_BY_SIDE)))
    seconds = {edit: s for editor in editors for edit, s in editor.seconds.items()}
    unchangeable = {str(place) for editor in editors for place in editor.unchangeable}
    expected = {str(place) for place in places[0] if place.matches(FIXED)}
    assert not [lost for editor in editors for lost in editor.lost]
    assert len(seconds) > 150
    assert not {edit: s for edit, s in seconds.items() if s > REPAIR_SECONDS}
    assert unchangeable - expected == set(), "why can these not be changed?"
    assert expected - unchangeable == set(), "these can be changed"
