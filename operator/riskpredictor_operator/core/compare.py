"""Compares a live object with what was applied to it.

The rendered manifest must be a part of the live object: what the API server or others add
(defaults, ``clusterIP``, a sidecar's container) is theirs; what was rendered and is now missing or
different is drift, and so is an addition to a field that an apply owns as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from riskpredictor_operator.core.api import ANNOTATION_HASH, DEPLOYMENT, SERVICE
from riskpredictor_operator.kube import Body, Resource

_MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""Lists that server-side apply merges by key, by field name. All others are atomic.

Source: ``x-kubernetes-list-map-keys`` in the API server's OpenAPI document. ``ports`` is in
``_merge_key``, because Service and container use different keys.
"""

_OWNED_WHOLE = frozenset({"selector", "labelSelector", "nodeSelector", "tolerations"})
"""Fields to which nobody may add: with one more label in its selector, a Service selects no pod.

Source: ``x-kubernetes-map-type: atomic`` and, for tolerations, ``x-kubernetes-list-type: atomic``.
"""


def is_applied(rendered: Body, live: Body) -> bool:
    """Whether applying ``rendered`` would leave every rendered field of ``live`` as it is."""
    annotations = live["metadata"].get("annotations") or {}
    wanted = rendered["metadata"]["annotations"][ANNOTATION_HASH]
    return annotations.get(ANNOTATION_HASH) == wanted and all(
        contains(live[part], rendered[part], part) for part in ("metadata", "spec")
    )


def contains(live: Any, rendered: Any, field: str = "") -> bool:
    """Whether every value in ``rendered`` is in ``live`` too.

    Args:
        live: JSON value as read.
        rendered: JSON value as applied.
        field: name of the field that holds them, which decides how lists compare.
    """
    if field in _OWNED_WHOLE:
        return contains(live, rendered) and contains(rendered, live)
    if isinstance(rendered, Mapping):
        return isinstance(live, Mapping) and all(
            contains(live[key], value, key) if key in live else _is_empty(value)
            for key, value in rendered.items()
        )
    if isinstance(rendered, list):
        return isinstance(live, list) and _contains_list(live, rendered, field)
    return bool(live == rendered)


def _is_empty(value: Any) -> bool:
    """Whether the API server drops a value. It keeps False and 0, which may be the opposite of what
    an absent field means (``allowPrivilegeEscalation``)."""
    return value is None or value in ("", [], {})


def _contains_list(live: list[Any], rendered: list[Any], field: str) -> bool:
    keys = _merge_key(field, rendered)
    if keys is None:
        return len(live) == len(rendered) and all(map(contains, live, rendered))
    by_key = {_key(item, keys): item for item in live}
    return all(
        (match := by_key.get(_key(item, keys))) is not None and contains(match, item)
        for item in rendered
    )


def _merge_key(field: str, items: Sequence[Any]) -> tuple[str, ...] | None:
    if field == "ports" and items:
        return ("containerPort" if "containerPort" in items[0] else "port", "protocol")
    return _MERGE_KEYS.get(field)


def _key(item: Body, keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(key) for key in keys)


def renumbered_ports(
    resource: Resource, rendered: Body, live: Body
) -> tuple[str, list[Any]] | None:
    """The list of ports that has to be replaced before an apply, where ours got another number.

    Server-side apply merges ports by number: it would add ours beside the renumbered one, and the
    API server refuses two of one name. Ports of other names belong to others and stay.

    Returns:
        Where the list is (JSON pointer) and what it should hold; None if nothing is to be done.
    """
    if resource == SERVICE:
        ports = _without_renumbered(rendered["spec"]["ports"], live["spec"].get("ports"), "port")
        return None if ports is None else ("/spec/ports", ports)
    if resource != DEPLOYMENT:
        return None
    ours = rendered["spec"]["template"]["spec"]["containers"][0]
    for index, container in enumerate(live["spec"]["template"]["spec"]["containers"]):
        if container["name"] == ours["name"]:
            ports = _without_renumbered(ours["ports"], container.get("ports"), "containerPort")
            pointer = f"/spec/template/spec/containers/{index}/ports"
            return None if ports is None else (pointer, ports)
    return None


def _without_renumbered(
    ours: Sequence[Body], live: Sequence[Body] | None, number: str
) -> list[Any] | None:
    names = {port["name"] for port in ours}
    numbers = {(port[number], port["protocol"]) for port in ours}
    renumbered = any(
        port.get("name") in names and (port[number], port.get("protocol")) not in numbers
        for port in live or ()
    )
    others = [port for port in live or () if port.get("name") not in names]
    return [*ours, *others] if renumbered else None
