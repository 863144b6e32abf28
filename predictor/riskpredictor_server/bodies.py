"""Request bodies, collected on the event loop: bounded in size, time and number."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from riskpredictor_server.errors import Reply, problem
from riskpredictor_server.service import Service

CLOSE = (("Connection", "close"),)
CLIENT_GONE = 499
"""Status in metrics for a client that left in the middle of its body; nobody reads that reply."""


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
        self._unfinished: dict[asyncio.Task[Any] | None, float] = {}

    async def read(self, headers: Any, protocol: Any, request_id: str) -> bytes:
        """The whole body of an RSGI request; raises BodyRefusedError."""
        length = headers.get("content-length")
        if length is not None and int(length) > self._limit:
            raise self._too_large(request_id)
        if len(self._unfinished) >= self._most:
            detail = "overloaded: too many unfinished request bodies"
            raise BodyRefusedError(self._service.busy(request_id, detail))
        task = asyncio.current_task()
        self._unfinished[task] = monotonic()
        try:
            if length is not None:
                return await protocol()  # type: ignore[no-any-return]
            return await self._chunks(protocol, request_id)
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

    async def _chunks(self, protocol: Any, request_id: str) -> bytes:
        # Without a Content-Length the size is only known as it grows.
        parts, size = [], 0
        async for part in protocol:
            size += len(part)
            if size > self._limit:
                raise self._too_large(request_id)
            parts.append(part)
        return b"".join(parts)

    def _too_large(self, request_id: str) -> BodyRefusedError:
        detail = f"the body may have at most {self._limit} bytes"
        return BodyRefusedError(problem(413, detail, request_id, headers=CLOSE))

    def sweep(self) -> None:
        """End every body that has taken too long."""
        oldest = monotonic() - self._seconds
        for task, begun in list(self._unfinished.items()):
            if task and begun < oldest:
                del self._unfinished[task]
                task.cancel()
