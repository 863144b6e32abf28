"""A small HTTP server on loopback, and the operator's real client connected to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from riskpredictor_operator.core import api
from riskpredictor_operator.runtime.client import Client
from riskpredictor_operator.runtime.login import fixed
from riskpredictor_operator.runtime.transport import transport_to


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[str]:
    """The URL at which ``handler``, an aiohttp request handler, answers."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@asynccontextmanager
async def connected_to(handler: Any, write_seconds: float = 0.0) -> AsyncIterator[Client]:
    """A client whose API server is ``handler``."""
    async with serving(handler) as url:
        configuration = Configuration()
        configuration.host = url
        transport = transport_to(fixed(configuration), "test", 10.0, write_seconds)
        client = Client(transport, api.FIELD_MANAGER)
        yield client
        await client.close()
