"""A trimmed copy of the watched objects.

Fed by watch events, by the answers to the operator's own writes and by periodic lists. The newest
``resourceVersion`` of an object wins, so an event that was under way while the operator wrote does
not bring back an older state.

Objects are kept as compact JSON: parsed, one takes ten times the memory, and thousands of them are
needed only now and then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from riskpredictor_operator.kube import Body, Key, Resource, key_of, version_of

REMEMBERED_DELETIONS = 5000
"""How many deletions are remembered: more than happen while one request is under way."""

Trim = Callable[[Resource, Body], Body]
"""Returns the part of an object that is kept, without the resourceVersion, which always differs."""


class _Entry(NamedTuple):
    """A known object."""

    uid: str
    version: int
    content: str
    """What is kept of it, as JSON."""


class Cache:
    """Objects by resource and key."""

    def __init__(self, resources: Iterable[Resource], trim: Trim) -> None:
        self._objects: dict[Resource, dict[Key, _Entry]] = {resource: {} for resource in resources}
        self._trim = trim
        self._gone: dict[str, int] = {}

    def get(self, resource: Resource, key: Key) -> Body | None:
        """The object, or None where none is known. It is the caller's own copy."""
        known = self._objects[resource].get(key)
        if known is None:
            return None
        body: dict[str, Any] = json.loads(known.content)
        body["metadata"]["resourceVersion"] = str(known.version)
        return body

    def knows(self, resource: Resource, key: Key) -> bool:
        """Whether ``get`` would find an object; far cheaper."""
        return key in self._objects[resource]

    def keys(self, resource: Resource) -> tuple[Key, ...]:
        """Keys of all known objects of a resource."""
        return tuple(self._objects[resource])

    def count(self, resource: Resource) -> int:
        """How many objects of a resource are known."""
        return len(self._objects[resource])

    def put(self, resource: Resource, body: Body) -> bool:
        """Remember an object unless a newer state of it is known.

        Returns:
            Whether anything changed in what is kept of it.
        """
        key = key_of(body)
        uid, version = body["metadata"]["uid"], version_of(body)
        known = self._objects[resource].get(key)
        if known is not None and version <= known.version:
            return False
        if version < self._gone.get(uid, 0):
            return False
        # Sorted: two answers of the API server need not agree in the order of fields.
        content = json.dumps(self._trim(resource, body), separators=(",", ":"), sort_keys=True)
        self._objects[resource][key] = _Entry(uid, version, content)
        return known is None or content != known.content

    def drop(self, resource: Resource, body: Body) -> bool:
        """Forget an object, unless its name belongs to a new one by now."""
        self._remember_deletion(body)
        key = key_of(body)
        known = self._objects[resource].get(key)
        if known is None or known.uid != body["metadata"]["uid"]:
            return False
        del self._objects[resource][key]
        return True

    def _remember_deletion(self, body: Body) -> None:
        """Remember at which version an object left, so that the answer to a write or list that was
        under way does not bring it back. One that only lost its label returns with a later one."""
        if "resourceVersion" in body["metadata"]:
            self._gone[body["metadata"]["uid"]] = version_of(body)
        if len(self._gone) > REMEMBERED_DELETIONS:
            del self._gone[next(iter(self._gone))]

    def prune(
        self, resource: Resource, alive: Iterable[str], started: Collection[str]
    ) -> list[Key]:
        """Forget objects that a list did not show; returns their keys.

        Args:
            resource: the resource that was listed.
            alive: uids in the list.
            started: uids known before the list was requested; newer ones are spared.
        """
        gone = set(started) - set(alive)
        keys = [key for key, known in self._objects[resource].items() if known.uid in gone]
        for key in keys:
            del self._objects[resource][key]
        return keys

    def versions(self, resource: Resource) -> dict[str, int]:
        """Resource versions of all known objects of a resource, by uid."""
        return {known.uid: known.version for known in self._objects[resource].values()}

    def deletions(self) -> dict[str, int]:
        """The last known deletions: at which resource versions objects left, by uid."""
        return dict(self._gone)
