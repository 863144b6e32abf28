"""Serve a model: ``python -m riskpredictor_server --help``."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from typing import NoReturn

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from riskpredictor_server.front import Front
from riskpredictor_server.logs import complain, configure
from riskpredictor_server.service import Service
from riskpredictor_server.settings import Settings, SettingsError, parse

log = logging.getLogger("riskpredictor")

_QUIET = 0.5
"""Seconds without a request after which a draining server believes that its clients left."""
_CLOSE_SECONDS = 3.0
"""Longest wait for connections to end once nothing is accepted any more: after 5 s in which a pod
waits for its end to be known and 20 s of drain, still within the 30 s that Kubernetes grants."""
_IDLE_MS = 75_000
"""Idle connections outlive the 60 s of common client and proxy pools, so that they close first."""

_BUFFER = 16_384
"""Bytes that each connection may buffer, and the longest head of a request."""


def main(argv: list[str] | None = None) -> int:
    """Command line. Returns 0 after a clean stop, 2 for a wrong setting, 1 if it cannot listen."""
    try:
        settings = parse(sys.argv[1:] if argv is None else argv)
    except SettingsError as error:
        complain(str(error), error.log_format)
        return 2
    configure(settings)
    try:
        _claim(settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        complain(f"cannot listen on {where}: {error}", settings.log_format)
        return 1
    asyncio.run(_serve(settings))
    return 0


def _claim(host: str, port: int) -> None:
    """Raise OSError if the address is bad or taken: granian itself would share a taken port."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


async def _serve(settings: Settings) -> None:
    front = Front(Service(settings))
    # What is loaded by now stays; and requests leave no cycles, so look for some rarely.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    server = Server(
        front,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_IDLE_MS, max_buffer_size=_BUFFER),
        websockets=False,
        backlog=1024,
        backpressure=settings.max_connections,
        log_enabled=False,
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _signalled, number, front, stopping)
    watching = asyncio.create_task(front.watch())
    serving = asyncio.create_task(server.serve())
    draining = asyncio.create_task(_drain(front, stopping))
    log.info("listening on http://%s:%d", settings.host, settings.port)
    await asyncio.wait({serving, draining}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({serving}, timeout=_CLOSE_SECONDS)
    if not serving.done():
        # Half a request, or an answer that its client does not read: granian would wait for ever.
        log.warning("connections are still open after %g s, leaving them", _CLOSE_SECONDS)
        _leave(front, 0)
    watching.cancel()
    draining.cancel()
    serving.result()
    log.info("stopped")
    _leave(front, 0)


def _signalled(number: int, front: Front, stopping: asyncio.Event) -> None:
    """The first signal asks to drain, a second one is meant."""
    if stopping.is_set():
        log.warning("signal %d again, leaving at once", number)
        _leave(front, 128 + number)
    stopping.set()


def _leave(front: Front, code: int) -> NoReturn:
    """End the process, whatever granian's threads wait for.

    Also after a clean stop: one that returns while the interpreter is taken down panics on stderr.
    """
    front.service.close()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


async def _drain(front: Front, stopping: asyncio.Event) -> None:
    """After SIGTERM: answer whoever still asks, sending each away, until nobody does."""
    await stopping.wait()
    service = front.service
    service.draining = True
    log.info("draining: %d in flight", service.metrics.in_flight)
    deadline = time.monotonic() + service.settings.drain_seconds
    answered = -1
    while time.monotonic() < deadline:
        if answered == front.answered and service.metrics.in_flight == 0:
            break
        answered = front.answered
        await asyncio.sleep(min(_QUIET, service.settings.drain_seconds))


if __name__ == "__main__":
    sys.exit(main())
