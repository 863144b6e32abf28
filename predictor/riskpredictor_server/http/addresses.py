"""Addresses: which ones to listen on, in IPv4 and IPv6, and how to write them."""

from __future__ import annotations

import errno
import logging
import os
import socket
from typing import Any

log = logging.getLogger("riskpredictor")

_EVERY_ADDRESS = "::"
_SPELLED_OUT = {_EVERY_ADDRESS: ("::", "0.0.0.0"), "localhost": ("127.0.0.1", "::1")}  # noqa: S104
"""Hosts that mean both families, and need no look-up."""
_UNSENT_BYTES = 131_072
"""Most unsent bytes that the kernel buffers for a connection: they count against the pod's memory.
Connections inherit it from the listening socket."""
_HOST_FIX = "set --host (RISKPREDICTOR_HOST) to an address of this machine, or to :: for all of it"
_PORT_FIX = "set --port (RISKPREDICTOR_PORT) to another one"
_FIXES = {
    errno.EADDRINUSE: f"another process has the port; {_PORT_FIX}",
    errno.EACCES: f"{_PORT_FIX}, of 1024 or more",
}


class ListenError(Exception):
    """Raised if there is no address to listen on; the message says why, and what to set."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Return bound sockets that do not listen yet, one for each address of ``host``.

    ``::`` stands for every address of both families. What this machine does not have, such as a
    whole family, is left out if there is anything else. Raises ListenError.
    """
    sockets: list[socket.socket] = []
    left_out: list[ListenError] = []
    for name in _SPELLED_OUT.get(host, (host,)):
        if sockets and host == _EVERY_ADDRESS:
            # It has the addresses of IPv4 too.
            break
        try:
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            left_out.append(ListenError(f"cannot listen on {name}: {error}; {_HOST_FIX}"))
            continue
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            try:
                sockets.append(_bound_socket(family, address))
            except OSError as error:
                left_out.append(_listen_error(address, error))
                if error.errno == errno.EADDRINUSE:
                    _close(sockets)
                    raise left_out[-1] from None
    if not sockets:
        raise left_out[0]
    for reason in left_out:
        log.info("%s", str(reason).partition(";")[0])
    return sockets


def url(sock: socket.socket) -> str:
    """Return the URL of a listening socket."""
    return f"http://{_with_port(sock.getsockname())}"


def as_ipv4(address: str) -> str:
    """Return the IPv4 address that an IPv6 socket writes as ::ffff:192.0.2.1, or what is given."""
    rest = address.removeprefix("::ffff:")
    return address if ":" in rest else rest


def _with_port(address: Any) -> str:
    host = as_ipv4(address[0])
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


def _listen_error(address: Any, error: OSError) -> ListenError:
    fix = _FIXES.get(error.errno or 0, _HOST_FIX)
    return ListenError(f"cannot listen on {_with_port(address)}: {error.strerror}; {fix}")


def _bound_socket(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            # So that a restart need not wait for old connections; on Windows it would allow two
            # servers on one port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family != socket.AF_INET:
            # Whatever net.ipv6.bindv6only says.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()
