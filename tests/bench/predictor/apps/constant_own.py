"""The product's connection answering a constant: the best that the product's code can reach."""

from __future__ import annotations

import asyncio
import os

from riskpredictor_server.api.problems import Reply
from riskpredictor_server.http.budget import Budget
from riskpredictor_server.http.hub import Hub
from riskpredictor_server.http.listener import bind, serve
from riskpredictor_server.http.request import Request
from riskpredictor_server.http.wire import Wire
from riskpredictor_server.settings import Settings

ANSWER = Reply(200, "application/json", b'{"risk_level":"Low"}')


class Constant:
    """An http.application.Application."""

    def __init__(self) -> None:
        self.wire = Wire(())

    def begin(self, _request: Request) -> Reply | None:
        return None

    def answer(self, request: Request, _body: bytes) -> bytes:
        return self.wire.reply(ANSWER, "1", close=not request.keep_alive)

    def refuse(self, request: Request, reply: Reply) -> bytes:
        return self.wire.reply(reply, "1", close=not request.keep_alive)

    def fail(self, _request: Request, status: int, detail: str) -> bytes:
        return self.wire.reply(Reply(status, "text/plain", detail.encode()), "1", close=True)

    def gone(self, _request: Request) -> None: ...

    def drop(self, _request: Request) -> None: ...


async def main() -> None:
    hub = Hub(Constant(), Budget(1 << 20, 1 << 25, 512), Settings())
    await serve(hub, bind("127.0.0.1", int(os.environ["PORT"])))
    await hub.watch()


if __name__ == "__main__":
    asyncio.run(main())
