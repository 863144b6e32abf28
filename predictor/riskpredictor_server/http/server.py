"""uvicorn's server, which also watches deadlines and event loop lag, and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from time import monotonic
from types import FrameType
from typing import Any, NoReturn, cast

import uvicorn

from riskpredictor_server.asgi import Application
from riskpredictor_server.http.addresses import url
from riskpredictor_server.http.protocol import SPARE_CONNECTIONS, Connection

log = logging.getLogger("riskpredictor")

_TICK = 0.1
"""Seconds between two calls of uvicorn's on_tick."""
_QUIET = 0.5
"""Seconds without a request after which a draining server takes its clients to be gone."""
_CLOSE_SECONDS = 3.0
"""Longest wait for connections to close after the drain. With the 5 s of a pod's preStop hook, 20 s
of drain and a second each for two logs it stays within the 30 s that Kubernetes grants."""
_OWN_FILES = 64
"""File descriptors reserved for everything but connections."""
_FILES_IF_UNLIMITED = (65_536, 10_240)
"""Limits of open files to try where there is no hard limit; macOS grants the second at most."""
_REPEAT_SECONDS = 10.0
"""Least time between two log lines about a lack of file descriptors."""


class Server(uvicorn.Server):
    """Serves one Application on bound sockets."""

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
                backlog=1024,
            )
        )
        self.app = app
        self._next_tick = monotonic()
        self._drain_end = 0.0
        """When draining ends at the latest."""
        self._quiet_since = 0.0
        """When, while draining, a request was last seen."""
        self._answered_before = -1
        """Number of responses at the last tick while draining."""
        self._out_of_files_logged = -_REPEAT_SECONDS

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections."""
        asyncio.get_running_loop().set_exception_handler(self._loop_error)
        await super().startup(sockets)
        log.info("listening on %s", " and ".join(map(url, sockets or ())))
        self._next_tick = monotonic() + _TICK

    async def on_tick(self, counter: int) -> bool:
        """Measure lag and end connections past their deadline; return whether to stop.

        uvicorn calls this ten times a second.
        """
        now = monotonic()
        self.app.admission.lag = max(0.0, now - self._next_tick)
        for connection in [each for each in self._connections if each.deadline < now]:
            try:
                connection.expire()
            except Exception:
                # A bug in one connection must not stop the deadlines of all others.
                log.exception("a connection could not be ended in order")
                connection.transport.abort()
        stop = await super().on_tick(counter)
        self._next_tick = monotonic() + _TICK
        return stop or (self.app.service.draining and self._drain_is_complete(now))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Have the event loop handle a signal.

        Python calls this between any two operations of the main thread, also while it holds a lock
        that is needed to exit.
        """
        asyncio.get_running_loop().call_soon_threadsafe(self._handle_signal, sig)

    def _handle_signal(self, sig: int) -> None:
        """Drain on the first signal; exit on the second."""
        service = self.app.service
        if service.draining:
            log.warning("signal %d again, leaving at once", sig)
            self.exit_now(128 + sig)
        service.draining = True
        log.info("draining: %d in flight", service.metrics.in_flight)
        self._quiet_since = monotonic()
        self._drain_end = self._quiet_since + service.settings.drain_seconds

    def _drain_is_complete(self, now: float) -> bool:
        """Whether no request came for a while, or the time to drain is over.

        Each response asks its client to close the connection. Responses that clients leave unread
        do not count as requests in flight.
        """
        unread = sum(each.has_unread_response for each in self._connections)
        if (
            self.app.answered != self._answered_before
            or self.app.service.metrics.in_flight > unread
        ):
            self._answered_before, self._quiet_since = self.app.answered, now
        return now >= min(self._quiet_since + _QUIET, self._drain_end)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close idle connections at once, and wait a little for the others."""
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        for connection in self._connections:
            connection.shutdown()
        end = monotonic() + _CLOSE_SECONDS
        while self._connections and monotonic() < end:  # noqa: ASYNC110 - a plain set of uvicorn's
            await asyncio.sleep(_TICK / 2)
        if self._connections:
            # With half a request, or with a response that the client does not read.
            log.warning("connections are still open after %g s, leaving them", _CLOSE_SECONDS)
        log.info("stopped")

    def exit_now(self, code: int) -> NoReturn:
        """Write out the logs and exit without waiting for threads.

        A normal exit joins Flask's thread, which can hang for ever, for example while it writes to
        a log that nobody reads.
        """
        self.app.service.close()
        logging.shutdown()
        os._exit(code)

    @property
    def _connections(self) -> list[Connection]:
        return cast(list[Connection], list(self.server_state.connections))

    def _loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log a lack of file descriptors in one line.

        asyncio reports it for every waiting connection, each time with a traceback.
        """
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
            loop.default_exception_handler(context)
        elif monotonic() > self._out_of_files_logged + _REPEAT_SECONDS:
            self._out_of_files_logged = monotonic()
            log.error("out of file descriptors: new connections wait; raise the limit (ulimit -n)")


def connection_limit(wanted: int) -> int:
    """Raise the limit of open files, and return how many connections fit, at most ``wanted``.

    Without a free file descriptor no connection is accepted, not even that of a probe.
    """
    try:
        import resource
    except ImportError:
        # Windows has no such limit.
        return wanted
    files, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard_limit == resource.RLIM_INFINITY
    for candidate in _FILES_IF_UNLIMITED if unlimited else (hard_limit,):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (candidate, hard_limit))
            files = candidate
            break
    return max(1, min(wanted, files - SPARE_CONNECTIONS - _OWN_FILES))
