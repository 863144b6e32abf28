"""The product's server answering a constant: the best that the product's code can reach."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from granian.constants import HTTPModes
from granian.server.embed import Server

ANSWER = b'{"risk_level":"Low"}'
HEADERS = [("Content-Type", "application/json")]


async def app(_scope: Any, protocol: Any) -> None:
    await protocol()
    protocol.response_bytes(200, HEADERS, ANSWER)


async def main() -> None:
    server = Server(
        app, port=int(os.environ["PORT"]), http=HTTPModes.http1, websockets=False, log_enabled=False
    )
    await server.serve()


if __name__ == "__main__":
    asyncio.run(main())
