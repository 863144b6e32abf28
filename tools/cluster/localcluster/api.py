"""The few calls to the API server that bringing a cluster up needs. Every call has a timeout."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from .errors import ClusterError
from .record import Cluster

TIMEOUT_SECONDS = 5.0
FIELD_MANAGER = "riskpredictor-local"

# What a server that is starting, stopping or gone makes a client see.
UNREACHABLE = (OSError, http.client.HTTPException)


class Api:
    """A client with the administrator's certificate."""

    def __init__(self, cluster: Cluster) -> None:
        self._address = urlsplit(cluster.api_server).netloc
        pki = cluster.paths.pki
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(str(pki / "admin.crt"), str(pki / "admin.key"))

    def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        """Return status code and decoded answer. Raises one of ``UNREACHABLE``."""
        connection = http.client.HTTPSConnection(
            self._address, timeout=TIMEOUT_SECONDS, context=self._tls
        )
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": content_type})
            response = connection.getresponse()
            raw = response.read()
            is_json = response.headers.get_content_type() == "application/json"
            return response.status, json.loads(raw) if is_json else raw.decode(errors="replace")
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The object at ``path``, or None if it cannot be had (yet)."""
        try:
            status, answer = self.call("GET", path)
        except UNREACHABLE:
            return None
        return answer if status == http.HTTPStatus.OK else None

    def apply(self, path: str, manifest: dict[str, Any]) -> None:
        """Server-side apply of one object at its own ``path``."""
        status, answer = self.call(
            "PATCH",
            f"{path}?fieldManager={FIELD_MANAGER}&force=true",
            manifest,
            "application/apply-patch+yaml",
        )
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise ClusterError(f"the API server refused {path}: {answer}")
