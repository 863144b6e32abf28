"""HTTP requests of the fetch step, by the standard library: one set of rules for all transports.

Proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY. A redirect from https to http is refused, and
one to another host does not get the credentials.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from riskpredictor_server.store.retry import Retries


@dataclass(frozen=True)
class Answer:
    """What a server answered; the names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Sends requests, several times if need be."""

    def __init__(
        self, retries: Retries, authority: Path | None = None, idle_seconds: float = 10.0
    ) -> None:
        """``authority`` is a PEM file, trusted beside the system's certificates."""
        raise NotImplementedError

    def request(
        self,
        url: str,
        limit: int,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """Return an answer of status 2xx, or of one in ``accept``, with its whole body.

        ``limit``: most bytes of the body. Retried: 408, 429, 5xx (after Retry-After, if that is
        given), broken connections, short bodies, silence. Raises StoreError: NOT_FOUND for 404 and
        410, else FETCH_FAILED, both with the server's words, without credentials and queries.
        """
        raise NotImplementedError


def basic(username: str, password: str) -> str:
    """Return the value of an Authorization header."""
    raise NotImplementedError
