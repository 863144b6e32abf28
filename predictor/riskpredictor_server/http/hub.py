"""What the connections of one server share: application, limits, buffer, clock, their number."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Any, Protocol

from riskpredictor_server.http.application import Application
from riskpredictor_server.http.budget import Budget
from riskpredictor_server.http.rules import HEAD_BYTES

log = logging.getLogger("riskpredictor")

_WIDE = 65_536
"""Bytes of a body that are read at once. Elsewhere it is a head's worth: a client that sends many
requests at once has few of them in memory."""
_SWEEP_SECONDS = 0.25
_SPARE = 128
"""Connections beyond the limit, for probes and to tell the others why."""
_CROWDED_SECONDS = 2.0
"""For one of those to ask for something."""


class Limits(Protocol):
    """Seconds, and the number of connections; settings.py has what they are."""

    @property
    def head_timeout(self) -> float: ...

    @property
    def body_timeout(self) -> float: ...

    @property
    def answer_timeout(self) -> float: ...

    @property
    def idle_timeout(self) -> float: ...

    @property
    def max_connections(self) -> int: ...


class Member(Protocol):
    """What the hub asks of a connection."""

    deadline: float
    """When :meth:`expire` is due."""
    transport: Any

    @property
    def behind_unread(self) -> int:
        """Requests that wait because the client does not read the answer before."""
        ...

    def expire(self) -> None:
        """The deadline is over."""
        ...

    def retire(self) -> None:
        """The server leaves."""
        ...


class Hub:
    """Made once a server, on its loop."""

    def __init__(self, app: Application, budget: Budget, limits: Limits) -> None:
        self.app = app
        self.budget = budget
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.idle_end = monotonic() + limits.idle_timeout
        """Deadline of who becomes idle now. :meth:`sweep` sets it: to look at the clock for each
        answer would cost."""
        self.wide = memoryview(bytearray(_WIDE))
        self.narrow = self.wide[:HEAD_BYTES]
        self._connections: set[Member] = set()
        self._empty = asyncio.Event()

    def join(self, connection: Member) -> tuple[bool, float]:
        """Count a new one: whether it is one too many, and seconds for its first head.

        Raises OverflowError if there is no room at all.
        """
        number = len(self._connections)
        if number >= self.limits.max_connections + _SPARE:
            raise OverflowError
        self._connections.add(connection)
        if number >= self.limits.max_connections:
            return True, min(_CROWDED_SECONDS, self.limits.head_timeout)
        return False, self.limits.head_timeout

    def leave(self, connection: Member) -> None:
        """One ended."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def behind_unread(self) -> int:
        """Requests that wait for their client to read the answer before."""
        return sum(each.behind_unread for each in self._connections)

    def sweep(self) -> None:
        """Tell every connection whose time is over. A timer for each would cost more."""
        now = monotonic()
        self.idle_end = now + self.limits.idle_timeout
        late = [each for each in self._connections if each.deadline < now]
        for connection in late:
            try:
                connection.expire()
            except Exception:
                # One connection must not end the watch over all.
                log.exception("a connection could not be ended in order")
                connection.transport.abort()

    async def watch(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.sweep()

    async def close(self, seconds: float) -> int:
        """End idle connections at once, wait for the others; returns how many are left."""
        for connection in list(self._connections):
            connection.retire()
        self._empty.clear()
        if self._connections:
            try:
                await asyncio.wait_for(self._empty.wait(), seconds)
            except TimeoutError:
                return len(self._connections)
        return 0
