"""Compares a live child with what is rendered and with what was applied to it last.

Three kinds of fields meet in a live object. What is **rendered** must be there. What was **applied
before** and is no longer rendered must go, whoever else claims it; an annotation of the child tells
what that was, as ``kubectl apply`` keeps it. What **others added** stays, unless it overrides what
is rendered (field_rules.py). Together they give the object as it is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from riskpredictor_operator.core import api, field_rules
from riskpredictor_operator.core.field_rules import FieldRules
from riskpredictor_operator.core.observed import applied_fields
from riskpredictor_operator.kube import Body, Resource

RECORD_LIMIT = 100_000
"""Characters of a record at most; all annotations of an object have 256 KiB."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a live child that is not as wanted."""

    path: str
    """For people, for example ``spec.template.spec.containers[predictor].image``."""
    wanted: Any
    """None: there should be no such field."""
    found: Any
    """None: there is none."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A live child beside what it should be."""

    wanted: Body
    """The parts of the object that a child is rendered with, as they should be."""
    differences: tuple[Difference, ...]
    apply_suffices: bool
    """Whether server-side apply alone gives what is wanted: it removes nothing that others claim,
    and no other member of a union."""


def recorded(manifest: Body) -> dict[str, Any]:
    """A manifest with the annotation that tells what was applied.

    It is in the child's own metadata, never in the pods': to add it restarts nobody. A manifest
    that is too large for it has none; then ``managedFields`` tell.
    """
    metadata = manifest["metadata"]
    applied = {part: metadata[part] for part in ("labels", "annotations")}
    text = json.dumps({**applied, "spec": manifest["spec"]}, separators=(",", ":"), sort_keys=True)
    if len(text) > RECORD_LIMIT:
        return dict(manifest)
    annotations = {**metadata["annotations"], api.ANNOTATION_LAST_APPLIED: text}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def last_record(live: Body) -> dict[str, Any] | None:
    """Labels, annotations and spec of a live child as its own annotation says that they were
    applied; None without one that can be read."""
    try:
        applied = json.loads(_record(live))
    except (ValueError, RecursionError):
        return None
    if not isinstance(applied, Mapping) or not applied.get("spec"):
        return None
    metadata = {part: applied.get(part) for part in ("labels", "annotations")}
    return {"metadata": metadata, "spec": applied["spec"]}


def _record(body: Body) -> str:
    annotations = body["metadata"].get("annotations") or {}
    return str(annotations.get(api.ANNOTATION_LAST_APPLIED) or "")


def compare(resource: Resource, manifest: Body, live: Body) -> Comparison:
    """Compare a live child with its recorded manifest."""
    rules = FieldRules.of(resource, manifest, live)
    rendered, found = _parts(manifest), _parts(live)
    last = _last_applied(resource, rendered, live)
    places = {"metadata": "metadata", "spec": f"{resource.kind}.spec"}
    wanted: dict[str, Any] = {}
    differences: list[Difference] = []
    for part, place in places.items():
        wanted[part] = _merge(rules, rendered[part], last[part], found[part], place)
        differences += _differences(wanted[part], found[part], part, place)
    # Of a child that is as wanted, which is nearly every one, nothing would be applied.
    suffices = not differences or not any(
        _differences(wanted[part], _applied(rendered[part], found[part], place), part, place)
        for part, place in places.items()
    )
    return Comparison(wanted, tuple(differences), suffices)


def beyond_update(resource: Resource, manifest: Body, live: Body) -> tuple[Difference, ...]:
    """Fields that no update can restore, so that the child has to be made anew.

    The API server refuses to change the selector of a Deployment, and keeps a Service headless
    without a word.
    """
    wanted, found = manifest["spec"].get("selector"), live["spec"].get("selector")
    if resource == api.DEPLOYMENT and wanted != found:
        return (Difference("spec.selector", wanted, found),)
    if resource == api.SERVICE and live["spec"].get("clusterIP") == "None":
        return (Difference("spec.clusterIP", "an address", "None"),)
    return ()


