"""What the operator asks of a Kubernetes cluster: few verbs on few resources."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Body, Key, Resource
from riskpredictor_operator.core.errors import ApiError
from riskpredictor_operator.runtime.transport import Transport
from riskpredictor_operator.runtime.write_guard import Guard, no_guard

LIST_PAGE = 100
"""Objects per page of a list: parsed, a Deployment takes tens of KiB."""


class Cluster(Protocol):
    """What the operator asks of a Kubernetes cluster. All raise ``ApiError``."""

    async def get(self, resource: Resource, key: Key) -> Body | None:
        """An object as stored now, or None."""

    async def list(
        self, resource: Resource, namespace: str, selector: str = "", *, cached: bool = False
    ) -> list[Body]:
        """Objects of a namespace (empty: of all), optionally from the API server's own cache."""

    async def apply(
        self, resource: Resource, manifest: Body, *, manager: str, force: bool = True
    ) -> Body:
        """Server-side apply; a uid in the manifest must match the live object."""

    async def change(self, resource: Resource, key: Key, operations: Sequence[Body]) -> Body:
        """JSON patch; 422 if one of its tests fails."""

    async def create(self, resource: Resource, manifest: Body) -> Body:
        """Create an object; 409 if it exists."""

    async def replace(self, resource: Resource, manifest: Body) -> Body:
        """Replace an object whose resourceVersion is the manifest's; else 409."""

    async def delete(self, resource: Resource, key: Key, uid: str) -> None:
        """Delete an object if it is still that one; its absence is fine."""

    async def patch_status(self, key: Key, uid: str, status: Body) -> Body:
        """Merge into the status of the RiskPredictor with that uid."""


@dataclass
class KubernetesCluster:
    """``Cluster`` over HTTP."""

    transport: Transport
    before_write: Guard = no_guard
    """Called before every write except to the Lease; raises to forbid it (see fence.py)."""

    async def get(self, resource: Resource, key: Key) -> Body | None:
        try:
            return await self.transport.call("GET", api.path_of(resource, key), resource)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(
        self, resource: Resource, namespace: str, selector: str = "", *, cached: bool = False
    ) -> list[Body]:
        query = {"limit": str(LIST_PAGE)}
        if selector:
            query["labelSelector"] = selector
        if cached:
            query = {"labelSelector": selector, "resourceVersion": "0"}
        items: list[Body] = []
        path = api.path_of(resource, Key(namespace, ""))
        while True:
            page = await self.transport.call("GET", path, resource, query, verb="list")
            items += page.get("items") or ()
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return items

    async def apply(
        self, resource: Resource, manifest: Body, *, manager: str, force: bool = True
    ) -> Body:
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        path = api.path_of(resource, api.key_of(manifest))
        return await self._write("apply", "PATCH", path, resource, query, manifest, _APPLY)

    async def change(self, resource: Resource, key: Key, operations: Sequence[Body]) -> Body:
        path = api.path_of(resource, key)
        return await self._write("patch", "PATCH", path, resource, _OURS, operations, _JSON_PATCH)

    async def create(self, resource: Resource, manifest: Body) -> Body:
        path = api.path_of(resource, Key(manifest["metadata"]["namespace"], ""))
        return await self._write("create", "POST", path, resource, _OURS, manifest, _JSON)

    async def replace(self, resource: Resource, manifest: Body) -> Body:
        path = api.path_of(resource, api.key_of(manifest))
        return await self._write("update", "PUT", path, resource, _OURS, manifest, _JSON)

    async def delete(self, resource: Resource, key: Key, uid: str) -> None:
        path = api.path_of(resource, key)
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._write("delete", "DELETE", path, resource, {}, body, _JSON)
        except ApiError as error:
            if error.status != 404:
                raise

    async def patch_status(self, key: Key, uid: str, status: Body) -> Body:
        path = api.path_of(api.RISKPREDICTOR, key) + "/status"
        # The uid is a precondition: a namesake that was made meanwhile must not get this status.
        body = {"metadata": {"uid": uid}, "status": status}
        return await self._write(
            "patch_status", "PATCH", path, api.RISKPREDICTOR, _OURS, body, _MERGE
        )

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
        """Yields at every change of one object, for at most so many seconds."""
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={key.name}",
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        path = api.path_of(resource, Key(key.namespace, ""))
        async with aclosing(self.transport.lines(path, query, seconds + 5)) as lines:
            async for _ in lines:
                yield None

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

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
        guard = no_guard if resource == api.LEASE else self.before_write
        return await self.transport.call(
            method, path, resource, query, body, content_type, verb=verb, guard=guard
        )


_OURS = {"fieldManager": api.FIELD_MANAGER}
_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
