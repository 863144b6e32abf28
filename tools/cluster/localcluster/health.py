"""Is a component well? Asked over HTTP where it offers that."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from .component import Component
from .record import Cluster

TIMEOUT_SECONDS = 2.0


def answers(cluster: Cluster, component: Component) -> bool:
    """True if the component's health URL answers 200, or if it has none to ask."""
    if not component.health:
        return True
    url = urlsplit(component.health)
    try:
        connection = _connect(cluster, url.scheme, url.netloc)
        try:
            connection.request("GET", url.path)
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def _connect(cluster: Cluster, scheme: str, address: str) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
    tls = ssl.create_default_context(cafile=str(cluster.paths.pki / "ca.crt"))
    return http.client.HTTPSConnection(address, timeout=TIMEOUT_SECONDS, context=tls)