def operations(live: Body, comparison: Comparison) -> list[Body]:
    """The JSON patch that makes a live child what is wanted, if nobody changes it meanwhile.

    One patch for all of it: each change of a pod template replaces the pods.
    """
    version = live["metadata"]["resourceVersion"]
    changed: list[Body] = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
    paths = {difference.path for difference in comparison.differences}
    for name, value in comparison.wanted["metadata"].items():
        if any(path.startswith(f"metadata.{name}") for path in paths):
            changed.append({"op": "add", "path": f"/metadata/{name}", "value": value})
    if any(path.startswith("spec") for path in paths):
        changed.append({"op": "add", "path": "/spec", "value": comparison.wanted["spec"]})
    return changed


def _parts(body: Body) -> dict[str, Any]:
    metadata = body["metadata"]
    return {
        "metadata": {
            "labels": metadata.get("labels") or {},
            "annotations": metadata.get("annotations") or {},
            "ownerReferences": metadata.get("ownerReferences") or [],
        },
        "spec": body["spec"],
    }


def _last_applied(resource: Resource, rendered: Body, live: Body) -> Body:
    """What was applied to a child last, by its own annotation.

    Without one that can be read, it is what the operator's own apply owns (a child of version
    0.1.0) or, without that too, what a RiskPredictor may have declared.
    """
    text = _record(live)
    if text and text == _record(rendered):
        return rendered
    if (applied := last_record(live)) is not None:
        return applied
    owned = _tree_of_map(applied_fields(live)) or field_rules.possibly_applied(resource)
    return {part: owned.get(part) for part in ("metadata", "spec")}


def _tree(fields: Body) -> Any:
    """Fields of ``managedFields`` in the form of an object; ``EVERYTHING`` in place of values."""
    items = [
        {**_tree_of_map(inner), **json.loads(name[2:])}
        for name, inner in fields.items()
        if name.startswith("k:")
    ]
    return items or _tree_of_map(fields) or field_rules.EVERYTHING


def _tree_of_map(fields: Body) -> dict[str, Any]:
    return {name[2:]: _tree(inner) for name, inner in fields.items() if name.startswith("f:")}


def _merge(rules: FieldRules, rendered: Any, last: Any, live: Any, place: str) -> Any:
    """The value wanted at a place; None for none.

    Args:
        rules: what others may add.
        rendered: as it is rendered now; None if it is not.
        last: as it was applied before; None if it was not.
        live: as it is now; None if it is not there.
        place: see field_rules.py.
    """
    if rendered is None and (last is None or place in field_rules.DECIDED_ELSEWHERE):
        return live
    ours = last if rendered is None else rendered
    if isinstance(last, type(live) | None):
        if isinstance(ours, Mapping) and isinstance(live, Mapping):
            merged = _merge_map(rules, rendered or {}, last or {}, live, place)
            return merged if merged or rendered is not None else None
        if isinstance(ours, list) and isinstance(live, list) and _is_merged(place):
            items = _merge_list(rules, rendered or [], last or [], live, place)
            return items if items or rendered is not None else None
    return rendered


def _merge_map(
    rules: FieldRules, rendered: Body, last: Body, live: Body, place: str
) -> dict[str, Any]:
    merged = {}
    for name in (*live, *(name for name in rendered if name not in live)):
        ours, value = rendered.get(name), live.get(name)
        if ours is None and not rules.allows(place, name, value):
            wanted = None
        else:
            wanted = _merge(rules, ours, last.get(name), value, f"{place}.{name}")
        if wanted is None and ours is None:
            wanted = rules.default(place, name)
        if wanted is not None:
            merged[name] = wanted
    return merged


def _merge_list(
    rules: FieldRules, rendered: Sequence[Any], last: Sequence[Any], live: Sequence[Any], place: str
) -> list[Any]:
    """The live list with ours as they should be, and without what must go."""
    found = [_find(ours, live, place) for ours in rendered]
    merged = []
    for index, item in enumerate(live):
        if index in found:
            ours = rendered[found.index(index)]
            before = _find(ours, last, place)
            merged.append(
                _merge(rules, ours, None if before is None else last[before], item, place)
            )
        elif rules.allows_item(place, item) and (
            _find(item, rendered, place) is None and _find(item, last, place) is None
        ):
            merged.append(item)
    merged += [ours for ours, index in zip(rendered, found, strict=True) if index is None]
    return _in_order(merged, rendered, place) if place in field_rules.ORDERED else merged


