"""Request bodies, collected on the event loop: bounded in size, time, number and memory."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from riskpredictor_server.errors import Reply, problem
from riskpredictor_server.service import Service

LARGE_BYTES = 4096
"""From here on a body (about fifty records, half a millisecond of work) is a large one: it counts
against the memory of all bodies and waits for its turn. Smaller ones are bounded by their number,
so slow uploads never hold up single predictions."""
CLOSE = (("Connection", "close"),)
CLIENT_GONE = 499
"""Status in metrics for a client that left in the middle of its body; nobody reads that reply."""
_DRAIN_BYTES = 16_777_216
_DRAIN_SECONDS = 2.0


class BodyRefusedError(Exception):
    """The body was not taken; ``reply`` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Bodies:
    """Reads bodies, and knows which of them are still unfinished.

    A timer per request would cost more than a prediction, so :meth:`sweep` looks at all
    unfinished bodies from time to time instead.
    """

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        self._limit = settings.max_body_bytes
        self._seconds = settings.body_timeout
        self._most = settings.max_pending
        self._free = settings.max_pending_bytes
        self._drains = 0
        self._unfinished: dict[asyncio.Task[Any] | None, float] = {}
        """Deadlines."""

    async def read(self, headers: Any, protocol: Any, request_id: str) -> bytes:
        """The whole body of an RSGI request; raises BodyRefusedError.

        The caller must :meth:`release` it when it is answered.
        """
        length = headers.get("content-length")
        # Of unknown length is as much as may come, until it is there.
        size = self._limit if length is None else int(length)
        if size > self._limit:
            raise await self.refusal(self._too_large(request_id), headers, aiter(protocol))
        if len(self._unfinished) - self._drains >= self._most:
            busy = self._busy(request_id, "too many unfinished request bodies")
            raise await self.refusal(busy, headers, aiter(protocol))
        if size >= LARGE_BYTES:
            if size > self._free:
                busy = self._busy(request_id, "large bodies take all the memory meant for them")
                raise await self.refusal(busy, headers, aiter(protocol))
            self._free -= size
        task = asyncio.current_task()
        self._unfinished[task] = monotonic() + self._seconds
        body = b""
        try:
            if length is not None:
                body = await protocol()
            else:
                body = await self._chunks(headers, protocol, request_id)
        except asyncio.CancelledError:
            if task in self._unfinished:
                raise
            detail = f"the body did not arrive within {self._seconds:g} s"
            raise BodyRefusedError(problem(408, detail, request_id, headers=CLOSE)) from None
        except RuntimeError:
            # Granian's RSGIProtocolError: the connection ended or the chunks were malformed.
            gone = problem(400, "the body ended early", request_id, headers=CLOSE)
            raise BodyRefusedError(gone._replace(status=CLIENT_GONE)) from None
        finally:
            self._unfinished.pop(task, None)
            if size >= LARGE_BYTES:
                self._free += size
            self._hold(body)
        return body

    async def _chunks(self, headers: Any, protocol: Any, request_id: str) -> bytes:
        body, parts = bytearray(), aiter(protocol)
        while part := await _next(parts):
            body += part
            if len(body) > self._limit:
                body.clear()
                raise await self.refusal(self._too_large(request_id), headers, parts)
        return bytes(body)

    def _hold(self, body: bytes) -> None:
        if len(body) >= LARGE_BYTES:
            self._free -= len(body)

    def release(self, body: bytes) -> None:
        """Give back the memory of a body that :meth:`read` returned."""
        if len(body) >= LARGE_BYTES:
            self._free += len(body)

    async def refusal(self, reply: Reply, headers: Any, parts: Any) -> BodyRefusedError:
        """The error for a reply to a body that is not wanted, once the client has sent it.

        A connection that is closed with bytes unread is reset, and the reply is lost with it. So
        they are taken in and dropped, up to a limit of bytes, seconds and clients.
        """
        # Who asks first (Expect: 100-continue) has sent nothing yet.
        wanted = self._drains < self._most and "expect" not in headers
        if not wanted or not await self._drained(parts):
            reply = reply._replace(headers=(*reply.headers, *CLOSE))
        return BodyRefusedError(reply)

    async def _drained(self, parts: Any) -> bool:
        """Whether the body came to its end within the limits."""
        task, left = asyncio.current_task(), _DRAIN_BYTES
        self._drains += 1
        self._unfinished[task] = monotonic() + _DRAIN_SECONDS
        try:
            while part := await _next(parts):
                left -= len(part)
                if left < 0:
                    return False
        except asyncio.CancelledError:
            if task in self._unfinished:
                raise
            return False
        except RuntimeError:
            return False
        finally:
            self._drains -= 1
            self._unfinished.pop(task, None)
        return True

    def _too_large(self, request_id: str) -> Reply:
        detail = f"the body may have at most {self._limit} bytes"
        return problem(413, detail, request_id)

    def _busy(self, request_id: str, detail: str) -> Reply:
        return self._service.busy(request_id, f"overloaded: {detail}")

    def sweep(self) -> None:
        """End every body that has taken too long."""
        now = monotonic()
        for task, deadline in list(self._unfinished.items()):
            if task and deadline < now:
                del self._unfinished[task]
                task.cancel()


async def _next(parts: Any) -> bytes:
    """The next part of a body, b"" after the last. ``async for`` could begin only once."""
    try:
        return bytes(await anext(parts))
    except StopAsyncIteration:
        return b""
