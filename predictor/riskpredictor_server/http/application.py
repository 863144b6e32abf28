"""What a connection needs of the application behind it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from riskpredictor_server.api.problems import Reply
from riskpredictor_server.http.request import Request


class Application(Protocol):
    """Each request that is begun ends by exactly one of the other calls.

    What they return is the whole answer as bytes. An application that wants the connection closed
    after it sets ``request.keep_alive`` to False.
    """

    def begin(self, request: Request) -> Reply | None:
        """A head is complete: give it an id, and refuse it or take its body."""
        ...

    def answer(self, request: Request, body: bytes) -> bytes | Coroutine[Any, Any, bytes]:
        """At once, or later. Never raises."""
        ...

    def refuse(self, request: Request, reply: Reply) -> bytes:
        """The answer with this reply instead."""
        ...

    def fail(self, request: Request, status: int, detail: str) -> bytes:
        """The answer to a request whose body went wrong, or which never was one."""
        ...

    def gone(self, request: Request) -> None:
        """The client left before its answer."""
        ...

    def drop(self, request: Request) -> None:
        """It will not be answered: it came after the last one that its connection answers."""
        ...
