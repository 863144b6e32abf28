"""The ASGI application: answers hot routes itself, and passes every other request to Flask.

The whole body of a request is read first, so a client that stalls in the middle of one holds no
thread.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from math import inf
from time import perf_counter
from typing import Any

from riskpredictor_server.admission import LARGE_BYTES, Admission, counted_bytes, overloaded
from riskpredictor_server.api.content_encoding import decompress
from riskpredictor_server.api.inference_protocol import BINARY_HEADER
from riskpredictor_server.api.problems import Headers, RefusedError, Reply, for_path, problem
from riskpredictor_server.api.routes import Call, Route, hot_route
from riskpredictor_server.api.service import Service

log = logging.getLogger("riskpredictor")

CLIENT_GONE = 499
"""Status in metrics for a client that left before its response."""
OVER_CONNECTION_LIMIT = "over_connection_limit"
"""Extension of the scope: the connection is one beyond the limit, meant for probes."""
INVALID_REQUEST = "invalid_request"
"""Extension of the scope: status and detail of the refusal of a malformed request."""

_BINARY = BINARY_HEADER.lower().encode()
_BODILESS = frozenset((204, 304))
_NOT_FOR_FLASK = frozenset((b"content-length", b"transfer-encoding", b"x-request-id"))

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Response = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers without those of the connection, and body."""


class _ClientGoneError(Exception):
    """The client left before its request was complete."""


