"""Serve a model: ``python -m riskpredictor_server --help``."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from typing import NoReturn

from riskpredictor_server.api.service import Service
from riskpredictor_server.front import Front
from riskpredictor_server.http.hub import Hub
from riskpredictor_server.http.listener import bind, serve
from riskpredictor_server.logs import complain, configure
from riskpredictor_server.settings import Settings, SettingsError, parse

log = logging.getLogger("riskpredictor")

_QUIET = 0.5
"""Seconds without a request after which a draining server believes that its clients left."""
_CLOSE_SECONDS = 3.0
"""Longest wait for connections to end once nothing is accepted any more: after 5 s in which a pod
waits for its end to be known and 20 s of drain, still within the 30 s that Kubernetes grants."""


def main(argv: list[str] | None = None) -> int:
    """Command line. Returns 2 for a wrong setting, 1 if it cannot listen; serving never returns."""
    try:
        settings = parse(sys.argv[1:] if argv is None else argv)
    except SettingsError as error:
        complain(str(error), error.log_format)
        return 2
    configure(settings)
    # A connection is a file. Out of files, nobody gets in, probes neither.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        sock = bind(settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        complain(f"cannot listen on {where}: {error}", settings.log_format)
        return 1
    asyncio.run(_serve(settings, sock))
    return 0


async def _serve(settings: Settings, sock: socket.socket) -> None:
    front = Front(Service(settings))
    hub = Hub(front, front.budget, settings)
    # What is loaded by now stays; and requests leave no cycles, so look for some rarely.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _signalled, number, front, stopping)
    tasks = [asyncio.create_task(front.watch()), asyncio.create_task(hub.watch())]
    server = await serve(hub, sock)
    log.info("listening on http://%s:%d", settings.host, settings.port)
    draining = asyncio.create_task(_drain(front, hub, stopping))
    # The other two end only by an error, which then ends the process.
    done, _ = await asyncio.wait({draining, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    server.close()
    left = await hub.close(_CLOSE_SECONDS)
    if left:
        # Half a request, or an answer that its client does not read.
        log.warning("connections are still open after %g s, leaving them", _CLOSE_SECONDS)
    log.info("stopped")
    _leave(front, 0)


def _signalled(number: int, front: Front, stopping: asyncio.Event) -> None:
    """The first signal asks to drain, a second one is meant."""
    if stopping.is_set():
        log.warning("signal %d again, leaving at once", number)
        _leave(front, 128 + number)
    stopping.set()


def _leave(front: Front, code: int) -> NoReturn:
    """End the process without a look back.

    A normal exit waits for the threads of the pages, and one of those may wait for ever: to write
    to a log that nobody reads, say.
    """
    front.service.close()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


async def _drain(front: Front, hub: Hub, stopping: asyncio.Event) -> None:
    """After SIGTERM: answer whoever still asks, sending each away, until nobody does."""
    await stopping.wait()
    service = front.service
    service.draining = True
    log.info("draining: %d in flight", service.metrics.in_flight)
    deadline = time.monotonic() + service.settings.drain_seconds
    answered = -1
    while time.monotonic() < deadline:
        if answered == front.answered and service.metrics.in_flight <= hub.behind_unread():
            break
        answered = front.answered
        await asyncio.sleep(min(_QUIET, service.settings.drain_seconds))


if __name__ == "__main__":
    sys.exit(main())
