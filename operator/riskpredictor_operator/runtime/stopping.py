"""Obeys SIGTERM and SIGINT from the first moment of the process to its last.

Handlers of the event loop would not do: they come with the loop and go with it, and a second signal
before or after would end the process with a traceback, or not at all where it is process 1 of a
container.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_AT_ONCE = 1


class StopSignals:
    """The first signal is an order to stop, the third one ends the process at once."""

    def __init__(self) -> None:
        self._received = 0
        self._stop: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def install(self) -> None:
        """Take the signals."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def ignore(self) -> None:
        """Ignore them from now on: the interpreter, as it ends, would restore what kills it."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def event(self) -> asyncio.Event:
        """An event of the running loop that the first signal sets."""
        self._stop = (asyncio.get_running_loop(), asyncio.Event())
        return self._stop[1]

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._received += 1
        if self._stop is None:
            # Nothing has begun, so there is nothing to end in order.
            os._exit(0)
        loop, stop = self._stop
        if self._received > 2:
            # Not by the logger, which may be writing a line at this moment.
            os.write(2, f"ended at once by {signal.Signals(number).name}\n".encode())
            os._exit(EXIT_AT_ONCE)
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set if self._received == 1 else _tell_of_the_third)


def _tell_of_the_third() -> None:
    logger.warning("already stopping; a third signal ends the process at once")


async def run_unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Await ``work``, but cancel it when ``stop`` is set before it is done.

    Returns:
        Whether the work was done. An error that it raises is raised here.
    """
    working = asyncio.create_task(work, name="work")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        await working
        return True
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
