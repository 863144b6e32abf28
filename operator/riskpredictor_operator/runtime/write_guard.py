"""The last look at the lease: as the bytes of a write leave, not when it was decided.

In between lie a connection to be made and turns of the event loop. A process that is frozen there
(SIGSTOP) wakes up with the write in its hands, and another replica leads by then. After this look
there is only the kernel: what it cannot deliver, because the network is cut, it gives up before the
lease is over instead of delivering it minutes later (TCP_USER_TIMEOUT, RFC 5482).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextvars import ContextVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection

Guard = Callable[[], None]
"""Returns where a write may go on, raises ``LeadershipLostError`` where not."""


def no_guard() -> None:
    """For what anybody may send: reading, and the Lease itself."""


guard: ContextVar[Guard] = ContextVar("guard", default=no_guard)
"""Of the request that the present task is about to send."""


class FencedRequest(aiohttp.ClientRequest):
    """A request whose body, and with it its head, leaves only if the guard lets it."""

    patience = 0.0
    """Seconds that bytes may be under way unacknowledged; 0: as the kernel likes."""

    async def write_bytes(
        self,
        writer: AbstractStreamWriter,
        conn: Connection,
        content_length: int | None = None,
    ) -> None:
        """Ask the guard and write; a refusal is what the waiting caller is raised."""
        try:
            guard.get()()
        except Exception as error:
            # This runs in a task of its own. The head is still held back, to leave with the body.
            if conn.protocol is not None:
                conn.protocol.set_exception(error)
            return
        if self.patience and conn.transport is not None:
            sock = conn.transport.get_extra_info("socket")
            milliseconds = round(1000 * self.patience)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        await super().write_bytes(writer, conn, content_length)


def fenced(patience: float) -> type[FencedRequest]:
    """``FencedRequest`` with that ``patience``."""
    known = patience if hasattr(socket, "TCP_USER_TIMEOUT") else 0.0
    return type("FencedRequest", (FencedRequest,), {"patience": known})
