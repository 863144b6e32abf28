"""The operator's trimmed picture of the cluster: RiskPredictors and their children.

Fed by watch events, by the answers to the operator's own writes and by the resync's lists. The
newest ``resourceVersion`` of an object wins, so an event that was under way while the operator
wrote cannot bring the past back.

Objects are kept as compact JSON: a parsed one is ten times its size, and thousands of them are
looked at only now and then.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from riskpredictor_operator.core.api import (
    AUTOSCALER,
    DEPLOYMENT,
    RISKPREDICTOR,
    WATCHED,
    Body,
    Key,
    Resource,
    key_of,
)
from riskpredictor_operator.core.observed import owns_replicas

_KEPT_METADATA = (
    "name", "namespace", "uid", "generation", "labels", "annotations",
    "ownerReferences", "deletionTimestamp", "creationTimestamp",
)  # fmt: skip

REMEMBERED_DELETIONS = 5000
"""More than happen while one request is under way."""


def trim(resource: Resource, body: Body) -> dict[str, Any]:
    """What the operator needs of an object but its resourceVersion, by which all changes differ;
    the rest is most of its size and of its changes.

    ``managedFields`` shrinks to whether the operator owns a Deployment's replicas, and an
    autoscaler's status to its conditions and its wish: its metrics move every few seconds.
    """
    metadata = {name: body["metadata"][name] for name in _KEPT_METADATA if name in body["metadata"]}
    if resource == DEPLOYMENT and owns_replicas(body):
        metadata["managedFields"] = [
            entry
            for entry in body["metadata"]["managedFields"]
            if owns_replicas({"metadata": {"managedFields": [entry]}})
        ]
    if metadata.get("annotations") and resource == RISKPREDICTOR:
        # kubectl's copy of the whole object, and nothing that the operator reads.
        del metadata["annotations"]
    status = body.get("status") or {}
    if resource == AUTOSCALER:
        status = {
            "conditions": [_steady(c) for c in status.get("conditions") or ()],
            "desiredReplicas": status.get("desiredReplicas", 0),
        }
    return {"metadata": metadata, "spec": body.get("spec") or {}, "status": status}


def _steady(condition: Body) -> dict[str, Any]:
    return {name: condition.get(name) for name in ("type", "status", "reason", "message")}


class _Entry(NamedTuple):
    """A known object."""

    uid: str
    version: int
    content: str
    """All of it but its resourceVersion, as JSON."""


class Cache:
    """Objects by kind, namespace and name."""

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[Key, _Entry]] = {
            resource: {} for resource in WATCHED.values()
        }
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

    def keys(self, resource: Resource) -> Iterator[Key]:
        """Names of all known objects of a kind."""
        return iter(tuple(self._objects[resource]))

    def count(self, resource: Resource) -> int:
        """How many objects of a kind are known."""
        return len(self._objects[resource])

    def put(self, resource: Resource, body: Body) -> bool:
        """Remember an object unless a newer state of it is known.

        Returns:
            Whether anything changed that the operator looks at.
        """
        key = key_of(body)
        uid, version = body["metadata"]["uid"], version_of(body)
        known = self._objects[resource].get(key)
        if known is not None and version <= known.version:
            return False
        if version < self._gone.get(uid, 0):
            return False
        fresh = _Entry(uid, version, _content(trim(resource, body)))
        self._objects[resource][key] = fresh
        return known is None or fresh.content != known.content

    def drop(self, resource: Resource, body: Body) -> bool:
        """Forget an object, unless its name belongs to a new one by now."""
        self._bury(body)
        key = key_of(body)
        known = self._objects[resource].get(key)
        if known is None or known.uid != body["metadata"]["uid"]:
            return False
        del self._objects[resource][key]
        return True

    def _bury(self, body: Body) -> None:
        """Remember at which version an object left: the answer to a write or list that was under
        way must not bring it back. One that only lost its label comes back with a later version."""
        if "resourceVersion" in body["metadata"]:
            self._gone[body["metadata"]["uid"]] = version_of(body)
        if len(self._gone) > REMEMBERED_DELETIONS:
            del self._gone[next(iter(self._gone))]

    def prune(
        self, resource: Resource, alive: Iterable[str], started: Collection[str]
    ) -> list[Key]:
        """Forget objects that a list did not show.

        Args:
            resource: the kind that was listed.
            alive: uids in the list.
            started: uids known before the list was asked for; newer ones are spared.
        """
        gone = set(started) - set(alive)
        keys = [key for key, known in self._objects[resource].items() if known.uid in gone]
        for key in keys:
            del self._objects[resource][key]
        return keys

    def versions(self, resource: Resource) -> dict[str, int]:
        """Resource versions of all known objects of a kind, by uid."""
        return {known.uid: known.version for known in self._objects[resource].values()}

    def departures(self) -> dict[str, int]:
        """At which resource versions objects left, by uid."""
        return dict(self._gone)


def version_of(body: Body) -> int:
    """An object's resourceVersion, of which the newer one is the greater."""
    # Comparing resource versions as numbers is sanctioned since Kubernetes 1.35 and true of every
    # API server on etcd before it.
    return int(body["metadata"]["resourceVersion"])


def _content(body: dict[str, Any]) -> str:
    # Sorted: two answers of the API server need not agree in the order of fields.
    return json.dumps(body, separators=(",", ":"), sort_keys=True)
