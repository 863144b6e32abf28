"""HTTP/1.1 connections: uvicorn's, on httptools, with the limits and checks that it lacks.

uvicorn 0.54 bounds neither the size of a request's head nor the time for one, answers its own
errors in plain text, loses the body of a request that asks for an upgrade, and closes a connection
before its last response is read. llhttp, the parser of httptools, accepts some heads that RFC 9110
and RFC 9112 forbid.
"""

from __future__ import annotations

import asyncio
import re
import types
from collections import deque
from collections.abc import Coroutine, Generator
from math import inf
from time import monotonic
from typing import Any, cast
from urllib.parse import unquote

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from riskpredictor_server.asgi import INVALID_REQUEST, OVER_CONNECTION_LIMIT
from riskpredictor_server.http.addresses import as_ipv4
from riskpredictor_server.http.cycle import Cycle
from riskpredictor_server.http.heads import (
    HEAD_BYTES,
    HEAD_TOO_LONG,
    MAX_HEADERS,
    TOO_MANY_HEADERS,
    Headers,
    find_error,
    is_too_long,
    names_another_protocol,
)

SPARE_CONNECTIONS = 128
"""Connections accepted beyond the limit, to answer probes and to tell other clients why not."""
MAX_PIPELINED = 32
"""Most requests that wait for an earlier response; the last of them closes the connection."""
LINGER_SECONDS = 2.0
"""Time from the last response until the connection is cut. Closing a socket with unread input
resets it, and the client can lose the response (RFC 9112, 9.6)."""
LINGER_BYTES = 16_777_216
"""Most input that is discarded in that time."""
_OVER_LIMIT_SECONDS = 2.0
"""Time for a connection beyond the limit to send its request."""
_BODY_READ_BYTES = 65_536
"""Most bytes read at once while a body arrives. asyncio's default is four times as much, and each
connection that sends has a buffer of that size. Otherwise no more than a head is read at once."""
_ABSOLUTE_TARGET = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?]*)")


class _StopParsingError(Exception):
    """Raised in a parser callback to stop the parser: no further request is read."""


