"""The listening socket."""

from __future__ import annotations

import asyncio
import socket

from riskpredictor_server.http.connection import Connection
from riskpredictor_server.http.hub import Hub

BACKLOG = 1024
_UNSENT_BYTES = 131_072
"""Of an answer, in the kernel, beyond what the client's window takes: its memory is the pod's too.
Connections inherit it."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that has its address, and does not listen yet; raises OSError if it is taken.

    ``::`` means every address, those of IPv4 too.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


async def serve(hub: Hub, sock: socket.socket) -> asyncio.Server:
    """Accept connections. asyncio sets TCP_NODELAY on each."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(hub), sock=sock, backlog=BACKLOG)
