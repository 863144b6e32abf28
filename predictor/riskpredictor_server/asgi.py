"""The ASGI application: answers hot routes itself, and hands every other request to Flask.

A body is complete before anything is done with it, so a client that stalls in the middle of one
holds no thread.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, MutableMapping
from math import inf
from time import perf_counter
from typing import Any

from riskpredictor_server.admission import LARGE_BYTES, Admission, RefusedError, overloaded
from riskpredictor_server.api.inference_protocol import BINARY_HEADER
from riskpredictor_server.api.problems import Reply, problem
from riskpredictor_server.api.routes import Call, hot_route
from riskpredictor_server.api.service import Service

log = logging.getLogger("riskpredictor")

CLIENT_GONE = 499
"""Status in metrics for a client that left before its answer."""
CROWDED = "crowded"
"""Extension of the scope: its connection is one beyond the limit, meant for probes."""
FAULT = "fault"
"""Extension of the scope: status and detail of what is no valid request."""

_BINARY = BINARY_HEADER.encode()
_BODILESS = frozenset((204, 304))
_NOT_FOR_FLASK = frozenset((b"content-length", b"transfer-encoding", b"x-request-id"))

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers without those of the connection, and body."""


class _ClientGoneError(Exception):
    """The client left before its request was complete."""


