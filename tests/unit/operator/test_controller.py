"""Specification of the end: an order to stop is obeyed in every phase, a death is noticed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from unit.operator.eventually import eventually
from unit.operator.fake_cluster import FakeCluster

from riskpredictor_operator import program
from riskpredictor_operator.controller import Controller
from riskpredictor_operator.core import api
from riskpredictor_operator.kube import ApiError
from riskpredictor_operator.runtime.stopping import SIGNALS, StopSignals, run_unless_stopped
from riskpredictor_operator.settings import Settings

DOWN = ApiError(0, "Unreachable", "connection refused")


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    """Handlers of the signals, until the test ends."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signals = StopSignals()
    signals.install()
    yield signals
    for number, handler in before.items():
        signal.signal(number, handler)


class Unreachable:
    """A transport without an API server at the other end."""

    def __init__(self) -> None:
        self.calls = 0

    async def call(self, *_: Any, **__: Any) -> Any:
        self.calls += 1
        raise DOWN

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("election", [True, False], ids=["elected", "alone"])
async def test_while_it_waits_for_the_api_server(
    monkeypatch: pytest.MonkeyPatch, signals: StopSignals, election: bool
) -> None:
    transport = Unreachable()

    async def connect(*_: object) -> Unreachable:
        return transport

    monkeypatch.setattr(program, "connect", connect)
    settings = Settings(leader_election=election, http_port=0)
    running = asyncio.create_task(program.run(settings, signals))
    await eventually(lambda: transport.calls)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(15):
        assert await running == 0


STUCK = """
import asyncio, logging
from riskpredictor_operator.runtime.stopping import StopSignals
logging.basicConfig()
signals = StopSignals()
signals.install()
async def run():
    stop = signals.event()
    print("begun", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    await asyncio.sleep(60)
asyncio.run(run())
"""


def test_the_third_signal_ends_a_process_that_hangs() -> None:
    command = [sys.executable, "-c", STUCK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"stopping\n"
        process.send_signal(signal.SIGTERM)
        assert b"already stopping; a third signal ends" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 1
        assert process.stderr.read() == b"ended at once by SIGTERM\n"


async def test_while_the_first_list_fails() -> None:
    cluster, stop = FakeCluster(), asyncio.Event()
    cluster.fail("list", api.RISKPREDICTOR, DOWN, times=1000)
    released: list[str] = []

    async def forever() -> None:
        await asyncio.Event().wait()

    async def release() -> None:
        released.append("lease")

    controller = Controller(cluster, Settings(), stop)
    running = asyncio.create_task(controller.run(forever, release))
    await eventually(lambda: cluster.calls)
    stop.set()
    async with asyncio.timeout(15):
        assert await running == ""
    assert released == ["lease"]


async def test_work_that_is_done_counts_although_told_to_stop_at_the_same_time() -> None:
    stop = asyncio.Event()

    async def work() -> None:
        stop.set()

    assert await run_unless_stopped(stop, work())


async def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise DOWN

    with pytest.raises(ApiError, match="refused"):
        await run_unless_stopped(asyncio.Event(), work())
