"""One client connection: requests in, answers out in their order, and an end in good order.

What can be answered at once is answered inside the parser's callback, with one write. While an
answer takes longer, or is not read, the requests behind it wait: few, the rest unread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from time import monotonic
from typing import Any

from riskpredictor_server.api.problems import Reply
from riskpredictor_server.http.budget import DRAIN_BYTES
from riskpredictor_server.http.hub import Hub
from riskpredictor_server.http.inbound import Inbound, Outcome
from riskpredictor_server.http.request import Request

LINGER_SECONDS = 2.0
"""From the last answer until the connection is cut. To close one with bytes unread resets it, and
the answer can be lost with it (RFC 9112, 9.6)."""
MOST_WAITING = 32
"""Requests behind one that has no answer yet; the last of them ends the connection."""


class Connection(asyncio.BufferedProtocol):
    """The protocol of one accepted socket."""

    __slots__ = (
        "_answering", "_blocked", "_eof", "_held", "_hub", "_inbound", "_lingered", "_paused",
        "_stuck", "_task", "_waiting", "crowded", "deadline", "open", "transport",
    )  # fmt: skip

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._inbound = Inbound(hub, self)
        self.transport: Any = None
        self.open = True
        """Whether what arrives is read as requests."""
        self.crowded = False
        """Whether it is one beyond the limit."""
        self.deadline = inf
        """When :meth:`expire` is due."""
        self._task: asyncio.Task[bytes] | None = None
        self._answering: Request | None = None
        """Of the task."""
        self._stuck = False
        """Whether the client leaves its answer unread."""
        self._blocked = False
        """Whether requests have to wait, because of one of the two."""
        self._held = 0
        self._waiting: deque[tuple[Request, Outcome]] = deque()
        self._paused = self._eof = False
        self._lingered = 0

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted."""
        self.transport = transport
        # One byte that the socket does not take stops the next request: one answer in memory.
        self.transport.set_write_buffer_limits(high=0)
        try:
            self.crowded, seconds = self._hub.join(self)
        except OverflowError:
            self.open = False
            self.transport.abort()
        else:
            self.deadline = monotonic() + seconds

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's guess
        """One buffer for all: the parser copies what it keeps."""
        return self._hub.narrow if self._inbound.request is None else self._hub.wide

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes arrived."""
        inbound = self._inbound
        if self.open:
            if self._blocked:
                # Not before more came: so a client that leaves meanwhile is noticed.
                self._paused = True
                self.transport.pause_reading()
            inbound.feed(self._hub.wide[:nbytes])
            # Most often nothing is left to do: what came is answered.
            if inbound.receiving:
                self._look()
        else:
            self._lingered += nbytes
            if self._lingered > DRAIN_BYTES:
                self.transport.abort()

    def eof_received(self) -> bool:
        """The client sends no more; True if it is still owed an answer."""
        self._eof = True
        self.open = False
        self._forget()
        return self._blocked

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The end, whoever wanted it."""
        self.open = False
        self._hub.leave(self)
        self._release_held()
        self._forget()
        self._inbound.detach()
        if self._task and self._answering:
            self._task.cancel()
            self._waiting.appendleft((self._answering, b""))
            self._answering = None
        for request, _ in self._waiting:
            self._hub.budget.release(request)
            self._hub.app.gone(request)
        self._waiting.clear()

    def pause_writing(self) -> None:
        """The client is slow to take an answer, which counts as memory meanwhile."""
        self._stuck = self._blocked = True
        self._held = self.transport.get_write_buffer_size()
        self._hub.budget.free -= self._held
        self.deadline = monotonic() + self._hub.limits.answer_timeout

    def resume_writing(self) -> None:
        """It took it."""
        self._stuck = False
        self._release_held()
        # Not from within: asyncio ends a connection twice that is closed in here.
        self._hub.loop.call_soon(self._advance)

    # The hub's calls

    def expire(self) -> None:
        """The deadline is over."""
        inbound = self._inbound
        self.deadline = inf
        if self._stuck or not self.open:
            self.transport.abort()
        elif inbound.receiving or inbound.fresh:
            inbound.late()
        else:
            self.transport.close()

    def retire(self) -> None:
        """The server leaves: close if nobody waits for anything."""
        if not (self._blocked or (self.open and self._inbound.receiving)):
            self.transport.close()

    @property
    def behind_unread(self) -> int:
        """Requests that wait because the client does not read the answer before."""
        return self._stuck * (len(self._waiting) + (self._inbound.request is not None))

    # In order

    def arrived(self, request: Request, outcome: Outcome) -> None:
        """A request is there: answer it, or have it wait for those before it."""
        if not self._blocked:
            self._serve(request, outcome)
            return
        self._waiting.append((request, outcome))
        if len(self._waiting) >= MOST_WAITING:
            request.keep_alive = False
        if not request.keep_alive:
            self.open = False

    def _serve(self, request: Request, outcome: Outcome) -> None:
        app = self._hub.app
        if isinstance(outcome, bytes):
            answer = app.answer(request, outcome)
            if not isinstance(answer, bytes):
                if not request.keep_alive:
                    self.open = False
                self._blocked, self.deadline = True, inf
                self._answering = request
                self._task = self._hub.loop.create_task(answer)
                self._task.add_done_callback(self._answered)
                return
        elif isinstance(outcome, Reply):
            answer = app.refuse(request, outcome)
        else:
            answer = app.fail(request, *outcome)
        self._send(request, answer)

    def _answered(self, task: asyncio.Task[bytes]) -> None:
        request, self._task, self._answering = self._answering, None, None
        if request is not None and not task.cancelled():
            self._send(request, task.result())
            self._advance()

    def _send(self, request: Request, data: bytes) -> None:
        if request.reserved:
            self._hub.budget.release(request)
        if request.keep_alive:
            self.deadline = self._hub.idle_end
            self.transport.write(data)
            return
        # The last one: say so, and take what the client still sends, so that it can read it.
        self.open = False
        incomplete = self._inbound.close()
        if incomplete:
            self._hub.app.drop(incomplete)
        for later, _ in self._waiting:
            self._hub.budget.release(later)
            self._hub.app.drop(later)
        self._waiting.clear()
        self.deadline = monotonic() + LINGER_SECONDS
        self.transport.write(data)
        if self._eof:
            self.transport.close()
        elif not self._stuck:
            self._half_close()

    def _advance(self) -> None:
        """Nothing is in the way any more: go on with what waited."""
        while self._waiting and not (self._task or self._stuck):
            self._serve(*self._waiting.popleft())
        if self._task or self._stuck:
            return
        self._blocked = False
        if self._eof:
            self.transport.close()
            return
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        if self.open:
            self.deadline = self._hub.idle_end
            self._inbound.timed = False
            self._look()
        else:
            self.deadline = monotonic() + LINGER_SECONDS
            self._half_close()

    def _half_close(self) -> None:
        try:
            self.transport.write_eof()
        except OSError:
            # The client reset it, which asyncio has yet to notice.
            self.transport.abort()

    def _look(self) -> None:
        """Something is incomplete: it has its time, from when its client can send the rest."""
        if self.open and self._inbound.receiving and not self._blocked:
            seconds = self._inbound.seconds()
            if seconds:
                self.deadline = monotonic() + seconds

    def _forget(self) -> None:
        """Of the request that is not complete."""
        request = self._inbound.close()
        if request:
            self._hub.app.gone(request)

    def _release_held(self) -> None:
        self._hub.budget.free += self._held
        self._held = 0
