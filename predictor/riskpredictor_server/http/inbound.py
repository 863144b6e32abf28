"""Bytes to requests: what httptools calls back, with the limits that it does not have."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from riskpredictor_server.api.problems import Reply
from riskpredictor_server.http.body import Body
from riskpredictor_server.http.budget import DRAIN_SECONDS
from riskpredictor_server.http.hub import Hub
from riskpredictor_server.http.request import Request
from riskpredictor_server.http.rules import (
    FIELDS,
    HEAD_BYTES,
    TOO_LONG,
    TOO_MANY,
    Fault,
    fault,
    too_long,
)
from riskpredictor_server.http.wire import CONTINUE

Outcome = bytes | Reply | Fault
"""Of receiving a request: its body, the refusal of it, or what was wrong with it."""


class _EnoughError(Exception):
    """Stops the parser: nothing more is read from this connection as a request."""


class Sink(Protocol):
    """Who takes the requests."""

    transport: asyncio.Transport
    open: bool
    """Whether it takes any more."""
    crowded: bool

    def arrived(self, request: Request, outcome: Outcome) -> None:
        """In order, each once. Without ``keep_alive`` it is the last."""
        ...


class Inbound:
    """The receiving half of a connection."""

    __slots__ = (
        "_begun",
        "_body",
        "_dropping",
        "_fields",
        "_hub",
        "_parser",
        "_resuming",
        "_since",
        "_sink",
        "_unfinished",
        "_upgrading",
        "_url",
        "fresh",
        "request",
        "silent",
        "timed",
    )

    def __init__(self, hub: Hub, sink: Sink) -> None:
        self._hub = hub
        self._sink = sink
        self._parser: Any = HttpRequestParser(self)
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._body = Body(hub.budget.max_body)
        self._unfinished = self._dropping = False
        """Which number of bodies this one counts in."""
        self._upgrading = self._resuming = False
        self._begun = False
        """Whether a head is arriving."""
        self._since = 0
        """Most bytes that this head can have."""
        self.request: Request | None = None
        """The one whose body is arriving."""
        self.silent = 0
        """Bytes of a head that is not complete, or since a body's last part; 0 between requests."""
        self.fresh = True
        """Whether no head was complete yet."""
        self.timed = True
        """Whether what is incomplete has its deadline. The first head has, since the accept."""

    @property
    def receiving(self) -> bool:
        """Whether part of a request has come."""
        return self.request is not None or self.silent > 0

    def feed(self, data: memoryview) -> None:
        """Bytes arrived."""
        self._since = len(data) + (self._since if self._begun else 0)
        self.silent += len(data)
        rest = self._parse(data)
        while rest is not None and self._sink.open:
            rest = self._read_on(rest)
        if self.request is None:
            # A head that began behind another request in these bytes: nobody knows where. The next
            # ones count, and all when it is complete.
            self.silent = (self.silent or 1) if self._begun else 0
        # In a body that is a trailer, or the extension of a chunk.
        if self.silent > HEAD_BYTES and self._sink.open:
            self.stop(TOO_LONG)

    def close(self) -> Request | None:
        """No more; returns the request that is left incomplete."""
        request, self.request = self.request, None
        if request:
            self._finish_body(request)
        # The parser holds this object's methods.
        self._parser = None
        self._fields, self._url = [], b""
        return request

    def detach(self) -> None:
        """After ``close``: let go of the sink, or only the garbage collector would free the two."""
        del self._sink

    def seconds(self) -> float:
        """How long the rest of what is incomplete may take from now, 0 if that was told before."""
        if self.timed:
            return 0.0
        self.timed = True
        request = self.request
        if request is None:
            return self._hub.limits.head_timeout
        if self._body.refusal is None and not self._unfinished:
            refusal = self._hub.budget.await_rest(request)
            if refusal:
                self._turn_away(request, refusal)
                self.timed = True
                return DRAIN_SECONDS
            self._unfinished = True
            if request.expects:
                self._sink.transport.write(CONTINUE)
        return DRAIN_SECONDS if self._dropping else self._hub.limits.body_timeout

    def late(self) -> None:
        """Those seconds are over."""
        if self.request is None:
            self.stop((408, "the head of a request did not arrive in time"))
        elif self._body.refusal is not None:
            self._leave(self.request, self._body.refusal)
        else:
            seconds = self._hub.limits.body_timeout
            self.stop((408, f"the body did not arrive within {seconds:g} s"))

    def stop(self, wrong: Fault) -> None:
        """Answer that, for the request that is arriving if there is one, and read no more."""
        request = self.request
        if request is None:
            request = Request(b"", b"", [], False, self._sink.transport)
        self._leave(request, wrong)

    # The parser's calls

    def on_message_begin(self) -> None:
        """The first byte of a head; empty lines before it are none."""
        self._begun = True

    def on_url(self, url: bytes) -> None:
        """All or part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody reads."""
        fields = self._fields
        fields.append((name.lower(), value))
        if len(fields) > FIELDS:
            self.stop(TOO_MANY)
            raise _EnoughError

    def on_headers_complete(self) -> None:
        """Judge the head, and decide about the body."""
        if self._resuming:
            # This one is not the client's.
            self._fields, self._url, self._resuming, self._begun = [], b"", False, False
            return
        parser, hub = self._parser, self._hub
        fields, url = self._fields, self._url
        self._fields, self._url = [], b""
        keep_alive = parser.should_keep_alive()
        request = Request(parser.get_method(), url, fields, keep_alive, self._sink.transport)
        request.crowded = self._sink.crowded
        wrong = fault(request, parser.get_http_version())
        if self._since > HEAD_BYTES and too_long(request):
            wrong = TOO_LONG
        self.silent, self.fresh, self.timed, self._begun = 0, False, False, False
        if wrong:
            self._leave(request, wrong)
            raise _EnoughError
        if b"upgrade" in request.headers and parser.should_upgrade():
            self._upgrading = True
        self.request = request
        refusal = hub.app.begin(request)
        if request.chunked or request.length:
            refusal = refusal or hub.budget.admit(request)
            if refusal:
                self._turn_away(request, refusal)
                if self.request is None:
                    raise _EnoughError
        elif refusal:
            self._body.refuse(refusal)

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self.silent = 0
        body, request = self._body, self.request
        if body.add(data) or request is None:
            return
        if body.refusal is None:
            self._turn_away(request, self._hub.budget.too_large(request))
        else:
            self._leave(request, body.refusal)
        if self.request is None:
            raise _EnoughError

    def on_message_complete(self) -> None:
        """A whole request is here."""
        request = self.request
        if request is None or self._upgrading:
            return
        self.request = None
        self.silent = 0
        if self._fields:
            self._fields = []
        outcome = self._body.take()
        if self._unfinished or self._dropping:
            self._uncount()
        if request.reserved:
            self._hub.budget.settle(request, len(outcome))
        self._sink.arrived(request, outcome)
        if not self._sink.open:
            raise _EnoughError

    # What is not wanted

    def _turn_away(self, request: Request, refusal: Reply) -> None:
        """Drop the body before answering; at once where that is not possible."""
        self._finish_body(request)
        # Who asks first (Expect: 100-continue) has sent nothing yet.
        if request.expects or request.crowded or not self._hub.budget.may_drop():
            self._leave(request, refusal)
            return
        self._dropping, self.timed = True, False
        self._body.refuse(refusal)

    def _leave(self, request: Request, outcome: Outcome) -> None:
        """The last request of the connection, its body incomplete."""
        self.request = None
        self._finish_body(request)
        request.keep_alive = False
        self._sink.arrived(request, outcome)

    def _finish_body(self, request: Request) -> None:
        self._body.take()
        self._uncount()
        self._hub.budget.release(request)

    def _uncount(self) -> None:
        budget = self._hub.budget
        budget.unfinished -= self._unfinished
        budget.dropping -= self._dropping
        self._unfinished = self._dropping = False

    def _unreadable(self, error: HttpParserError) -> None:
        if not self._sink.open:
            # Our own stop, or bytes after a last request.
            return
        if isinstance(error, HttpParserCallbackError):
            # A mistake of ours.
            raise error
        text = str(error)
        if "PRI" in text:
            self.stop((505, "HTTP/2 is not spoken here, only HTTP/1.1 and HTTP/1.0"))
        else:
            self.stop((400, f"not valid HTTP: {text}"))

    def _parse(self, data: memoryview | bytes) -> memoryview | None:
        """Returns what is left where a request asked for another protocol."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            return memoryview(data)[upgrade.args[0] :]
        except HttpParserError as error:
            self._unreadable(error)
        return None

    def _read_on(self, rest: memoryview) -> memoryview | None:
        """The request asked for another protocol, which it does not get; llhttp stops there.

        Java's HttpClient asks for h2c by default, with a POST's body after it. A new parser, told
        only how that body is framed, reads the rest and the requests after it. Returns what is left
        where one of those asks, too.
        """
        request = self.request
        self._upgrading = False
        if request is None:
            return None
        self._parser, self._resuming = HttpRequestParser(self), True
        framing = b"Transfer-Encoding: chunked"
        if not request.chunked:
            framing = b"Content-Length: %d" % request.length
        self._parse(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
        if not self._sink.open:
            return None
        self._since = self.silent = len(rest)
        return self._parse(rest)