class _Request:
    """What is known of one request."""

    __slots__ = ("complete", "counted", "extensions", "headers", "id", "label", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.extensions = scope.get("extensions") or {}
        self.id = ""
        self.label = "page"
        """How metrics name its route."""
        self.counted = True
        """Whether its answer is to be counted here; Flask counts those that it gives."""
        self.complete = True
        """Whether nothing of its body is left to come."""


class Application:
    """Serves one Service over ASGI."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.admission = Admission(service.settings)
        self.answered = 0
        self._settings = service.settings
        self._metrics = service.metrics
        self._headers = [(name.lower().encode(), value.encode()) for name, value in service.headers]
        self._next_close = self._after(0)
        self._flask: Any = None
        self._importing = asyncio.Lock()

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
                answer = await self._answer(request)
            except Exception as error:
                answer = self._encode(self._problem(request, error), request.id)
            status, headers, body = answer
            self.answered += 1
            if self._closes() or CROWDED in request.extensions or not request.complete:
                headers.append((b"connection", b"close"))
            # Until the client took it, or most of it, its memory counts.
            size = len(body) if len(body) >= LARGE_BYTES else 0
            self.admission.free -= size
            try:
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
            finally:
                self.admission.free += size
        except (_ClientGoneError, OSError):
            status, request.counted = CLIENT_GONE, True
        finally:
            self._metrics.in_flight -= 1
            if request.counted:
                seconds = perf_counter() - started
                self.service.observe(request.label, status, seconds, request.id)

    def _problem(self, request: _Request, error: Exception) -> Reply:
        """The reply to a request that is refused, or has failed."""
        request.counted = True
        if isinstance(error, _ClientGoneError):
            raise error
        if isinstance(error, RefusedError):
            return problem(error.status, error.detail, request.id, headers=error.headers)
        what = f"{request.scope['method']} {request.scope['path'][:200]}"
        log.error("%s failed", what, exc_info=error, extra={"request_id": request.id})
        request.label = "error"
        detail = "the server failed; its log has the reason under this request_id"
        return problem(500, detail, request.id)

    async def _answer(self, request: _Request) -> Answer:
        """Raises RefusedError, and whatever goes wrong."""
        scope, headers, admission = request.scope, request.headers, self.admission
        if FAULT in request.extensions:
            request.label = "malformed"
            raise RefusedError(*request.extensions[FAULT])
        route, arguments = hot_route(scope["method"], _path(scope))
        if route:
            request.label = route.path
        length = headers.get(b"content-length", b"")
        # The server refuses what is no number, but not zeros, of which int() takes few.
        most = int(length.strip().lstrip(b"0") or 0) if length else 0
        if b"transfer-encoding" in headers:
            most = self._settings.max_body_bytes
        request.complete = not most
        body = b""
        if most and b"expect" not in headers:
            # What is there anyhow: a refusal need not end the connection when that is all.
            body = await _part(request)
        if not (route and route.probe):
            if CROWDED in request.extensions:
                raise overloaded("too many connections")
            admission.check()
        reserved = admission.reserve(most)
        try:
            if not (request.complete or body):
                body = await _part(request)
            if not request.complete:
                body = await self._rest(request, body)
            if len(body) > self._settings.max_body_bytes:
                raise admission.too_large()
            if reserved:
                # Of a body in chunks only its end tells how much it takes.
                surplus = reserved - (len(body) if len(body) >= LARGE_BYTES else 0)
                admission.free += surplus
                reserved -= surplus
            if route is None:
                return await self._page(request, body)
            kind, binary = headers.get(b"content-type", b""), _BINARY in headers
            call = Call(body, kind.strip().decode("latin-1"), request.id, binary, **arguments)
            if len(body) < LARGE_BYTES:
                return self._encode(route.answer(self.service, call), request.id)
            async with admission.batches.turn(len(body)):
                admission.check_memory()
                return self._encode(route.answer(self.service, call), request.id)
        finally:
            admission.free += reserved

    async def _rest(self, request: _Request, first: bytes) -> bytes:
        """The whole of a body that comes in parts, or more than may come of it."""
        seconds = self._settings.body_timeout
        body = bytearray(first)
        async with self.admission.place("unfinished request bodies"):
            try:
                async with asyncio.timeout(seconds):
                    while not request.complete and len(body) <= self._settings.max_body_bytes:
                        body += await _part(request)
            except TimeoutError:
                detail = f"the body did not arrive within {seconds:g} s"
                raise RefusedError(408, detail) from None
        return bytes(body)

    async def _page(self, request: _Request, body: bytes) -> Answer:
        """Flask's answer."""
        async with self.admission.place("requests at once"):
            if self._flask is None:
                async with self._importing:
                    self._flask = self._flask or await asyncio.to_thread(_flask, self.service)
            async with self.admission.pages.turn(1):
                return await self._call_flask(request, body)

    async def _call_flask(self, request: _Request, body: bytes) -> Answer:
        request.counted = False
        # With an underscore a name could pass for another one with a hyphen.
        headers = [
            (name, value)
            for name, value in request.scope["headers"]
            if name not in _NOT_FOR_FLASK and b"_" not in name
        ]
        headers += [
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request.id.encode()),
        ]
        started: Message = {}
        parts: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                parts.append(message["body"])

        await self._flask({**request.scope, "headers": headers}, receive, send)
        data = b"".join(parts)
        # Static files are dated; the server dates every answer.
        headers = [each for each in started["headers"] if each[0] != b"date"]
        if started["status"] not in _BODILESS and b"content-length" not in dict(headers):
            headers.append((b"content-length", b"%d" % len(data)))
        return started["status"], headers, data

    def _encode(self, reply: Reply, request_id: str) -> Answer:
        headers = [
            *self._headers,
            (b"content-type", reply.content_type.encode()),
            (b"x-request-id", request_id.encode()),
            (b"content-length", b"%d" % len(reply.body)),
        ]
        headers += [(name.lower().encode(), value.encode()) for name, value in reply.headers]
        return reply.status, headers, reply.body

    def _closes(self) -> bool:
        """Whether this answer ends its connection.

        While the server leaves, all do. Otherwise some do, because Kubernetes balances connections,
        not requests: a pod that a roll-out or the autoscaler adds gets nothing from clients that
        keep theirs.
        """
        if self.service.draining:
            return True
        if self.answered < self._next_close:
            return False
        self._next_close = self._after(self.answered)
        return True

    def _after(self, answered: int) -> float:
        mean = self._settings.keepalive_requests
        return answered + random.randint(1, 2 * mean) if mean else inf  # noqa: S311


async def _part(request: _Request) -> bytes:
    """What has come of its body since the last call; of our server the first never waits."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise _ClientGoneError
    request.complete = not message.get("more_body", False)
    part: bytes = message.get("body", b"")
    return part


def _path(scope: Scope) -> str:
    """The path below the prefix that a proxy announced, if any, and with one slash in front.

    So Flask reads it: a path that goes to Flask must not be one that is answered here.
    """
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return "/" + path.lstrip("/") if path[:2] == "//" else path


def _flask(service: Service) -> Any:
    """Flask as an ASGI application.

    Imported when a page is first asked for: it is a third of the memory and half of the cold start,
    and a pod that only predicts never needs it.
    """
    from a2wsgi import WSGIMiddleware

    from riskpredictor_server.web.app import create_app

    application: Any = create_app(service)
    return WSGIMiddleware(application, workers=1)
