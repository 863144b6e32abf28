"""One request and its answer, as the ASGI application is called with them."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected

from riskpredictor_server.admission import RefusedError
from riskpredictor_server.asgi import Message
from riskpredictor_server.http.heads import Fault


class Cycle:
    """Collects a body, and writes an answer at once."""

    __slots__ = (
        "_connection", "_start", "answered", "body", "disconnected", "event", "expects", "fault",
        "keep_alive", "more_body", "scope",
    )  # fmt: skip

    def __init__(
        self, connection: HttpToolsProtocol, scope: Any, keep_alive: bool, expects: bool
    ) -> None:
        self._connection = connection
        self._start: Message = {}
        self.scope = scope
        self.body = bytearray()
        self.more_body = True
        self.keep_alive = keep_alive
        self.expects = expects
        """Whether the client waits for 100 Continue before it sends the body."""
        self.event: asyncio.Event | None = None
        """Set when more of the body has come, or nothing will."""
        self.fault: Fault | None = None
        """What went wrong in the body."""
        self.disconnected = self.answered = False

    def wake(self) -> None:
        """Something came."""
        if self.event:
            self.event.set()

    async def receive(self) -> Message:
        """All that has come of the body; waits if that is nothing new.

        Raises RefusedError if the body is damaged.
        """
        if self.more_body and not self.disconnected:
            connection = self._connection
            if self.expects:
                self.expects = False
                connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.flow.resume_reading()
            if self.event is None:
                # The first time: tell at once how much there is.
                self.event = asyncio.Event()
            elif not self.body:
                await self.event.wait()
            self.event.clear()
            if self.fault:
                raise RefusedError(*self.fault)
        if self.disconnected:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        """Returns when the client took the answer; raises ClientDisconnected if it does not."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        connection = self._connection
        if self.disconnected:
            raise ClientDisconnected
        headers = self._start["headers"]
        parts = [STATUS_LINE[self._start["status"]]]
        for name, value in (*connection.server_state.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        if (b"connection", b"close") in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", b"" if self.scope["method"] == "HEAD" else message["body"])
        connection.transport.write(b"".join(parts))
        if connection.flow.write_paused:
            await connection.flow.drain()
            if self.disconnected:
                raise ClientDisconnected
        self.answered = True
        connection.on_response_complete()