class _Request:
    """One request, and what has been found out about it."""

    __slots__ = ("complete", "counted", "extensions", "headers", "id", "label", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        if len(self.headers) < len(scope["headers"]):
            self.headers = _joined(scope["headers"])
        self.extensions = scope.get("extensions") or {}
        self.id = ""
        self.label = "page"
        """Name of its route in metrics."""
        self.counted = True
        """Whether metrics count its response here; Flask counts its own."""
        self.complete = True
        """Whether the whole body has been received."""

    def announced_bytes(self, limit: int) -> int:
        """Return the length of its body; ``limit`` for one in chunks, whose length is not known."""
        if b"transfer-encoding" in self.headers:
            return limit
        # llhttp refuses what is no number. int() refuses many digits, so drop leading zeros.
        return int(self.headers.get(b"content-length", b"").strip().lstrip(b"0") or 0)

    async def receive_part(self) -> bytes:
        """Return the next part of its body. With our own server the first call never waits."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        self.complete = not message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


class Application:
    """Serves one Service over ASGI."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.admission = Admission(service.settings)
        self.answered = 0
        """Number of responses so far."""
        self._settings = service.settings
        self._metrics = service.metrics
        self._headers = [(name.lower().encode(), value.encode()) for name, value in service.headers]
        self._subject = service.subject_header.lower().encode()
        self._next_close = self._draw_next_close()
        """Number of responses from which one closes its connection."""
        self._flask: Any = None
        self._flask_lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it."""
        started = perf_counter()
        self._metrics.in_flight += 1
        request = _Request(scope, receive)
        given = request.headers.get(b"x-request-id")
        request.id = self.service.request_id(given.decode("latin-1") if given else None)
        status = CLIENT_GONE
        try:
            try:
                status, headers, body = await self._answer(request)
            except _ClientGoneError:
                raise
            except Exception as error:
                status, headers, body = self._answer_error(request, error)
            self.answered += 1
            if self._closes_connection(request):
                headers.append((b"connection", b"close"))
            # The memory of a response counts until the client has taken most of it.
            size = counted_bytes(body)
            self.admission.free_bytes -= size
            try:
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
            finally:
                self.admission.free_bytes += size
        except (_ClientGoneError, OSError):
            status = CLIENT_GONE
        finally:
            self._metrics.in_flight -= 1
            if request.counted:
                seconds = perf_counter() - started
                self.service.observe(request.label, status, seconds, request.id)

    def _answer_error(self, request: _Request, error: Exception) -> Response:
        """Return the response to a request that was refused or failed."""
        request.counted = True
        if isinstance(error, RefusedError):
            reply = problem(error.status, error.detail, request.id, headers=error.headers)
        else:
            what = f"{request.scope['method']} {request.scope['path'][:200]}"
            log.error("%s failed", what, exc_info=error, extra={"request_id": request.id})
            request.label = "error"
            detail = "the server failed; its log has the reason under this request_id"
            reply = problem(500, detail, request.id)
        return self._encode(reply, request)

    async def _answer(self, request: _Request) -> Response:
        """Ask admission for a request, read its body, and answer it."""
        admission, limit = self.admission, self._settings.max_body_bytes
        if INVALID_REQUEST in request.extensions:
            request.label = "malformed"
            raise RefusedError(*request.extensions[INVALID_REQUEST])
        route, arguments = hot_route(request.scope["method"], _route_path(request.scope))
        if route:
            request.label = route.path
        announced = request.announced_bytes(limit)
        request.complete = not announced
        body = b""
        expects_continue = b"expect" in request.headers
        if announced and not expects_continue:
            # What has arrived already: if that is all, a refusal need not close the connection.
            body = await request.receive_part()
        if not (route and route.probe):
            if OVER_CONNECTION_LIMIT in request.extensions:
                raise overloaded("too many connections")
            admission.check()
        reserved = admission.reserve(announced)
        try:
            if announced and expects_continue:
                # This asks the client for it, and returns what has arrived.
                body = await request.receive_part()
            if not request.complete:
                body = await self._read_rest(request, body)
            if len(body) > limit:
                raise admission.too_large()
            encoding = request.headers.get(b"content-encoding")
            if route and encoding:
                body = decompress(body, encoding.decode("latin-1"), limit)
            if reserved or encoding:
                # How much a body in chunks or a compressed one takes is known only now.
                admission.free_bytes += reserved
                reserved = 0
                reserved = admission.reserve(len(body))
            if route is None:
                return await self._answer_with_flask(request, body)
            if len(body) < LARGE_BYTES:
                return self._answer_hot(route, arguments, request, body)
            async with admission.batches.turn(len(body)):
                admission.check_memory()
                return self._answer_hot(route, arguments, request, body)
        finally:
            admission.free_bytes += reserved

    async def _read_rest(self, request: _Request, body: bytes) -> bytes:
        """Return ``body`` and what follows it, at most a little more than is allowed.

        Raises RefusedError if that takes too long, or if too many other bodies are incomplete.
        """
        limit, seconds = self._settings.max_body_bytes, self._settings.body_timeout
        parts = bytearray(body)
        async with self.admission.waiting_place("unfinished request bodies"):
            try:
                async with asyncio.timeout(seconds):
                    while not request.complete and len(parts) <= limit:
                        parts += await request.receive_part()
            except TimeoutError:
                raise RefusedError(408, f"the body did not arrive within {seconds:g} s") from None
        return bytes(parts)

    def _answer_hot(
        self, route: Route, arguments: dict[str, str], request: _Request, body: bytes
    ) -> Response:
        content_type = request.headers.get(b"content-type", b"").strip().decode("latin-1")
        json_length = request.headers.get(_BINARY, b"").strip().decode("latin-1")
        subject = request.headers.get(self._subject, b"").strip()
        call = Call(body, content_type, request.id, json_length, subject, **arguments)
        return self._encode(route.answer(self.service, call), request)

    async def _answer_with_flask(self, request: _Request, body: bytes) -> Response:
        async with self.admission.waiting_place("requests at once"):
            if self._flask is None:
                async with self._flask_lock:
                    self._flask = self._flask or await asyncio.to_thread(_flask, self.service)
            async with self.admission.pages.turn(1):
                return await self._call_flask(request, body)

    async def _call_flask(self, request: _Request, body: bytes) -> Response:
        request.counted = False
        # WSGI maps hyphens to underscores: drop names that could pass for another header.
        headers = [
            (name, value)
            for name, value in request.scope["headers"]
            if name not in _NOT_FOR_FLASK and b"_" not in name
        ]
        headers += [
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request.id.encode()),
        ]
        start: Message = {}
        parts: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message["body"])

        await self._flask({**request.scope, "headers": headers}, receive, send)
        data = b"".join(parts)
        # Flask dates static files, but the server adds a date to every response.
        headers = [header for header in start["headers"] if header[0] != b"date"]
        if start["status"] not in _BODILESS and b"content-length" not in dict(headers):
            headers.append((b"content-length", b"%d" % len(data)))
        return start["status"], headers, data

    def _encode(self, reply: Reply, request: _Request) -> Response:
        if reply.status >= 400:
            reply = for_path(reply, _route_path(request.scope))
        headers = [
            *(self._without(reply.headers) if reply.headers else self._headers),
            (b"content-type", reply.content_type.encode()),
            (b"x-request-id", request.id.encode()),
            (b"content-length", b"%d" % len(reply.body)),
        ]
        for name, value in reply.headers:
            headers.append((name.lower().encode(), value.encode()))
        return reply.status, headers, reply.body

    def _without(self, others: Headers) -> list[tuple[bytes, bytes]]:
        """Return the headers of every response whose names are not among others."""
        names = {name.lower().encode() for name, _ in others}
        return [header for header in self._headers if header[0] not in names]

    def _closes_connection(self, request: _Request) -> bool:
        """Whether the connection is to be closed after the response to ``request``.

        While the server drains, all do. Otherwise a few do: Kubernetes balances connections, not
        requests, so a new pod gets nothing from clients that keep theirs.
        """
        if self.answered >= self._next_close:
            self._next_close = self._draw_next_close()
            return True
        over_limit = OVER_CONNECTION_LIMIT in request.extensions
        return self.service.draining or over_limit or not request.complete

    def _draw_next_close(self) -> float:
        mean = self._settings.keepalive_requests
        return self.answered + random.randint(1, 2 * mean) if mean else inf  # noqa: S311


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Join the values of each header that came more than once by commas, as WSGI does."""
    joined: dict[bytes, bytes] = {}
    for name, value in headers:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


def _route_path(scope: Scope) -> str:
    """Return the path as Flask routes it: without a proxy's prefix, and with one leading slash.

    Otherwise a path such as ``//predict`` would be another route here than in Flask.
    """
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return "/" + path.lstrip("/") if path[:2] == "//" else path


def _flask(service: Service) -> Any:
    """Import Flask, and return its application as an ASGI one.

    Called with the first request for a page: Flask takes a third of the memory and half of the cold
    start, and a pod that only predicts never needs it.
    """
    from a2wsgi import WSGIMiddleware

    from riskpredictor_server.web.app import create_app

    application: Any = create_app(service)
    return WSGIMiddleware(application, workers=1)
