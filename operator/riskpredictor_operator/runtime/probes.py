"""HTTP for probes and Prometheus: /healthz, /readyz and /metrics.

Not kopf's liveness endpoint: kopf runs only on the leader, and standbys have probes too. Both
probes check only that the event loop answers: a process whose work has ended exits by itself.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from riskpredictor_operator.runtime import metrics

logger = logging.getLogger(__name__)

LAG_INTERVAL_SECONDS = 1.0
EVERY_ADDRESS = "::"
"""The host that means every address of both IP families."""


class ProbeServer:
    """Serves on one port until stopped."""

    def __init__(self, host: str, port: int) -> None:
        application = web.Application()
        application.add_routes(
            [
                web.get("/healthz", _probe),
                web.get("/readyz", _probe),
                web.get("/metrics", _metrics),
            ]
        )
        self._address = (host, port)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        self._lag: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to listen; raises ``OSError`` if the port is taken."""
        await self._runner.setup()
        listening = _listen(*self._address)
        await web.SockSite(self._runner, listening).start()
        host, port, *_ = listening.getsockname()
        logger.info(
            "probes and metrics: http://%s", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        )
        self._lag = asyncio.create_task(_measure_lag(), name="loop lag")

    async def stop(self) -> None:
        """Stop listening and close open connections."""
        if self._lag is not None:
            self._lag.cancel()
        await self._runner.cleanup()


def _listen(host: str, port: int) -> socket.socket:
    """A socket on an address; on ``::`` for IPv4 as well, and for IPv4 alone without IPv6."""
    if ":" not in host:
        return socket.create_server((host, port))
    try:
        both = host == EVERY_ADDRESS and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=both)
    except OSError as error:
        if host != EVERY_ADDRESS or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
        return socket.create_server(("0.0.0.0", port))  # noqa: S104


async def _probe(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _measure_lag() -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_INTERVAL_SECONDS
        await asyncio.sleep(LAG_INTERVAL_SECONDS)
        metrics.LOOP_LAG.set(max(0.0, loop.time() - due))
