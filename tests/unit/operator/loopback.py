"""The operator's real client against a small HTTP server on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from riskpredictor_operator.runtime.client import KubernetesCluster
from riskpredictor_operator.runtime.transport import transport_to


@asynccontextmanager
async def connected_to(handler: Any, patience: float = 0.0) -> AsyncIterator[KubernetesCluster]:
    """A cluster whose API server is ``handler``, an aiohttp request handler."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    cluster = KubernetesCluster(
        transport_to(configuration, request_seconds=10.0, patience=patience)
    )
    yield cluster
    await cluster.close()
    await runner.cleanup()
