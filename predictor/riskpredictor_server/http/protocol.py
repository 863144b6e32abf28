"""HTTP/1.1 connections: uvicorn's, on httptools, with the limits and checks that it lacks.

uvicorn 0.54 bounds neither the size of a head nor the time for one, answers errors of its own in
plain text, loses the body of a request that asks for an upgrade, and closes a connection before
its last answer is read. llhttp, the parser of httptools, lets pass some heads that RFC 9110 and
RFC 9112 forbid.
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

from riskpredictor_server.asgi import CROWDED, FAULT
from riskpredictor_server.http.cycle import Cycle
from riskpredictor_server.http.heads import (
    FIELDS,
    HEAD_BYTES,
    TOO_LONG,
    TOO_MANY,
    fault,
    is_too_long,
    names_another_protocol,
)

SPARE_CONNECTIONS = 128
"""Beyond the limit, for probes and to tell the others why."""
MOST_WAITING = 32
"""Requests behind one that has no answer yet; the last of them ends the connection."""
LINGER_SECONDS = 2.0
"""From the last answer until the connection is cut. To close one with bytes unread resets it, and
the answer can be lost with it (RFC 9112, 9.6)."""
LINGER_BYTES = 16_777_216
"""Most that is dropped meanwhile."""
_CROWDED_SECONDS = 2.0
"""For a connection beyond the limit to ask for something."""
_READ_BYTES = 65_536
"""Of a body that is read at once: asyncio's default is four times as much, for each connection that
sends. Elsewhere it is a head's worth."""
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?]*)")


class _StopError(Exception):
    """Ends the parser's run: nothing more of this connection is read as a request."""


