"""One request and its response: the ``receive`` and ``send`` of an ASGI call."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected

from riskpredictor_server.api.problems import RefusedError
from riskpredictor_server.asgi import Message
from riskpredictor_server.http.heads import HttpError


class Cycle:
    """Collects the body of a request, and writes the response in one piece."""

    __slots__ = (
        "_connection", "_error", "_event", "_response_start", "answered", "body", "disconnected",
        "expects_continue", "keep_alive", "more_body", "scope",
    )  # fmt: skip

    def __init__(
        self, connection: HttpToolsProtocol, scope: Any, keep_alive: bool, expects_continue: bool
    ) -> None:
        self.scope = scope
        self.body = bytearray()
        """What has arrived of the body and was not received by the application yet."""
        self.more_body = True
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        """Whether the client waits for 100 Continue before it sends the body."""
        self.disconnected = self.answered = False
        self._connection = connection
        self._response_start: Message = {}
        self._error: HttpError | None = None
        """Why the rest of the body cannot be read."""
        self._event: asyncio.Event | None = None
        """Set when more of the body has arrived, or none will."""

    def wake(self) -> None:
        """Let a waiting :meth:`receive` go on."""
        if self._event:
            self._event.set()

    def disconnect(self) -> None:
        """Note that the client left, or will not send the rest of the body."""
        self.disconnected = True
        self.wake()

    def fail(self, status: int, detail: str) -> None:
        """End the body with an error; the connection is closed after the response."""
        self._error = status, detail
        self.more_body = self.keep_alive = False
        self.wake()

    async def receive(self) -> Message:
        """Return what has arrived of the body; only from the second call on, wait for more.

        Raises RefusedError if the body is malformed.
        """
        if self.more_body and not self.disconnected:
            await self._wait()
        if self.disconnected:
            return {"type": "http.disconnect"}
        if self._error:
            raise RefusedError(*self._error)
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def _wait(self) -> None:
        connection = self._connection
        if self.expects_continue:
            self.expects_continue = False
            connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.flow.resume_reading()
        if self._event is None:
            self._event = asyncio.Event()
        elif not self.body:
            await self._event.wait()
        self._event.clear()

    async def send(self, message: Message) -> None:
        """Write the response; return when the client has taken most of it.

        Raises ClientDisconnected if the client leaves before that.
        """
        if message["type"] == "http.response.start":
            self._response_start = message
            return
        connection = self._connection
        if self.disconnected:
            raise ClientDisconnected
        headers = self._response_start["headers"]
        parts = [STATUS_LINE[self._response_start["status"]]]
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
