"""Specification of the server of probes and metrics; tests/contract asks it for each path."""

from __future__ import annotations

import socket

import pytest
from unit.operator.builders import KEY

from riskpredictor_operator import metrics
from riskpredictor_operator.runtime.probes import ProbeServer


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
