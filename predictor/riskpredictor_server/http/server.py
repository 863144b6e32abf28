"""uvicorn's server: watches deadlines and lag, and leaves in good order."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Iterable
from time import monotonic
from types import FrameType
from typing import Any, NoReturn, cast

import uvicorn

from riskpredictor_server.asgi import Application
from riskpredictor_server.http.protocol import SPARE_CONNECTIONS, Connection

log = logging.getLogger("riskpredictor")

BACKLOG = 1024
_TICK = 0.1
"""Seconds between two calls of uvicorn's on_tick."""
_QUIET = 0.5
"""Seconds without a request after which a draining server believes that its clients left."""
_CLOSE_SECONDS = 3.0
"""Longest wait for connections to end once nothing is accepted any more: after 5 s in which a pod
waits for its end to be known and 20 s of drain, still within the 30 s that Kubernetes grants."""
_UNSENT_BYTES = 131_072
"""Of an answer, in the kernel, beyond what the client's window takes: its memory is the pod's too.
Connections inherit it."""
_OWN_FILES = 64
"""Descriptors for everything but connections."""
_MANY_FILES = (65_536, 10_240)
"""Asked for where there is no hard limit; macOS grants the second at most."""
_REPEAT_SECONDS = 10.0
"""Between two log lines that say that descriptors ran out."""


class Server(uvicorn.Server):
    """Serves one Application."""

    def __init__(self, app: Application) -> None:
        super().__init__(
            uvicorn.Config(
                cast(Any, app),
                http=Connection,
                loop="asyncio",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
            )
        )
        self.app = app
        self._due = monotonic()
        self._drain_end = self._quiet_since = 0.0
        self._answered = -1
        self._out_of_files_told = -_REPEAT_SECONDS

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        asyncio.get_running_loop().set_exception_handler(self._loop_error)
        await super().startup(sockets)
        settings = self.app.service.settings
        log.info("listening on http://%s:%d", settings.host, settings.port)
        self._due = monotonic() + _TICK

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: measure lag, end connections that are late; True to stop."""
        now = monotonic()
        self.app.admission.lag = max(0.0, now - self._due)
        for connection in [each for each in self._connections if each.deadline < now]:
            try:
                connection.expire()
            except Exception:
                # One connection must not end the watch over all.
                log.exception("a connection could not be ended in order")
                connection.transport.abort()
        stop = await super().on_tick(counter)
        self._due = monotonic() + _TICK
        return stop or (self.app.service.draining and self._is_drained(now))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """The first signal asks to drain, a second one is meant."""
        service = self.app.service
        if service.draining:
            log.warning("signal %d again, leaving at once", sig)
            self.leave(128 + sig)
        service.draining = True
        log.info("draining: %d in flight", service.metrics.in_flight)
        self._quiet_since = monotonic()
        self._drain_end = self._quiet_since + service.settings.drain_seconds

    def _is_drained(self, now: float) -> bool:
        """Whether nobody asked for anything for a while; each was sent away with its answer."""
        unread = sum(each.is_unread for each in self._connections)
        if self.app.answered != self._answered or self.app.service.metrics.in_flight > unread:
            self._answered, self._quiet_since = self.app.answered, now
        return now >= min(self._quiet_since + _QUIET, self._drain_end)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End idle connections at once, and wait for the others a little."""
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        for connection in self._connections:
            connection.shutdown()
        end = monotonic() + _CLOSE_SECONDS
        while self._connections and monotonic() < end:  # noqa: ASYNC110 - uvicorn's set tells nobody
            await asyncio.sleep(_TICK / 2)
        if self._connections:
            # Half a request, or an answer that its client does not read.
            log.warning("connections are still open after %g s, leaving them", _CLOSE_SECONDS)
        log.info("stopped")

    def leave(self, code: int) -> NoReturn:
        """End the process without a look back.

        A normal exit waits for the thread of the pages, and that may wait for ever: to write to a
        log that nobody reads, say.
        """
        self.app.service.close()
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)

    @property
    def _connections(self) -> list[Connection]:
        return cast(list[Connection], list(self.server_state.connections))

    def _loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """asyncio tells for each connection, with a traceback, that descriptors ran out."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
            loop.default_exception_handler(context)
        elif monotonic() > self._out_of_files_told + _REPEAT_SECONDS:
            self._out_of_files_told = monotonic()
            log.error("out of file descriptors: new connections wait; raise the limit (ulimit -n)")


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


def connection_limit(wanted: int) -> int:
    """Raise the limit of open files as far as allowed; returns how many connections fit, at most
    ``wanted``.

    A connection is a file. Out of files, nobody gets in, probes neither.
    """
    try:
        import resource
    except ImportError:
        # Windows has no such limit.
        return wanted
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in _candidates(most, resource.RLIM_INFINITY):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, most))
        except (ValueError, OSError):
            continue
        files = number
        break
    return max(1, min(wanted, files - SPARE_CONNECTIONS - _OWN_FILES))


def _candidates(most: int, unlimited: int) -> Iterable[int]:
    return _MANY_FILES if most == unlimited else (most,)
