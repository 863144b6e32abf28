"""A load generator that times each answer with its status, which wrk does not."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict

BROKEN = 0
"""Status of a connection that failed."""


def crowd(port: int, path: str, body: bytes, users: int, seconds: float) -> dict[int, list[float]]:
    """Send requests in a closed loop per user; return the seconds of each answer by status."""
    return asyncio.run(_crowd(port, path, body, users, seconds))


async def _crowd(
    port: int, path: str, body: bytes, users: int, seconds: float
) -> dict[int, list[float]]:
    took: dict[int, list[float]] = defaultdict(list)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    end = time.monotonic() + seconds
    await asyncio.gather(*(_user(port, request, end, took) for _ in range(users)))
    return took


async def _user(port: int, request: bytes, end: float, took: dict[int, list[float]]) -> None:
    while time.monotonic() < end:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while time.monotonic() < end:
                    begun = time.monotonic()
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = re.search(rb"(?i)content-length: (\d+)", head)
                    await reader.readexactly(int(length[1]) if length else 0)
                    took[int(head[9:12])].append(time.monotonic() - begun)
                    if b"connection: close" in head.lower():
                        break
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError):
            took[BROKEN].append(0.0)
            await asyncio.sleep(0.05)


def percentile(values: list[float], share: float) -> float:
    """Return a percentile, NaN for no values."""
    ranked = sorted(values)
    return ranked[min(int(share * len(ranked)), len(ranked) - 1)] if ranked else float("nan")