class Connection(HttpToolsProtocol):
    """One client connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = cast(Any, self.app).service.settings
        self.deadline = inf
        """When :meth:`expire` is due."""
        self.ended = False
        """Whether what arrives is dropped instead of read as requests."""
        self._crowded = False
        """Whether it is one beyond the limit."""
        self._active: Cycle | None = None
        """The request that is answered; later ones wait."""
        self._waiting: deque[Cycle] = deque()
        self._latest: Any = None
        """The request whose body arrives."""
        self._fresh = True
        """Whether no head was complete yet."""
        self._in_head = self._in_body = False
        self._head_timed = True
        """Whether a head that is incomplete has its deadline. The first one has, since accept."""
        self._raw = b""
        """Bytes that hold what has come of the present head."""
        self._unfinished = 0
        """Bytes since the last complete head or part of a body."""
        self._progress = False
        """Whether the present bytes completed one."""
        self._upgrading = self._resuming = self._eof = False
        self._dropped = 0
        self._starting: Cycle | None = None
        """A request that is to be answered as soon as these bytes are read."""
        self._task: asyncio.Task[None] | None = None

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.transport.set_write_buffer_limits(high=0)
        cast(Any, self.transport).max_size = HEAD_BYTES
        beyond = len(self.connections) - self.limits.max_connections
        self._crowded = beyond > 0
        seconds = self.limits.head_timeout
        self.deadline = monotonic() + (min(seconds, _CROWDED_SECONDS) if self._crowded else seconds)
        if beyond > SPARE_CONNECTIONS:
            self.ended = True
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever wanted it."""
        if self._active:
            self._active.disconnected = True
            self._active.wake()
        self.ended = True
        self._waiting.clear()
        super().connection_lost(exc)
        self._active = self._latest = None

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        if self.ended:
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self.transport.abort()
            return
        self._unfinished += len(data)
        self._progress = False
        rest = self._feed(data)
        while rest is not None and not self.ended:
            rest = self._read_on(rest)
        if self._starting:
            # The rest of its body is yet to come.
            self._start(self._starting)
        if self.ended:
            return
        cast(Any, self.transport).max_size = _READ_BYTES if self._in_body else HEAD_BYTES
        if self._progress:
            # A head that began behind it, in the same bytes, is measured when it is complete.
            self._unfinished = 0
        elif self._unfinished > HEAD_BYTES:
            # In a body that is a trailer, or the extension of a chunk.
            self._fail(*TOO_LONG)
        if not self._in_head:
            self._raw = b""
        elif not self._head_timed:
            self._head_timed = True
            self.deadline = monotonic() + self.limits.head_timeout

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more; True if it is still owed an answer."""
        self._eof = self.ended = True
        if self._in_body:
            # That request will never be complete; those before it are still answered.
            self._latest.disconnected = True
            self._latest.wake()
            if self._latest is self._active:
                return False
            self._waiting.pop()
        return self._is_answering

    def pause_writing(self) -> None:
        """The client is slow to take an answer."""
        super().pause_writing()
        self.deadline = monotonic() + self.limits.answer_timeout

    # The server's calls

    def expire(self) -> None:
        """The deadline is over."""
        self.deadline = inf
        if self.ended or self.flow.write_paused:
            self.transport.abort()
        elif self._in_head or self._fresh:
            self._fail(408, "the head of a request did not arrive in time")
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """The server leaves: close unless somebody waits for something."""
        if not (self._is_answering or self._in_head or self._in_body):
            self.transport.close()

    @property
    def is_unread(self) -> bool:
        """Whether its client leaves an answer unread."""
        return self.flow.write_paused

    @property
    def _is_answering(self) -> bool:
        return self._active is not None and not self._active.answered

    # The parser's calls

    def on_message_begin(self) -> None:
        """The first byte of a head; empty lines before it are none."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody reads."""
        self.headers.append((name.lower(), value))
        if len(self.headers) > FIELDS:
            self._fail(*TOO_MANY)
            raise _StopError

    def on_headers_complete(self) -> None:
        """Judge the head, and have the request answered or wait."""
        headers, self.headers = self.headers, []
        self._in_head = self._fresh = self._head_timed = False
        self._progress = True
        if self._resuming:
            # This head is not the client's.
            self._resuming = False
            return
        scope: Any = self.scope
        version = self.parser.get_http_version()
        method = self.parser.get_method()
        scope["method"] = method.decode()
        fields = dict(headers)
        target = self.url
        wrong = fault(method, version, headers, fields)
        if len(self._raw) > HEAD_BYTES and is_too_long(method, target, headers):
            wrong = TOO_LONG
        elif names_another_protocol(target, self._raw):
            wrong = 400, "not valid HTTP: the request line names another protocol"
        if wrong:
            self._fail(*wrong)
            raise _StopError
        scope["http_version"] = version
        if not target.startswith(b"/") and (absolute := _ABSOLUTE.match(target)):
            # What an absolute target says counts, not the header (RFC 9112, 3.2.2).
            host, target = absolute[1], target[absolute.end() :] or b"/"
            headers[:] = [(n, host if n == b"host" else value) for n, value in headers]
        path, _, scope["query_string"] = target.partition(b"?")
        scope["raw_path"] = path
        text = path.decode("latin-1") or "/"
        scope["path"] = unquote(text) if "%" in text else text
        if self._crowded:
            scope["extensions"] = {CROWDED: {}}
        self._upgrading = b"upgrade" in fields and self.parser.should_upgrade()
        self._in_body = True
        # HTTP/1.0 keeps a connection open on demand only; closing it is always right.
        keep_alive = version == "1.1" and self.parser.should_keep_alive()
        self._enqueue(Cycle(self, scope, keep_alive, b"expect" in fields and version == "1.1"))

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._progress = True
        cycle = self._latest
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.wake()

    def on_message_complete(self) -> None:
        """A whole request is here."""
        if self._upgrading:
            return
        cycle = self._latest
        self._progress, self._in_body = True, False
        cycle.more_body = False
        cycle.wake()
        if self._starting:
            self._start(cycle)
        if not cycle.keep_alive:
            self.ended = True
            raise _StopError

    # In order

    def _enqueue(self, cycle: Cycle) -> None:
        self._latest = cycle
        if not self._is_answering:
            self._starting = cycle
            return
        self.flow.pause_reading()
        self._waiting.append(cycle)
        if len(self._waiting) >= MOST_WAITING:
            cycle.keep_alive = False

    def _start(self, cycle: Cycle) -> None:
        """Have a request answered: as far as that needs no waiting, here and now.

        Nearly all are. A task, and the turn of the loop that it takes, would cost a fifth more.
        """
        self._starting, self._active = None, cycle
        self.deadline = inf
        call = self.app(cycle.scope, cycle.receive, cycle.send)
        if cycle.more_body:
            self._task = self.loop.create_task(call)
            return
        try:
            waiting = call.send(None)
        except StopIteration:
            return
        self._task = self.loop.create_task(_resume(call, waiting))

    def on_response_complete(self) -> None:
        """An answer is written and taken."""
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self._active is None:
            return
        if not self._active.keep_alive:
            self._linger()
            return
        self.flow.resume_reading()
        if self._waiting:
            self._start(self._waiting.popleft())
        elif self._eof:
            self.transport.close()
        else:
            seconds = self.limits.head_timeout if self._in_head else self.limits.idle_timeout
            self.deadline = monotonic() + seconds

    def _linger(self) -> None:
        """After the last answer: close our half, and drop what the client still sends."""
        self.ended = True
        self._waiting.clear()
        self.deadline = monotonic() + LINGER_SECONDS
        self.flow.resume_reading()
        if self._eof:
            self.transport.close()
            return
        try:
            self.transport.write_eof()
        except OSError:
            # The client reset it, which asyncio has yet to notice.
            self.transport.abort()

    # What is not wanted

    def _fail(self, status: int, detail: str) -> None:
        """Answer that to the request that is arriving, and read no more."""
        if self._in_body:
            self._latest.fault, self._latest.keep_alive = (status, detail), False
            self._latest.wake()
        else:
            if self.scope is None or "extensions" in self.scope or "path" in self.scope:
                super().on_message_begin()
            self.scope.setdefault("method", "GET")
            self.scope["path"] = "/"
            self.scope["headers"] = []
            self.scope["extensions"] = {FAULT: cast(Any, (status, detail))}
            self._enqueue(Cycle(self, self.scope, keep_alive=False, expects=False))
            self._latest.more_body = False
            if self._starting:
                self._start(self._latest)
        self._in_head = self._in_body = False
        self.ended = True

    def _feed(self, data: bytes) -> bytes | None:
        """Parse; returns what is left where a request asked for another protocol."""
        self._raw = self._raw + data if self._in_head else data
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            return data[upgrade.args[0] :]
        except HttpParserCallbackError:
            if not self.ended:
                # A mistake of ours.
                raise
        except HttpParserError as error:
            if "PRI" in str(error):
                self._fail(505, "HTTP/2 is not spoken here, only HTTP/1.1 and HTTP/1.0")
            else:
                self._fail(400, f"not valid HTTP: {error}")
        return None

    def _read_on(self, rest: bytes) -> bytes | None:
        """The request asked for another protocol, which it does not get; llhttp stops there.

        Java's HttpClient asks for h2c by default, with a POST's body after it. A new parser, told
        only how that body is framed, reads the rest and the requests after it. Returns what is left
        where one of those asks, too.
        """
        self._upgrading = False
        fields = dict(self.scope["headers"])
        framing = b"content-length: %b" % fields.get(b"content-length", b"0")
        if b"transfer-encoding" in fields:
            framing = b"transfer-encoding: chunked"
        self.parser, self._resuming = HttpRequestParser(self), True
        scope, url = self.scope, self.url
        self._feed(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
        self.scope, self.url = scope, url
        if self.ended:
            return None
        self._unfinished = len(rest)
        return self._feed(rest)


async def _resume(call: Coroutine[Any, Any, None], waiting: Any) -> None:
    """Run the rest of a call that waits for a future."""
    await _after(waiting, call)


@types.coroutine
def _after(waiting: Any, call: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    yield waiting
    yield from call
