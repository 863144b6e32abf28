"""Reads and writes the files below a prefix of a bucket, by obstore: for s3, gcs and azure.

obstore signs, finds the identity of a pod, and knows the stores' addresses; trying again is left to
``Retries``, as for every other transport. Only this module and those that open a store import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import obstore

from riskpredictor_server.store import words
from riskpredictor_server.store.errors import (
    FETCH_FAILED,
    NOT_FOUND,
    REJECTED,
    StoreError,
    TransientError,
)
from riskpredictor_server.store.transport import FetchContext

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

T = TypeVar("T")
_CHUNK = 65_536
_CONNECT_SECONDS = 5.0
_DEBUG = "\n\nDebug source:\n"
"""What obstore puts between an error's message and its causes."""
_FINAL = {
    "NotValidForName": "the certificate is for another name; check the endpoint in the source",
    r"InvalidCertificate\(\s*Expired": "the certificate has expired; renew the store's",
    "InvalidCertificate": f"the certificate is not trusted; {words.AUTHORITY}",
    "BadScheme": "must begin with https:// or http://; check the endpoint in spec.model.source",
    "BareRedirect": "the bucket is in another region; set region in spec.model.source",
}
"""Failures that another attempt does not mend, by a pattern in obstore's causes; first match."""
_MISSING = (
    *("NoSuchBucket", "NoSuchKey"),
    *("ContainerNotFound", "BlobNotFound", "ResourceNotFound"),
)
"""What stores call a place that is not there; another 404 may be of a user who is not there."""
_PASSING = {
    "dns error": f"the name cannot be resolved; {words.REACH}",
    "TunnelUnsuccessful": f"the proxy refuses to connect; {words.REACH}",
    "tcp connect error": f"no connection; {words.REACH}",
    "kind: Timeout": f"no answer within the time allowed; {words.REACH}",
    "IncompleteBody": "the transfer broke off",
}


class Bucket:
    """One prefix of a bucket or container."""

    def __init__(self, store: ObjectStore, where: str, context: FetchContext) -> None:
        """``where`` names it in messages, such as ``s3://models/risk/v2``."""
        self.store, self._where, self._context = store, where, context

    def read(self, name: str, limit: int) -> bytes:
        """See ``transport.Reader``."""
        return self._call(name, lambda: self._get(name, limit))

    def write(self, files: Mapping[str, bytes]) -> str:
        """See ``transport.Writer``."""
        for name, data in files.items():
            self._call(name, partial(obstore.put, self.store, name, data))
        return self._where

    def _get(self, name: str, limit: int) -> bytes:
        result = obstore.get(self.store, name)
        size = result.meta["size"]
        if size > limit:
            raise StoreError(
                REJECTED,
                f"{self._where}/{name}: {size} bytes, more than the {limit} that are allowed",
            )
        data = bytearray()
        for chunk in result.stream(min_chunk_size=_CHUNK):
            data += memoryview(chunk)
            if not self._context.retries.left():
                raise TransientError("the transfer is too slow")
        if len(data) != size:
            raise TransientError(f"the transfer ended after {len(data)} of {size} bytes")
        return bytes(data)

    def _call(self, name: str, attempt: Callable[[], T]) -> T:
        what = f"{self._where}/{name}"

        def translated() -> T:
            try:
                return attempt()
            except (obstore.exceptions.BaseError, OSError, ValueError) as error:
                raise _failure(error, what) from error

        return self._context.retries.call(what, translated)


def options(context: FetchContext, endpoint: str | None) -> Mapping[str, Any]:
    """Return ``client_options`` and ``retry_config`` of every store.

    Plain http is for an endpoint that says so, as stores inside a cluster often do.
    """
    client: ClientConfig = {
        "allow_http": (endpoint or "").startswith("http://"),
        "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, context.idle_seconds)),
        "read_timeout": timedelta(seconds=context.idle_seconds),
        "timeout": timedelta(seconds=max(1.0, context.retries.left())),
    }
    if context.authority is not None:
        # That it can be read was seen when ``context.http`` was made.
        client["root_certificate"] = context.authority.read_bytes()
    retry: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=60)}
    return {"client_options": client, "retry_config": retry}


def opened(make: Callable[[], ObjectStore], where: str, context: FetchContext) -> Bucket:
    """Open what ``make`` makes; a wrong setting, which obstore finds, becomes a StoreError."""
    try:
        return Bucket(make(), where, context)
    except (obstore.exceptions.BaseError, ValueError, TypeError) as error:
        said = words.shorten(str(error).partition(_DEBUG)[0])
        raise StoreError(FETCH_FAILED, f"{where}: {said}; {words.ACCESS}") from error


def location(scheme: str, *parts: str) -> str:
    """Return a place as messages show it: ``s3://models/risk/v2``."""
    return f"{scheme}://" + "/".join(part.strip("/") for part in parts if part.strip("/"))


def _failure(error: Exception, what: str) -> Exception:
    """Return what an error of obstore is: for ever a StoreError, else TransientError."""
    message, _, causes = str(error).partition(_DEBUG)
    found = re.search(r"status code: (\d{3}) ?([^:]*)(?:: (.*))?", message, re.DOTALL)
    if found is None:
        # It may be another than the store: what gives out tokens, or a proxy.
        asked = re.search(r"https?://[^/\s]+", message)
        host = f"{asked[0]}: " if asked else ""
        for pattern, meaning in _FINAL.items():
            if re.search(pattern, causes):
                return StoreError(FETCH_FAILED, f"{what}: {host}{meaning}")
        for pattern, meaning in _PASSING.items():
            if re.search(pattern, causes):
                return TransientError(host + meaning)
        return TransientError(f"{words.shorten(message)}; {words.REACH}")
    status, name, body = int(found[1]), found[2].strip(), found[3] or ""
    said = f"HTTP {status} {name}: {words.of_body(body.encode())}".rstrip(": ")
    if status in (408, 429) or status >= 500:
        return TransientError(f"{said}; {words.advice(status)}")
    code = words.code(body)
    if status == 404 and code in ("", *_MISSING):
        return StoreError(NOT_FOUND, f"{what}: {said}; {words.PLACE}")
    advice = words.ACCESS if status == 404 else words.advice(status)
    if status == 403:
        advice += " (some stores also answer so when there is no such object)"
    return StoreError(FETCH_FAILED, f"{what}: {said}; {advice}")
