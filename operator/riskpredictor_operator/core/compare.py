"""Does a live object still hold everything that was applied to it?

The rendered manifest must be a part of the live object: what the API server or others add
(defaults, ``clusterIP``, a sidecar's container) is theirs; what was rendered and is now missing or
different is drift, and so is an addition to a field that an apply owns as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from riskpredictor_operator.core.api import ANNOTATION_HASH, Body

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

Source: ``x-kubernetes-list-map-keys`` in the API server's OpenAPI document. ``ports`` is told apart
in ``_merge_key``, because Service and container use different keys.
"""

_OWNED_WHOLE = frozenset({"selector", "labelSelector", "nodeSelector", "tolerations"})
"""Fields to which nobody may add: one more label in a Service's selector and it selects no pod.

Source: ``x-kubernetes-map-type: atomic`` and, for tolerations, ``x-kubernetes-list-type: atomic``.
"""


def is_applied(rendered: Body, live: Body) -> bool:
    """Whether ``live`` is what the last apply of ``rendered`` left, in every rendered field."""
    annotations = live["metadata"].get("annotations") or {}
    wanted = rendered["metadata"]["annotations"][ANNOTATION_HASH]
    return annotations.get(ANNOTATION_HASH) == wanted and all(
        contains(live[part], rendered[part], part) for part in ("metadata", "spec")
    )


def contains(live: Any, rendered: Any, field: str = "") -> bool:
    """Whether every value in ``rendered`` stands in ``live`` too.

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
    """The API server does not store these. False and 0 are not among them: they may be the opposite
    of what an absent field means (``allowPrivilegeEscalation``)."""
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
