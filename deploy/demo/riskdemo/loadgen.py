"""Sends predictions from inside the cluster; runs as a script in a pod, so standard library only.

Closed loop: each user sends, waits for the answer, thinks, sends again. A connection is used for a
number of requests and then renewed, as browsers and proxies do, so that new pods get their share.
Prints one JSON object per second, and a last one with ``"done": true``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

REQUESTS_PER_CONNECTION = 20
SECONDS_PER_REQUEST = 10.0


@dataclass
class Window:
    """What happened since the last report. Latencies are milliseconds."""

    latencies: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    pods: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    def report(self, started: float, seconds: float) -> dict[str, Any]:
        """The window as plain data."""
        ordered = sorted(self.latencies)
        return {
            "second": round(time.monotonic() - started, 1),
            "ok": len(ordered),
            "failed": self.failures.total(),
            "failures": dict(self.failures),
            "per_second": round(len(ordered) / seconds, 1),
            "p50_ms": percentile(ordered, 0.50),
            "p99_ms": percentile(ordered, 0.99),
            "pods": dict(self.pods),
            "versions": dict(self.versions),
        }


def percentile(ordered: list[float], share: float) -> float:
    """Nearest-rank percentile of ascending values; 0 for none."""
    if not ordered:
        return 0.0
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


def patient(rng: random.Random) -> bytes:
    """A plausible patient, as a request body."""
    record = {
        "heart_rate": rng.randint(50, 130),
        "blood_pressure": rng.randint(90, 170),
        "temperature": round(rng.uniform(96.5, 103.0), 1),
        "oxygen_level": rng.randint(88, 100),
    }
    return json.dumps(record).encode()


class User:
    """One simulated user with a connection of its own."""

    def __init__(self, url: str, think: float, rng: random.Random) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = f"POST /predict HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        self._think = think
        self._rng = rng

    async def run(self, window: Window, until: float) -> None:
        """Send requests until that time of the monotonic clock."""
        while time.monotonic() < until:
            try:
                await self._session(window, until)
            except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
                window.failures[type(error).__name__] += 1
                await asyncio.sleep(0.2)

    async def _session(self, window: Window, until: float) -> None:
        async with asyncio.timeout(SECONDS_PER_REQUEST):
            reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            for last in range(REQUESTS_PER_CONNECTION - 1, -1, -1):
                if time.monotonic() >= until or reader.at_eof():
                    return
                if await self._request(window, reader, writer, close=last == 0):
                    return
                await asyncio.sleep(self._think * self._rng.uniform(0.5, 1.5))
        finally:
            writer.close()

    async def _request(
        self,
        window: Window,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        close: bool,
    ) -> bool:
        """Send one request; returns whether the server ends the connection with its answer."""
        body = patient(self._rng)
        connection = "close" if close else "keep-alive"
        head = (
            f"{self._head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Connection: {connection}\r\n\r\n"
        )
        started = time.perf_counter()
        writer.write(head.encode() + body)
        async with asyncio.timeout(SECONDS_PER_REQUEST):
            status, headers = await _read_response(reader)
        if status == 200:
            window.latencies.append((time.perf_counter() - started) * 1000)
            window.pods[headers.get("x-served-by", "?")] += 1
            window.versions[headers.get("x-model-version", "?")] += 1
        else:
            window.failures[f"HTTP {status}"] += 1
        return headers.get("connection", "").lower() == "close"


async def _read_response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    await reader.readexactly(int(headers.get("content-length", "0")))
    return status, headers


async def run(url: str, users: int, seconds: float, think: float) -> None:
    """Load ``url`` with so many users for so many seconds, reporting every second."""
    started = time.monotonic()
    until = started + seconds
    window = Window()
    tasks = [
        asyncio.create_task(User(url, think, random.Random(seed)).run(window, until))
        for seed in range(users)
    ]
    total = Window()
    while time.monotonic() < until:
        before = time.monotonic()
        await asyncio.sleep(1.0)
        print(json.dumps(window.report(started, time.monotonic() - before)), flush=True)
        _move(window, total)
    await asyncio.gather(*tasks)
    _move(window, total)
    print(json.dumps({**total.report(started, seconds), "done": True}), flush=True)


def _move(window: Window, total: Window) -> None:
    total.latencies += window.latencies
    for name in ("failures", "pods", "versions"):
        getattr(total, name).update(getattr(window, name))
        getattr(window, name).clear()
    window.latencies.clear()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Load a predictor with simulated users.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--think", type=float, default=0.0, help="mean pause between requests, s")
    options = parser.parse_args()
    asyncio.run(run(options.url, options.users, options.seconds, options.think))


if __name__ == "__main__":
    main()
