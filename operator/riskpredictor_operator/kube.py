"""Kubernetes vocabulary: kinds, keys, objects as JSON, and what an API error asks for.

Shared by ``runtime`` and ``core``, which do not import each other. Pure, and knows nothing of
RiskPredictors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import quote

Body = Mapping[str, Any]
"""A Kubernetes object as parsed JSON; never changed in place."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the API server, and the kind of its objects."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects, for example ``apps/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def path_of(resource: Resource, key: Key) -> str:
    """URL path of an object, or of its collection where the name is empty."""
    base = f"/apis/{resource.group}" if resource.group else "/api"
    path = f"{base}/{resource.version}"
    if key.namespace:
        path += f"/namespaces/{quote(key.namespace, safe='')}"
    path += f"/{resource.plural}"
    return f"{path}/{quote(key.name, safe='')}" if key.name else path


def key_of(body: Body) -> Key:
    """Namespace and name of an object."""
    metadata = body["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


def version_of(body: Body) -> int:
    """An object's resourceVersion as a number; the greater one is newer.

    Comparing them so is sanctioned since Kubernetes 1.35, and true of every API server on etcd
    before it.
    """
    return int(body["metadata"]["resourceVersion"])


@dataclass
class ApiError(Exception):
    """The API server refused a request (``status`` is HTTP's), or gave no answer (0)."""

    status: int
    reason: str
    message: str
    retry_after: float | None = None
    """Seconds that the server asks to wait."""
    causes: tuple[str, ...] = field(default=())
    """Reasons of ``details.causes``, for example NamespaceTerminating."""

    def __str__(self) -> str:
        return f"{self.reason or 'request failed'} ({self.status}): {self.message}"


class Verdict(Enum):
    """What to do about an API error."""

    DROP = "drop"
    """The object or its namespace is going away: forget it."""
    RETRY = "retry"
    """Transient: try again after a back-off."""
    REPORT = "report"
    """Permanent until somebody acts: report it as a condition and try again slowly."""


_MALFORMED = "failed to create typed patch object"
"""How server-side apply refuses a manifest that does not fit the schema, with status 500.

Source: ``applyPatcher`` in ``k8s.io/apiserver/pkg/endpoints/handlers/patch.go``.
"""


def verdict_of(error: ApiError) -> Verdict:
    """What an API error asks for. Decided here only, so that every caller reacts alike.

    404 is DROP because it is raised only for the object that is written, or its namespace: reading
    a missing object is no error. 409 is RETRY: somebody else changed the object meanwhile.
    """
    if "NamespaceTerminating" in error.causes or error.status == 404:
        return Verdict.DROP
    if error.status in (400, 403, 405, 413, 415, 422) or _MALFORMED in error.message:
        return Verdict.REPORT
    return Verdict.RETRY