def _in_order(items: Sequence[Any], rendered: Sequence[Any], place: str) -> list[Any]:
    """The items with ours, where they stand among others, in the order in which they are
    rendered."""
    places = [_find(ours, items, place) for ours in rendered]
    ours = iter([items[index] for index in places if index is not None])
    return [next(ours) if index in places else item for index, item in enumerate(items)]


def _is_merged(place: str) -> bool:
    return place in field_rules.LIST_KEYS or place in field_rules.SETS


def _find(item: Any, items: Sequence[Any], place: str) -> int | None:
    """Where the counterpart of an item is in another list: by its key, else by its name."""
    if place in field_rules.SETS:
        return next((i for i, other in enumerate(items) if _bare(other) == _bare(item)), None)
    for keys in (field_rules.LIST_KEYS[place], field_rules.UNIQUE.get(place, ())):
        key = _key(item, keys)
        if any(part is not None for part in key):
            for index, other in enumerate(items):
                if _key(other, keys) == key:
                    return index
    return None


def _key(item: Any, keys: tuple[str, ...]) -> tuple[Any, ...]:
    # What was applied last is text that anybody can edit.
    return tuple(item.get(key) if isinstance(item, Mapping) else None for key in keys)


def _applied(rendered: Any, live: Any, place: str) -> Any:
    """What server-side apply makes of a live value, as long as it lets go of nothing."""
    if isinstance(rendered, Mapping) and isinstance(live, Mapping):
        if place in field_rules.ATOMIC_MAPS:
            return rendered
        ours = {
            name: _applied(value, live.get(name), f"{place}.{name}")
            for name, value in rendered.items()
        }
        return {**live, **ours}
    if isinstance(rendered, list) and isinstance(live, list) and place in field_rules.LIST_KEYS:
        keys = field_rules.LIST_KEYS[place]
        by_key = {_key(item, keys): item for item in rendered}
        merged = [_applied(by_key.pop(_key(item, keys), item), item, place) for item in live]
        return [*merged, *by_key.values()]
    return rendered


def _differences(wanted: Any, live: Any, path: str, place: str) -> list[Difference]:
    name = place.rpartition(".")[2]
    return list(_walk(_bare(wanted, name) or {}, _bare(live, name) or {}, path, place))


def _walk(wanted: Any, live: Any, path: str, place: str) -> Iterator[Difference]:
    if wanted == live:
        return
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for name in sorted({*wanted, *live}):
            yield from _walk(wanted.get(name), live.get(name), below(path, name), f"{place}.{name}")
        return
    if isinstance(wanted, list) and isinstance(live, list) and place in field_rules.LIST_KEYS:
        keys = field_rules.LIST_KEYS[place]
        ours, found = ({_key(item, keys): item for item in items} for items in (wanted, live))
        for key in {**ours, **found}:
            yield from _walk(ours.get(key), found.get(key), f"{path}[{_label(key)}]", place)
        if place in field_rules.ORDERED and ours.keys() == found.keys() and [*ours] != [*found]:
            yield Difference(path, [*map(_label, ours)], [*map(_label, found)])
        return
    yield Difference(path, wanted, live)


def _label(key: tuple[Any, ...]) -> str:
    return "/".join(str(part) for part in key)


def below(path: str, name: str) -> str:
    """The path, for people, of a field of the map at a path."""
    if "." in name or "/" in name:
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name


def _bare(value: Any, name: str = "") -> Any:
    """A value without what the API server drops: empty maps and lists, no text, null.

    It keeps False and 0, which may be the opposite of what an absent field means
    (``allowPrivilegeEscalation``), and labels without a value.
    """
    if isinstance(value, Mapping):
        bare = {key: _bare(item, key) for key, item in value.items()}
        free = name in field_rules.FREE_MAPS
        return {
            key: value[key] if free and value[key] == "" else item
            for key, item in bare.items()
            if item is not None or (free and value[key] == "")
        } or ({} if name in field_rules.NOT_NOTHING else None)
    if isinstance(value, list):
        return [_bare(item) for item in value] or None
    return None if value == "" else value
