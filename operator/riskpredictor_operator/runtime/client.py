"""Reads and writes objects of a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from riskpredictor_operator.kube import ApiError, Body, Key, Resource, key_of, path_of
from riskpredictor_operator.runtime.transport import Transport
from riskpredictor_operator.runtime.write_guard import Guard, no_guard

LIST_PAGE = 100
"""Objects per page of a list: parsed, a Deployment takes tens of KiB."""

LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")

_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"


@dataclass
class Client:
    """The verbs that the operator needs. All raise ``ApiError``."""

    transport: Transport
    field_manager: str
    """Field manager of every write but ``apply``, whose callers name theirs."""
    before_write: Guard = no_guard
    """Called before every write except to a Lease; raises to forbid it (write_guard.py)."""

    async def get(self, resource: Resource, key: Key) -> Body | None:
        """An object as stored now, or None."""
        try:
            return await self.transport.call("GET", path_of(resource, key), resource)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(
        self, resource: Resource, namespace: str, selector: str = "", *, cached: bool = False
    ) -> list[Body]:
        """Objects of a namespace (empty: of all), optionally from the API server's own cache."""
        query = {"limit": str(LIST_PAGE)}
        if selector:
            query["labelSelector"] = selector
        if cached:
            query = {"labelSelector": selector, "resourceVersion": "0"}
        items: list[Body] = []
        path = path_of(resource, Key(namespace, ""))
        while True:
            page = await self.transport.call("GET", path, resource, query, verb="list")
            items += page.get("items") or ()
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return items

    async def apply(
        self, resource: Resource, manifest: Body, *, manager: str, force: bool = True
    ) -> Body:
        """Server-side apply; a uid in the manifest must match the live object."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        path = path_of(resource, key_of(manifest))
        return await self._write("apply", "PATCH", path, resource, query, manifest, _APPLY)

    async def change(self, resource: Resource, key: Key, operations: Sequence[Body]) -> Body:
        """JSON patch; 422 if one of its tests fails."""
        path = path_of(resource, key)
        return await self._write(
            "patch", "PATCH", path, resource, self._own, operations, _JSON_PATCH
        )

    async def create(self, resource: Resource, manifest: Body, *, dry_run: bool = False) -> Body:
        """Create an object; 409 if it exists and the manifest is a valid one. A dry run stores
        nothing, and refuses unknown fields as an apply does."""
        trial = {"dryRun": "All", "fieldValidation": "Strict"} if dry_run else {}
        query = {**self._own, **trial}
        path = path_of(resource, Key(manifest["metadata"]["namespace"], ""))
        return await self._write("create", "POST", path, resource, query, manifest, _JSON)

    async def replace(self, resource: Resource, manifest: Body) -> Body:
        """Replace an object whose resourceVersion is the manifest's; else 409."""
        path = path_of(resource, key_of(manifest))
        return await self._write("update", "PUT", path, resource, self._own, manifest, _JSON)

    async def delete(self, resource: Resource, key: Key, uid: str, *, orphan: bool = False) -> None:
        """Delete an object if its uid is still this one; no error if it is already gone.

        What it owns is deleted after it, or left without an owner.
        """
        path = path_of(resource, key)
        policy = "Orphan" if orphan else "Background"
        body = {"propagationPolicy": policy, "preconditions": {"uid": uid}}
        try:
            await self._write("delete", "DELETE", path, resource, {}, body, _JSON)
        except ApiError as error:
            if error.status != 404:
                raise

    async def patch_status(self, resource: Resource, key: Key, uid: str, status: Body) -> Body:
        """Merge into the status of the object with that uid; 409 if it is another by now."""
        path = path_of(resource, key) + "/status"
        body = {"metadata": {"uid": uid}, "status": status}
        return await self._write("patch_status", "PATCH", path, resource, self._own, body, _MERGE)

    async def allowed(self, verb: str, resource: Resource, key: Key, subresource: str = "") -> bool:
        """Whether the operator's own account may do this (SelfSubjectAccessReview)."""
        attributes = {
            "group": resource.group, "resource": resource.plural, "subresource": subresource,
            "verb": verb, "namespace": key.namespace, "name": key.name,
        }  # fmt: skip
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = await self.transport.call("POST", path, None, {}, review, verb="review")
        return bool(answer["status"]["allowed"])

    async def has_namespace(self, namespace: str, resource: Resource, manifest: Body) -> bool:
        """Whether a namespace exists, asked by creating an object in it without effect.

        It needs no right that the operator would not have anyway.
        """
        path = path_of(resource, Key(namespace, ""))
        body = {**manifest, "apiVersion": resource.api_version, "kind": resource.kind}
        try:
            await self.transport.call(
                "POST", path, resource, {**self._own, "dryRun": "All"}, body, verb="create"
            )
        except ApiError as error:
            return error.status != 404
        return True

    async def serves(self, resource: Resource) -> bool:
        """Whether the API server knows a resource, as its discovery document says."""
        group = f"/apis/{resource.group}" if resource.group else "/api"
        try:
            found = await self.transport.call(
                "GET", f"{group}/{resource.version}", None, verb="discover"
            )
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return any(entry["name"] == resource.plural for entry in found["resources"])

    async def watch_one(self, resource: Resource, key: Key, seconds: float) -> AsyncGenerator[None]:
        """Yield for the present state of an object, then at each change, for so many seconds."""
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={key.name}",
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        path = path_of(resource, Key(key.namespace, ""))
        async with aclosing(self.transport.lines(path, query, seconds + 5)) as lines:
            async for _ in lines:
                yield None

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

    @property
    def _own(self) -> dict[str, str]:
        return {"fieldManager": self.field_manager}

    async def _write(
        self,
        verb: str,
        method: str,
        path: str,
        resource: Resource,
        query: Mapping[str, str],
        body: Body | Sequence[Body],
        content_type: str,
    ) -> Body:
        guard = no_guard if resource == LEASE else self.before_write
        return await self.transport.call(
            method, path, resource, query, body, content_type, verb=verb, guard=guard
        )
