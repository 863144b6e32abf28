"""HTTP requests of the fetch step, by the standard library: one set of rules for all transports.

Proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY. A redirect from https to http is refused,
and one to another host does not get the credentials. A transfer that broke off goes on where it
was, if the server has ranges and entity tags.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from riskpredictor_server import __version__
from riskpredictor_server.store import words
from riskpredictor_server.store.errors import (
    FETCH_FAILED,
    NOT_FOUND,
    REJECTED,
    StoreError,
    TransientError,
)
from riskpredictor_server.store.retry import Retries

_CHUNK = 65_536
_ERROR_BODY = 8192
"""Bytes of an error's body that are read for the store's words."""
_MISSING = (404, 410)
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


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
        self._retries, self._idle = retries, idle_seconds
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=_trust(authority)),
            _Redirects(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

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

        ``accept`` counts for the server that is asked, not for one that it redirects to: what such
        a one says must not be taken for the former's words, as who may be told our account.
        ``limit``: most bytes of the body. Retried: 408, 425, 429, 5xx (after Retry-After, if it
        is given), broken connections, short bodies, silence. Raises StoreError: NOT_FOUND for 404
        and 410, REJECTED for a body over the limit, else FETCH_FAILED; with the server's words,
        without credentials and queries.
        """
        if urlsplit(url).scheme not in ("http", "https"):
            raise StoreError(FETCH_FAILED, f"{words.shown_url(url)}: must begin with https://")
        transfer = _Transfer(method, url, dict(headers or {}), body, limit)
        for name, value in (headers or {}).items():
            # Otherwise http.client refuses it, with the value in the message.
            if not (value.isascii() and value.isprintable()):
                raise StoreError(
                    FETCH_FAILED,
                    f"{transfer.what}: what is sent as {name} must be one line of ASCII; check the"
                    " Secret of spec.model.credentialsSecret",
                )
        return self._retries.call(transfer.what, lambda: self._attempt(transfer, accept))

    def _attempt(self, transfer: _Transfer, accept: Collection[int]) -> Answer:
        try:
            with self._opener.open(transfer.request(), timeout=self._timeout()) as response:
                transfer.begin(response)
                self._read(response, transfer)
                return Answer(response.status, _lower(response.headers), bytes(transfer.received))
        except urllib.error.HTTPError as error:
            with error:
                return self._refused(error, transfer, accept)
        except (OSError, http.client.HTTPException) as error:
            raise _failure(error, transfer.what) from error
        except ValueError as error:
            # A store may redirect to what is no address.
            raise StoreError(FETCH_FAILED, f"{transfer.what}: {error}") from error

    def _read(self, response: Any, transfer: _Transfer) -> None:
        # read1 waits for one packet at most, so that the deadline is looked at between any two.
        while chunk := response.read1(_CHUNK):
            transfer.received += chunk
            if len(transfer.received) > transfer.limit:
                raise StoreError(
                    REJECTED,
                    f"{transfer.what}: larger than the {transfer.limit} bytes that are allowed",
                )
            self._timeout()
        if response.length:
            raise TransientError(
                f"the transfer ended after {len(transfer.received)} bytes, {response.length} early"
            )

    def _refused(
        self, error: urllib.error.HTTPError, transfer: _Transfer, accept: Collection[int]
    ) -> Answer:
        status, headers = error.code, _lower(error.headers)
        try:
            body = error.read(_ERROR_BODY)
        except (OSError, http.client.HTTPException):
            body = b""
        if status in accept and _origin(error.url) == _origin(transfer.url):
            return Answer(status, headers, body)
        if status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            transfer.received.clear()
            raise TransientError("the file changed during the transfer")
        said = f"HTTP {status} {error.reason}: {words.of_body(body)}".rstrip(": ")
        message = f"{said}; {words.advice(status)}"
        if status in _TRANSIENT:
            raise TransientError(
                message, seconds_to_wait(headers.get("retry-after", ""), time.time())
            )
        reason = NOT_FOUND if status in _MISSING else FETCH_FAILED
        raise StoreError(reason, f"{transfer.what}: {message}")

    def _timeout(self) -> float:
        """Return how long to wait for the next packet; raises TransientError at the deadline."""
        left = self._retries.left()
        if not left:
            raise TransientError("the transfer is too slow")
        return min(self._idle, left)


class _Transfer:
    """What is asked for, and what came of it in the attempts so far."""

    def __init__(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, limit: int
    ) -> None:
        self.what, self.url = f"{method} {words.shown_url(url)}", url
        self.limit, self.received = limit, bytearray()
        self._method, self._headers, self._body = method, headers, body
        self._tag = ""

    def request(self) -> urllib.request.Request:
        """Return the request for all of it, or for what is missing."""
        headers = {"User-Agent": f"riskpredictor-fetch/{__version__}", **self._headers}
        if self.received and self._tag:
            headers |= {"Range": f"bytes={len(self.received)}-", "If-Range": self._tag}
        return urllib.request.Request(  # noqa: S310 - the scheme was checked
            self.url, data=self._body, headers=headers, method=self._method
        )

    def begin(self, response: Any) -> None:
        """Keep what was received if the answer continues it."""
        start = f"bytes {len(self.received)}-"
        continues = response.headers.get("Content-Range", "").startswith(start)
        if response.status != http.HTTPStatus.PARTIAL_CONTENT or not continues:
            self.received.clear()
        tag = response.headers.get("ETag", "")
        self._tag = "" if tag.startswith("W/") or self._method != "GET" else tag


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: http.client.HTTPMessage, newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        """Follow a redirect, but not to http, and without the credentials to another host."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if old.scheme == "https" and new.scheme != "https":
            raise StoreError(
                FETCH_FAILED,
                f"{words.shown_url(req.full_url)} redirects to {words.shown_url(newurl)}, which is"
                " not encrypted: refused; give the address of a store that stays with https",
            )
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _origin(req.full_url) != _origin(newurl):
            request.remove_header("Authorization")
        return request


def _origin(url: str) -> tuple[str, str]:
    """Return what two URLs of one server have in common."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def basic(username: str, password: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _trust(authority: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authority is not None:
        try:
            context.load_verify_locations(cafile=authority)
        except OSError as error:
            raise StoreError(
                FETCH_FAILED,
                f"{authority}: no certificates can be read from it ({error}); spec.model.caBundle"
                " must name a key with PEM certificates",
            ) from error
    return context


def _failure(error: Exception, what: str) -> Exception:
    """Return what an error of the network is: for ever a StoreError, else TransientError."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return StoreError(
            FETCH_FAILED,
            f"{what}: the certificate is not trusted: {cause.verify_message}; {words.AUTHORITY}",
        )
    if isinstance(cause, TimeoutError):
        return TransientError(f"no answer within the time allowed; {words.REACH}")
    if isinstance(cause, socket.gaierror):
        return TransientError(f"the name cannot be resolved ({cause.strerror}); {words.REACH}")
    if isinstance(cause, OSError) and cause.strerror:
        return TransientError(f"{cause.strerror}; {words.REACH}")
    return TransientError(f"{words.shorten(str(cause) or type(cause).__name__)}; {words.REACH}")


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def seconds_to_wait(retry_after: str, now: float) -> float | None:
    """Return the seconds of a Retry-After field, a number or a date; None if it is neither."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - now)
    except ValueError:
        return None
