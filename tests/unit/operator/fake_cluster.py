"""A client with a small stateful API server in memory behind it.

It models what the operator relies on: resourceVersion and generation move only on change,
uids are preconditions, and a Deployment's ``spec.replicas`` is changed by force only. The rest of
server-side apply is left to the tests against a real API server.
"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from unit.operator.builders import Object
from unit.operator.live_objects import applied_fields, live

from riskpredictor_operator.core import api
from riskpredictor_operator.kube import ApiError, Body, Key, Resource, key_of
from riskpredictor_operator.runtime.client import Client


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the server saw it."""

    verb: str
    kind: str
    manager: str = ""


WRITES = (
    "apply", "change", "create", "dry run of", "replace", "delete", "orphan the pods of",
    "patch_status",
)  # fmt: skip


class FakeCluster(Client):
    """Holds objects, records calls, fails on request."""

    def __init__(self) -> None:
        self.objects: dict[Resource, dict[Key, Object]] = defaultdict(dict)
        self.calls: list[Call] = []
        self.events: list[Body] = []
        self.on_call: Callable[[Call], None] = lambda _: None
        """Called before a request is served: a place to change the harness in mid-pass."""
        self._failures: dict[tuple[str, str], list[ApiError]] = defaultdict(list)
        self._version = 1000
        self._changed = asyncio.Event()

    def fail(self, verb: str, resource: Resource, error: ApiError, times: int = 1) -> None:
        """Answer the next calls of that verb and kind with an error."""
        self._failures[verb, resource.kind] += [error] * times

    def writes(self) -> list[Call]:
        """What was written, Events left out."""
        return [c for c in self.calls if c.verb in WRITES and c.kind != api.EVENT.kind]

    def store(self, resource: Resource, body: Body) -> Object:
        """Put an object there as somebody else would, under a new resourceVersion."""
        kept = copy.deepcopy(dict(body))
        self._version += 1
        kept["metadata"]["resourceVersion"] = str(self._version)
        self.objects[resource][key_of(kept)] = kept
        self._changed.set()
        return kept

    def remove(self, resource: Resource, key: Key) -> Object:
        """Take an object away as somebody else would."""
        self._changed.set()
        return self.objects[resource].pop(key)

    def edit(self, resource: Resource, key: Key, change: Callable[[Object], Any]) -> Object:
        """Change an object as somebody else would; a changed spec is a new generation."""
        body = copy.deepcopy(self.objects[resource][key])
        before = copy.deepcopy(body["spec"])
        change(body)
        if body["spec"] != before:
            body["metadata"]["generation"] = body["metadata"].get("generation", 0) + 1
        return self.store(resource, body)

    def scale(self, key: Key, replicas: int) -> Object:
        """What an autoscaler or ``kubectl scale`` does: sets the number and comes to own it."""

        def change(body: Object) -> None:
            body["metadata"]["managedFields"] = []
            body["spec"]["replicas"] = replicas

        return self.edit(api.DEPLOYMENT, key, change)

    async def get(self, resource: Resource, key: Key) -> Body | None:
        await self._call("get", resource)
        return copy.deepcopy(self.objects[resource].get(key))

    async def list(
        self,
        resource: Resource,
        namespace: str,
        selector: str = "",
        *,
        cached: bool = False,  # noqa: ARG002
    ) -> list[Body]:
        await self._call("list", resource)
        return [
            copy.deepcopy(body)
            for key, body in self.objects[resource].items()
            if namespace in ("", key.namespace) and _selected(body, selector)
        ]

    async def apply(
        self, resource: Resource, manifest: Body, *, manager: str, force: bool = True
    ) -> Body:
        await self._call("apply", resource, manager)
        key = key_of(manifest)
        known = self.objects[resource].get(key)
        uid = manifest["metadata"].get("uid")
        if uid and (known is None or known["metadata"]["uid"] != uid):
            raise conflict("the object has another uid")
        if known is None:
            self._version += 1
            made = live(resource, manifest, uid=f"uid-{self._version}")
            return copy.deepcopy(self.store(resource, made))
        if not uid and not force:
            raise conflict("fields of another manager")
        after = _applied(resource, known, manifest, manager, force)
        if after == known:
            return copy.deepcopy(known)
        if after["spec"] != known["spec"]:
            after["metadata"]["generation"] += 1
        return copy.deepcopy(self.store(resource, after))

    async def change(self, resource: Resource, key: Key, operations: Sequence[Body]) -> Body:
        """JSON patch with ``add`` and with a resourceVersion that must be the present one."""
        await self._call("change", resource)
        known = self.objects[resource].get(key)
        if known is None:
            raise ApiError(404, "NotFound", f"{key} not found")
        version, *additions = operations
        if known["metadata"]["resourceVersion"] != version["value"]:
            raise conflict("the object has been modified")

        def patch(body: Object) -> None:
            for operation in additions:
                *parents, name = operation["path"].removeprefix("/").split("/")
                parent = body
                for step in parents:
                    parent = parent[step]
                parent[name] = copy.deepcopy(operation["value"])

        return copy.deepcopy(self.edit(resource, key, patch))

    async def create(self, resource: Resource, manifest: Body, *, dry_run: bool = False) -> Body:
        await self._call("dry run of" if dry_run else "create", resource)
        if resource == api.EVENT:
            self.events.append(manifest)
            return manifest
        key = key_of(manifest)
        if key in self.objects[resource]:
            raise ApiError(409, "AlreadyExists", f"{key} exists")
        metadata = {**manifest["metadata"], "uid": f"uid-{self._version + 1}"}
        return copy.deepcopy(self.store(resource, {**manifest, "metadata": metadata}))

    async def replace(self, resource: Resource, manifest: Body) -> Body:
        await self._call("replace", resource)
        known = self.objects[resource].get(key_of(manifest))
        wanted = manifest["metadata"].get("resourceVersion")
        if known is None or known["metadata"]["resourceVersion"] != wanted:
            raise conflict("the object has been modified")
        return copy.deepcopy(self.store(resource, manifest))

    async def delete(self, resource: Resource, key: Key, uid: str, *, orphan: bool = False) -> None:
        await self._call("orphan the pods of" if orphan else "delete", resource)
        known = self.objects[resource].get(key)
        if known is None:
            return
        if known["metadata"]["uid"] != uid:
            raise conflict("the object has another uid")
        self.remove(resource, key)

    async def patch_status(self, resource: Resource, key: Key, uid: str, status: Body) -> Body:
        await self._call("patch_status", resource)
        known = self.objects[resource].get(key)
        if known is None:
            raise ApiError(404, "NotFound", f"{key} not found")
        if known["metadata"]["uid"] != uid:
            raise conflict("the object has another uid")
        merged = _merged(known.get("status") or {}, status)
        return copy.deepcopy(self.store(resource, {**known, "status": merged}))

    async def watch_one(
        self,
        resource: Resource,
        key: Key,  # noqa: ARG002
        seconds: float,  # noqa: ARG002
    ) -> AsyncGenerator[None]:
        """Yields the present state, then at every change of anything."""
        await self._call("watch", resource)
        yield None
        while True:
            self._changed.clear()
            await self._changed.wait()
            yield None

    async def _call(self, verb: str, resource: Resource, manager: str = "") -> None:
        await asyncio.sleep(0)
        call = Call(verb, resource.kind, manager)
        self.on_call(call)
        self.calls.append(call)
        if self._failures[verb, resource.kind]:
            raise self._failures[verb, resource.kind].pop(0)


