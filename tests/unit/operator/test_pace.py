"""Specification of the pace at which autoscalers' events are read: in gulps, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from unit.operator.eventually import eventually

from riskpredictor_operator.runtime import pace
from riskpredictor_operator.runtime.pace import Pace


class Reader(asyncio.Protocol):
    """Counts what arrives, and how often it was woken for it."""

    def __init__(self) -> None:
        self.received = b""
        self.woken = 0
        self.pace: Pace | None = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.pace = Pace(transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.woken += 1
        assert self.pace is not None
        self.pace.rest()

    def connection_lost(self, _: Exception | None) -> None:
        self.lost.set()


@pytest.fixture
async def reader(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setattr(pace, "REST_SECONDS", 0.05)
    there: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda _, writer: there.set_result(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, protocol = await asyncio.get_running_loop().create_connection(
        Reader, "127.0.0.1", port
    )
    writer = await there
    yield protocol, writer
    transport.close()
    writer.close()
    server.close()


async def test_what_comes_while_it_rests_is_read_at_once(reader: Any) -> None:
    protocol, writer = reader
    for _ in range(20):
        writer.write(b"event\n")
        await asyncio.sleep(0.005)
    await eventually(lambda: len(protocol.received) >= 120)
    assert protocol.received == b"event\n" * 20
    assert protocol.woken <= 6, "the pauses of 5 ms lie within rests of 50 ms"


async def test_an_end_is_seen_although_it_rests(reader: Any) -> None:
    protocol, writer = reader
    writer.write(b"event\n")
    await eventually(lambda: protocol.received)
    writer.close()
    async with asyncio.timeout(5):
        await protocol.lost.wait()


async def test_a_connection_that_is_closed_is_left_alone(reader: Any) -> None:
    protocol, _ = reader
    protocol.pace.rest()
    protocol.pace._transport.close()
    protocol.pace.rest()
    await asyncio.sleep(0.1)
    protocol.pace.rest()
    assert protocol.received == b""
