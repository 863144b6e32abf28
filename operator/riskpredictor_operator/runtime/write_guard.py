"""Checks the lease once more at the moment when the bytes of a write leave.

Between the decision to write and the write lie a connection to be made and turns of the event loop.
A process that is frozen there (SIGSTOP) would send its write on waking up, when another replica
leads. After this check only the kernel can delay a write. If the network is cut, the kernel gives
up before the lease is over, instead of delivering minutes later (TCP_USER_TIMEOUT, RFC 5482).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextvars import ContextVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection


class LeadershipLostError(RuntimeError):
    """A write was attempted after the lease ran out; another replica may be writing now."""


Guard = Callable[[], None]
"""Returns if a write may be sent, else raises ``LeadershipLostError``."""


def no_guard() -> None:
    """Allow what any replica may send: reads, and writes of the Lease."""


guard: ContextVar[Guard] = ContextVar("guard", default=no_guard)
"""The guard of the request that the current task is about to send."""


class GuardedRequest(aiohttp.ClientRequest):
    """A request of which nothing is sent unless the guard allows it."""

    unacknowledged_seconds = 0.0
    """How long sent bytes may stay unacknowledged; 0 leaves that to the kernel."""

    async def write_bytes(
        self,
        writer: AbstractStreamWriter,
        conn: Connection,
        content_length: int | None = None,
    ) -> None:
        """Ask the guard, then write. The guard's error reaches the caller of the request."""
        try:
            guard.get()()
        except Exception as error:
            # This runs in a task of its own. aiohttp sends the head only together with the body.
            if conn.protocol is not None:
                conn.protocol.set_exception(error)
            return
        if self.unacknowledged_seconds and conn.transport is not None:
            sock = conn.transport.get_extra_info("socket")
            milliseconds = round(1000 * self.unacknowledged_seconds)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        await super().write_bytes(writer, conn, content_length)


def guarded_request(unacknowledged_seconds: float) -> type[GuardedRequest]:
    """``GuardedRequest`` with that limit, where the platform has it."""
    seconds = unacknowledged_seconds if hasattr(socket, "TCP_USER_TIMEOUT") else 0.0
    return type("GuardedRequest", (GuardedRequest,), {"unacknowledged_seconds": seconds})
