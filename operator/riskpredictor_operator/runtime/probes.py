"""HTTP for probes and Prometheus: /healthz, /readyz and /metrics.

kopf's own liveness endpoint exists only while kopf runs, that is on the leader, and its answers are
ten seconds old; standbys need probes too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from riskpredictor_operator import metrics

Check = Callable[[], str | None]
"""None when all is well, else what is wrong."""

LAG_INTERVAL_SECONDS = 1.0


class ProbeServer:
    """Serves on one port until stopped."""

    def __init__(self, host: str, port: int, healthy: Check, ready: Check) -> None:
        application = web.Application()
        application.add_routes(
            [
                web.get("/healthz", _probe(healthy)),
                web.get("/readyz", _probe(ready)),
                web.get("/metrics", _metrics),
            ]
        )
        self._address = (host, port)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        self._lag: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: the port is taken.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address).start()
        self._lag = asyncio.create_task(_measure_lag(), name="loop lag")

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        if self._lag is not None:
            self._lag.cancel()
        await self._runner.cleanup()


def _probe(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.Response:
        problem = check()
        return web.Response(status=503 if problem else 200, text=f"{problem or 'ok'}\n")

    return answer


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _measure_lag() -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_INTERVAL_SECONDS
        await asyncio.sleep(LAG_INTERVAL_SECONDS)
        metrics.LOOP_LAG.set(max(0.0, loop.time() - due))