def conflict(message: str = "conflict") -> ApiError:
    """Somebody else was quicker."""
    return ApiError(409, "Conflict", message)


def _merged(known: Body, patch: Body) -> Object:
    """A merge patch (RFC 7386): null removes, maps are merged, all else is replaced."""
    merged = dict(known)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = known.get(name)
            merged[name] = _merged(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _selected(body: Body, selector: str) -> bool:
    labels = body["metadata"].get("labels") or {}
    name, equals, value = selector.partition("=")
    return not selector or (labels.get(name) == value if equals else name in labels)


def _applied(
    resource: Resource, known: Object, manifest: Body, manager: str, force: bool
) -> Object:
    """``known`` after an apply of ``manifest``."""
    after = copy.deepcopy(known)
    if resource == api.DEPLOYMENT:
        _apply_replicas(after, manifest, manager, force)
    if manager != api.FIELD_MANAGER:
        return after
    fresh = live(resource, manifest)
    if resource == api.DEPLOYMENT:
        fresh["spec"]["replicas"] = after["spec"]["replicas"]
    after["spec"] = {**after["spec"], **fresh["spec"]}
    for part in ("labels", "annotations", "ownerReferences"):
        after["metadata"][part] = fresh["metadata"][part]
    return after


def _apply_replicas(body: Object, manifest: Body, manager: str, force: bool) -> None:
    wanted = manifest["spec"].get("replicas")
    if wanted not in (None, body["spec"]["replicas"]):
        if not force:
            raise conflict("somebody else owns spec.replicas")
        body["spec"]["replicas"] = wanted
    others = [e for e in body["metadata"]["managedFields"] if e["manager"] != manager]
    body["metadata"]["managedFields"] = [*others, applied_fields(manifest, manager)]