class Connection(HttpToolsProtocol):
    """One client connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deadline = inf
        """When the server is to call :meth:`expire`."""
        self._settings = cast(Any, self.app).service.settings
        self._over_limit = False
        """Whether the server had enough connections when this one was accepted."""
        self._active: Cycle | None = None
        """The request that the application answers now, or answered last."""
        self._queue: deque[Cycle] = deque()
        """Requests received after it, not given to the application yet."""
        self._newest: Any = None
        """The Cycle received last; the one whose body arrives, if any does."""
        self._in_head = False
        """Whether a head has begun and is not complete."""
        self._head_data = b""
        """Received bytes that contain what has arrived of that head."""
        self._bytes_without_progress = 0
        """Bytes received since a head, a part of a body or a whole request was complete."""
        self._skips_head = False
        """Whether the parser reads the head that :meth:`_parse_after_upgrade` made up."""
        self._at_eof = False
        """Whether the client has closed its half of the connection."""
        self._discarding = False
        """Whether further input is discarded instead of parsed."""
        self._discarded_bytes = 0
        self._task: asyncio.Task[None] | None = None

    # asyncio.Protocol callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the limits of a new connection; drop it if there are too many."""
        super().connection_made(cast(asyncio.Transport, transport))
        if self.client:
            self.client = as_ipv4(self.client[0]), self.client[1]
        if self.server:
            self.server = as_ipv4(self.server[0]), self.server[1]
        self.transport.set_write_buffer_limits(high=0)
        cast(Any, self.transport).max_size = HEAD_BYTES
        surplus = len(self.connections) - self._settings.max_connections
        self._over_limit = surplus > 0
        seconds = self._settings.head_timeout
        if self._over_limit:
            seconds = min(seconds, _OVER_LIMIT_SECONDS)
        self.deadline = monotonic() + seconds
        if surplus > SPARE_CONNECTIONS:
            self._discarding = True
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that its client left, and drop the other requests."""
        if self._active:
            self._active.disconnect()
        self._discarding = True
        self._queue.clear()
        super().connection_lost(exc)
        self._active = self._newest = None

    def data_received(self, data: bytes) -> None:
        """Parse input, pass complete requests to the application, and check the limits of heads."""
        if self._discarding:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > LINGER_BYTES:
                self.transport.abort()
            return
        continues_head = self._in_head
        self._bytes_without_progress += len(data)
        rest = self._parse(data)
        while rest is not None and not self._discarding:
            rest = self._parse_after_upgrade(rest)
        if self._queue:
            self._answer_next()
        if self._discarding:
            return
        cast(Any, self.transport).max_size = _BODY_READ_BYTES if self._in_body else HEAD_BYTES
        # Progress sets this to zero, so a head that begins behind the end of another request, in
        # the same data, is measured when it is complete. In a body it is a trailer or the extension
        # of a chunk that has no end.
        if self._bytes_without_progress > HEAD_BYTES:
            self._refuse(*HEAD_TOO_LONG)
        if not self._in_head:
            self._head_data = b""
        elif self._newest and not (continues_head and self._bytes_without_progress):
            # The first head of a connection has had its deadline since the connection was made.
            self.deadline = monotonic() + self._settings.head_timeout

    def eof_received(self) -> bool:  # type: ignore[override]
        """Note that the client sends no more; return whether to keep open for a response."""
        self._at_eof = self._discarding = True
        if self._in_body:
            # This request will never be complete; those before it are still answered.
            self._newest.disconnect()
            if self._newest is self._active:
                return False
            if self._queue:
                # It is not there any more if an earlier response closed the connection.
                self._queue.pop()
        return self._is_answering

    def pause_writing(self) -> None:
        """Limit how long the client may leave a response unread."""
        super().pause_writing()
        self.deadline = monotonic() + self._settings.answer_timeout

    # Called by the server

    def expire(self) -> None:
        """End a connection whose deadline has passed."""
        self.deadline = inf
        if self._discarding or self.flow.write_paused:
            self.transport.abort()
        elif self._in_head or self._newest is None:
            self._refuse(408, "the head of a request did not arrive in time")
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """Close the connection unless a request is being received or answered."""
        if not (self._is_answering or self._in_head or self._in_body):
            self.transport.close()

    @property
    def has_unread_response(self) -> bool:
        """Whether the client leaves a response unread."""
        return self.flow.write_paused

    @property
    def _is_answering(self) -> bool:
        return self._active is not None and not self._active.answered

    @property
    def _in_body(self) -> bool:
        return bool(self._newest and self._newest.more_body)

    # httptools callbacks

    def on_message_begin(self) -> None:
        """Start a head; llhttp skips the empty lines that may precede it."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, or a trailer, which is never used."""
        self.headers.append((name.lower(), value))
        if len(self.headers) > MAX_HEADERS:
            self._refuse(*TOO_MANY_HEADERS)
            raise _StopParsingError

    def on_headers_complete(self) -> None:
        """Check the head, complete the scope and queue the request."""
        headers, self.headers = self.headers, []
        self._in_head = False
        self._bytes_without_progress = 0
        if self._skips_head:
            self._skips_head = False
            return
        version = self.parser.get_http_version()
        method = self.parser.get_method()
        self.scope["method"] = method.decode()
        fields = dict(headers)
        error = find_error(method, version, headers, fields)
        if len(self._head_data) > HEAD_BYTES and is_too_long(method, self.url, headers):
            error = HEAD_TOO_LONG
        elif names_another_protocol(self.url, self._head_data):
            error = 400, "not valid HTTP: the request line names another protocol"
        if error:
            self._refuse(*error)
            raise _StopParsingError
        self._complete_scope(version, headers)
        # HTTP/1.0 keeps a connection open on demand only; closing it is always right.
        keep_alive = version == "1.1" and self.parser.should_keep_alive()
        self._enqueue(Cycle(self, self.scope, keep_alive, b"expect" in fields and version == "1.1"))

    def on_body(self, body: bytes) -> None:
        """Add a part of the body; stop reading while the application has enough of it."""
        self._bytes_without_progress = 0
        cycle = self._newest
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.wake()

    def on_message_complete(self) -> None:
        """Mark the request as complete, and answer it if it is the next one."""
        if self.parser.should_upgrade():
            # The parser took the body for another protocol, see _parse_after_upgrade.
            return
        self._bytes_without_progress = 0
        cycle = self._newest
        cycle.more_body = False
        cycle.wake()
        self._answer_next()
        if not cycle.keep_alive:
            self._discarding = True
            raise _StopParsingError

    # Parsing

    def _parse(self, data: bytes) -> bytes | None:
        """Parse ``data``; return what follows the head of a request that asks for an upgrade."""
        self._head_data = self._head_data + data if self._in_head else data
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            return data[upgrade.args[0] :]
        except HttpParserCallbackError:
            if not self._discarding:
                # Not a _StopParsingError, which follows a refusal or the last request: a bug.
                raise
        except HttpParserError as error:
            if "PRI" in str(error):
                self._refuse(505, "HTTP/2 is not spoken here, only HTTP/1.1 and HTTP/1.0")
            else:
                self._refuse(400, f"not valid HTTP: {error}")
        return None

    def _parse_after_upgrade(self, rest: bytes) -> bytes | None:
        """Parse what follows a head that asks for an upgrade, which is ignored, as HTTP/1.1.

        llhttp stops behind such a head. Java's HttpClient asks for h2c by default, and sends the
        body of its POST nevertheless. A new parser gets a head that only tells how that body is
        framed, then the body and the requests that follow. Returns like :meth:`_parse`.
        """
        scope, url = self.scope, self.url
        fields = dict(scope["headers"])
        framing = b"content-length: %b" % fields.get(b"content-length", b"0")
        if b"transfer-encoding" in fields:
            framing = b"transfer-encoding: chunked"
        self.parser, self._skips_head = HttpRequestParser(self), True
        self._parse(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
        self.scope, self.url = scope, url
        return None if self._discarding else self._parse(rest)

    def _complete_scope(self, version: str, headers: Headers) -> None:
        scope: Any = self.scope
        scope["http_version"] = version
        target = self.url
        if not target.startswith(b"/") and (absolute := _ABSOLUTE_TARGET.match(target)):
            # The host of an absolute target replaces the header (RFC 9112, 3.2.2).
            host, target = absolute[1], target[absolute.end() :] or b"/"
            headers[:] = [(n, host if n == b"host" else value) for n, value in headers]
        path, _, scope["query_string"] = target.partition(b"?")
        scope["raw_path"] = path
        text = path.decode("latin-1") or "/"
        scope["path"] = unquote(text) if "%" in text else text
        if self._over_limit:
            scope["extensions"] = {OVER_CONNECTION_LIMIT: {}}

    def _refuse(self, status: int, detail: str) -> None:
        """Answer the request that is arriving with an error, and parse no further input."""
        self._in_head = False
        self._discarding = True
        if self._in_body:
            self._newest.fail(status, detail)
            self._answer_next()
            return
        if self.scope is None or "path" in self.scope:
            # Nothing of the head was parsed: this scope is none, or that of the request before.
            super().on_message_begin()
        scope: Any = self.scope
        scope.setdefault("method", "GET")
        # Errors below /v2 have a form of their own, so the path counts as far as it is known.
        path = self.url.partition(b"?")[0].decode("latin-1") or "/"
        scope |= {"path": path, "headers": [], "extensions": {INVALID_REQUEST: (status, detail)}}
        cycle = Cycle(self, scope, keep_alive=False, expects_continue=False)
        cycle.more_body = False
        self._enqueue(cycle)
        self._answer_next()

    # Requests, answered one at a time in the order of their arrival

    def _enqueue(self, cycle: Cycle) -> None:
        self._newest = cycle
        self._queue.append(cycle)
        if self._is_answering:
            self.flow.pause_reading()
            if len(self._queue) >= MAX_PIPELINED:
                cycle.keep_alive = False

    def _answer_next(self) -> None:
        """Pass the next request to the application, unless it is busy with an earlier one.

        The call runs here until it has to wait for something, which few do. A task for each, and
        the pass of the event loop that it takes, would make a prediction a fifth more expensive.
        """
        if not self._queue or self._is_answering:
            return
        cycle = self._active = self._queue.popleft()
        self.deadline = inf
        call = self.app(cycle.scope, cycle.receive, cycle.send)
        if cycle.more_body:
            self._task = self.loop.create_task(call)
            return
        try:
            future = call.send(None)
        except StopIteration:
            return
        self._task = self.loop.create_task(_resume(call, future))

    def on_response_complete(self) -> None:
        """Close the connection, answer the next request, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self._active is None:
            return
        if not self._active.keep_alive:
            self._linger()
            return
        self.flow.resume_reading()
        if self._queue:
            self._answer_next()
        elif self._at_eof:
            self.transport.close()
        else:
            settings = self._settings
            seconds = settings.head_timeout if self._in_head else settings.idle_timeout
            self.deadline = monotonic() + seconds

    def _linger(self) -> None:
        """Close the sending half after the last response; discard input until the deadline."""
        self._discarding = True
        self._queue.clear()
        self.deadline = monotonic() + LINGER_SECONDS
        self.flow.resume_reading()
        if self._at_eof:
            self.transport.close()
            return
        try:
            self.transport.write_eof()
        except OSError:
            # The client has reset the connection, and asyncio has not noticed yet.
            self.transport.abort()


async def _resume(call: Coroutine[Any, Any, None], future: Any) -> None:
    """Run the rest of ``call``, which has yielded ``future``."""
    # From Python 3.12 on a task takes a coroutine only, not the generator that is needed here.
    await _yield_and_continue(call, future)


@types.coroutine
def _yield_and_continue(call: Coroutine[Any, Any, None], future: Any) -> Generator[Any, Any, None]:
    yield future
    yield from call
