"""A connection that is read in gulps.

Autoscalers tell their metrics every 15 seconds each, which is dozens of events a second that change
nothing. To wake up for one costs four times what it takes to read it.
"""

from __future__ import annotations

import asyncio

REST_SECONDS = 0.1
"""How long a connection is left alone: the most by which it makes news late."""


class Pace:
    """Lets one connection rest after what could have waited."""

    def __init__(self, transport: asyncio.ReadTransport) -> None:
        self._transport = transport
        self._waking: asyncio.TimerHandle | None = None

    def rest(self) -> None:
        """Read nothing for a while; what comes meanwhile is read at once then."""
        if self._waking is not None or self._transport.is_closing():
            return
        self._transport.pause_reading()
        loop = asyncio.get_running_loop()
        self._waking = loop.call_later(REST_SECONDS, self._wake)

    def _wake(self) -> None:
        self._waking = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
