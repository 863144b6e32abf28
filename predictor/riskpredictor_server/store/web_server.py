"""Transport ``http``: a folder of any web server, by HTTPS or, inside a cluster, by HTTP."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from riskpredictor_server.store.errors import FETCH_FAILED, StoreError
from riskpredictor_server.store.http import basic
from riskpredictor_server.store.transport import FetchContext, Reader, Source


class _Folder:
    def __init__(self, url: str, context: FetchContext) -> None:
        self._url, self._context = url, context

    def read(self, name: str, limit: int) -> bytes:
        """See ``transport.Reader``. What Content-Type it has does not matter."""
        base, mark, query = self._url.partition("?")
        url = f"{base.rstrip('/')}/{quote(name)}{mark}{query}"
        return self._context.http.request(url, limit, headers=authorization(self._context)).body


def open(source: Source, context: FetchContext) -> Reader:  # noqa: A001 - as all transports
    """Read from ``source['url']``; its query, such as a signature, is sent with each file."""
    parts = urlsplit(source["url"])
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StoreError(
            FETCH_FAILED,
            "spec.model.source.http.url: must begin with https:// or http://, and name a host",
        )
    if not re.fullmatch(r"[!-~]+", source["url"]):
        raise StoreError(
            FETCH_FAILED,
            "spec.model.source.http.url: spaces and letters beyond ASCII must be percent-encoded",
        )
    if "@" in parts.netloc:
        raise StoreError(
            FETCH_FAILED,
            "spec.model.source.http.url: must hold no user name and password; put them into the"
            " Secret of spec.model.credentialsSecret, as username and password",
        )
    return _Folder(source["url"], context)


def authorization(context: FetchContext) -> dict[str, str]:
    """Return the header for the Secret's ``token``, or ``username`` and ``password``, or none."""
    if token := context.credential("token"):
        return {"Authorization": f"Bearer {token}"}
    username, password = context.credential("username"), context.credential("password")
    if username is None and password is None:
        return {}
    return {"Authorization": basic(username or "", password or "")}
