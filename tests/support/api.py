"""A small synchronous client for tests: raw JSON in and out, fast enough to time things with."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import urllib3
import yaml

from riskpredictor_operator.core import api as names
from riskpredictor_operator.kube import Key, Resource, path_of

T = TypeVar("T")
Body = dict[str, Any]

RISKPREDICTOR, DEPLOYMENT = names.RISKPREDICTOR, names.DEPLOYMENT
SERVICE, AUTOSCALER = names.SERVICE, names.AUTOSCALER
DISRUPTION_BUDGET = names.DISRUPTION_BUDGET
NAMESPACE = Resource("", "v1", "namespaces", "Namespace")
QUOTA = Resource("", "v1", "resourcequotas", "ResourceQuota")
SECRET = Resource("", "v1", "secrets", "Secret")

_CONTENT = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Refused(Exception):  # noqa: N818 - reads as a fact in tests
    """The API server's answer was an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """The administrator's view of a cluster."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._folder = folder
        self.server = cluster["server"]
        self._http = urllib3.PoolManager(
            maxsize=20,
            ca_certs=self._file(cluster, "certificate-authority-data"),
            cert_file=self._file(user, "client-certificate-data"),
            key_file=self._file(user, "client-key-data"),
        )

    def _file(self, entry: Body, name: str) -> str:
        """urllib3 wants the embedded certificates as files."""
        path = self._folder / name
        path.write_bytes(base64.b64decode(entry[name]))
        return str(path)

    def request(
        self, method: str, path: str, body: Any = None, content: str = "application/json"
    ) -> Body:
        """One request; raises ``Refused``."""
        data = None if body is None else json.dumps(body)
        answer = self._http.request(
            method, self.server + path, body=data, headers={"Content-Type": content}, timeout=30
        )
        if answer.status >= 400:
            raise Refused(answer.status, json.loads(answer.data)["message"])
        result: Body = json.loads(answer.data)
        return result

    def get(self, resource: Resource, key: Key) -> Body | None:
        """An object, or None."""
        try:
            return self.request("GET", path_of(resource, key))
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def need(self, resource: Resource, key: Key) -> Body:
        """An object that must be there."""
        body = self.get(resource, key)
        assert body is not None, f"{resource.kind} {key} is missing"
        return body

    def items(self, resource: Resource, namespace: str, selector: str = "") -> list[Body]:
        """Objects of a namespace."""
        query = f"?labelSelector={selector}" if selector else ""
        items: list[Body] = self.request("GET", path_of(resource, Key(namespace, "")) + query)[
            "items"
        ]
        return items

    def create(self, resource: Resource, body: Body) -> Body:
        """Create an object."""
        namespace = body["metadata"].get("namespace", "")
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return self.request("POST", path_of(resource, Key(namespace, "")), full)

    def patch(
        self, resource: Resource, key: Key, patch: Any, *, kind: str = "merge", sub: str = ""
    ) -> Body:
        """Patch an object: ``merge``, ``strategic``, ``json`` or ``apply``."""
        path = path_of(resource, key) + (f"/{sub}" if sub else "")
        if kind == "apply":
            path += "?fieldManager=tests&force=true"
        return self.request("PATCH", path, patch, _CONTENT[kind])

    def delete(self, resource: Resource, key: Key, policy: str = "Background") -> None:
        """Delete an object."""
        self.request("DELETE", path_of(resource, key), {"propagationPolicy": policy})

    def limit(self, namespace: str, **hard: str) -> None:
        """Have a ResourceQuota; returns when it is in force."""
        key = Key(namespace, "full")
        metadata = {"name": key.name, "namespace": key.namespace}
        quota = {
            "apiVersion": "v1",
            "kind": QUOTA.kind,
            "metadata": metadata,
            "spec": {"hard": hard},
        }
        self.patch(QUOTA, key, quota, kind="apply")
        eventually(lambda: self.need(QUOTA, key).get("status", {}).get("hard") == hard)

    def lift_the_limit(self, namespace: str) -> None:
        """Delete the ResourceQuota."""
        self.delete(QUOTA, Key(namespace, "full"))

    @contextmanager
    def watching(self, resource: Resource, key: Key) -> Iterator[list[Body]]:
        """Collects every state of one object that the API server shows, until the end of the block.

        The present state is in the list when the block starts.
        """
        seen: list[Body] = []

        def note(kind: str, body: Body) -> None:
            seen.append({**body, "eventType": kind})

        where = f"metadata.name={key.name}"
        with self.following(resource, key.namespace, note, fields=where):
            eventually(lambda: seen or self.get(resource, key) is None)
            yield seen

    @contextmanager
    def following(
        self,
        resource: Resource,
        namespace: str,
        on_event: Callable[[str, Body], None],
        *,
        fields: str = "",
    ) -> Iterator[None]:
        """Calls with every watch event's type and object, in a thread, until the block ends."""
        query = "?watch=true" + (f"&fieldSelector={fields}" if fields else "")
        url = f"{self.server}{path_of(resource, Key(namespace, ''))}{query}"
        response = self._http.request("GET", url, preload_content=False, timeout=3600)
        ended = Event()

        def read() -> None:
            for line in _lines(response):
                if ended.is_set():
                    # Shutting down ends TLS as well: what is still read is not decrypted.
                    return
                event = json.loads(line)
                on_event(event["type"], event["object"])

        thread = Thread(target=read, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            # The API server may have ended the watch by itself, of a client that is too slow.
            with suppress(RuntimeError, OSError):
                response.shutdown()
            thread.join(timeout=5)
            response.close()


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    buffer = b""
    # Ends quietly when the other thread shuts the connection down.
    with suppress(urllib3.exceptions.HTTPError):
        for chunk in response.read_chunked():
            buffer += chunk
            *lines, buffer = buffer.split(b"\n")
            yield from lines


def eventually(
    check: Callable[[], T], *, within: float = 45.0, every: float = 0.02, what: str = ""
) -> T:
    """The first truthy result of ``check``; fails with the last one after so many seconds."""
    deadline = time.monotonic() + within
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {within} s: {what or check} ({result!r})"
        time.sleep(every)
