"""Specification of /healthz, /readyz and /metrics."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from unit.operator.builders import KEY

from riskpredictor_operator import metrics
from riskpredictor_operator.runtime.probes import ProbeServer


async def test_health_readiness_and_metrics() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ProbeServer("127.0.0.1", port)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            for path, text in (
                ("/healthz", "ok\n"), ("/readyz", "ok\n"),
                ("/metrics", "riskpredictor_operator_queue_depth"),
            ):  # fmt: skip
                async with session.get(path) as response:
                    assert response.status == 200
                    assert text in await response.text()
    finally:
        await server.stop()


async def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = ProbeServer("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await server.start()
        await server.stop()


def test_a_predictor_that_is_gone_is_no_longer_reported() -> None:
    metrics.READY.labels("shop", "risk").set(1)
    metrics.forget_predictor(KEY)
    metrics.forget_predictor(KEY)
    assert ("shop", "risk") not in metrics.READY._metrics
