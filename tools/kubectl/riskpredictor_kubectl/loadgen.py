"""Load generator. Runs as a script in a predictor's pod image: standard library only.

Closed loop (the default): each user sends, waits for the answer, thinks, sends again. Open loop
(``--rate``): requests start at their times whether or not the earlier ones were answered, and a
latency counts from when its request was due, so that a server that stalls cannot hide it.
A connection is used for a number of requests and then renewed, as browsers and proxies do, so that
new pods get their share.
The patients are made up from the card of the model that answers (``GET /model``): each feature by
itself, as it was distributed in the training data.
Prints one JSON object per second, and a last one with ``"done": true`` for all after the warm-up.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import math
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

REQUESTS_PER_CONNECTION = 20
SECONDS_PER_REQUEST = 10.0
TICK_SECONDS = 0.05
CARD_TRIES = 10
"""Once a second, in case no pod is there yet."""
TINY = 1e-9
PATIENTS = 20_000
"""Different patients of a load, made up before it starts: enough for a comparison of two models,
which counts the same one once."""

PROFILES = {
    "constant": "everybody from the first second to the last",
    "ramp": "from nobody to everybody over two thirds of the time, then on",
    "step": "a quarter more in each quarter of the time",
    "spike": "a tenth; everybody in the middle third; a tenth again",
}


def share(profile: str, passed: float) -> float:
    """The share of the load at a time from 0, the start, to 1, the end."""
    match profile:
        case "ramp":
            return min(1.0, passed * 1.5)
        case "step":
            return min(1.0, (int(passed * 4) + 1) / 4)
        case "spike":
            return 1.0 if 1 / 3 <= passed < 2 / 3 else 0.1
        case _:
            return 1.0


@dataclass
class Window:
    """Counts since the last report. Latencies are milliseconds."""

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
            "p95_ms": percentile(ordered, 0.95),
            "p99_ms": percentile(ordered, 0.99),
            "pods": dict(self.pods),
            "versions": dict(self.versions),
        }


def percentile(ordered: list[float], share: float) -> float:
    """Nearest-rank percentile of ascending values; 0 for none."""
    if not ordered:
        return 0.0
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


def patients(card: dict[str, Any], seed: int, count: int = PATIENTS) -> list[bytes]:
    """Plausible patients for the model of a card, as request bodies."""
    rng = random.Random(seed)
    records = [{f["name"]: value(f, rng) for f in card["features"]} for _ in range(count)]
    return [json.dumps({k: v for k, v in r.items() if v is not None}).encode() for r in records]


def value(feature: dict[str, Any], rng: random.Random) -> Any:
    """A value of a feature; None if it is left out.

    A choice is drawn by its share. Of a number a decile of the training data is drawn by its share,
    and then one of the multiples of ``step`` in it: all are equally likely.
    """
    if not feature.get("required", True) and rng.random() < feature.get("left_out", 0):
        return None
    baseline, kind = feature.get("baseline") or {}, feature.get("type", "number")
    if kind in ("boolean", "category"):
        choices = baseline.get("values") or feature.get("values") or [False, True]
        return rng.choices(choices, baseline.get("shares"))[0]
    accepted = feature.get("accepted") or feature
    seen = feature.get("trained_on") or accepted
    least = max(accepted["minimum"], seen["minimum"])
    most = min(accepted["maximum"], seen["maximum"])
    step = feature.get("step", 1 if kind == "integer" else 0.1)
    edges = [least, *baseline.get("edges", ()), most]
    index = rng.choices(range(len(edges) - 1), baseline.get("shares"))[0]
    low, high = edges[index], edges[index + 1]
    # As in the card, an edge is the least value of its bin, not the greatest. Edges are binary
    # fractions: 97.4 / 0.1 is a little more than 974.
    first = math.ceil(low / step - TINY)
    is_last = index == len(edges) - 2
    last = math.floor(high / step + TINY) if is_last else math.ceil(high / step - TINY) - 1
    drawn = rng.randint(first, last) * step if first <= last else rng.uniform(low, high)
    drawn = min(max(drawn, least), most)
    return round(drawn) if kind == "integer" else float(f"{drawn:.10g}")


def card_of(url: str) -> dict[str, Any]:
    """The card of the model that answers; SystemExit says why there is none."""
    # No proxy: the requests of the load take none either.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    why = ""
    for _ in range(CARD_TRIES):
        try:
            with opener.open(f"{url}/model", timeout=SECONDS_PER_REQUEST) as response:
                card: dict[str, Any] = json.load(response)
                return card
        except (OSError, ValueError, http.client.HTTPException) as error:
            why = str(error)
            time.sleep(1.0)
    raise SystemExit(f"the model's card cannot be read from {url}/model: {why}")


@dataclass(frozen=True)
class Demand:
    """The load to make; each field is a flag. Times are seconds."""

    users: int = 40
    seconds: float = 60.0
    think: float = 0.0
    """Each user's mean pause between two requests."""
    profile: str = "constant"
    rate: float = 0.0
    """Requests per second of the open loop; 0 for the closed one."""
    warmup: float = 0.0
    """Time at the beginning that the sums leave out."""
    seed: int = 0
    """Of the patients: the same seed makes the same ones."""

    def flags(self) -> list[str]:
        """The command line that asks for it."""
        return [f"--{each.name}={getattr(self, each.name)}" for each in fields(self)]


@dataclass
class Plan:
    """A load that has started."""

    url: str
    demand: Demand
    patients: Sequence[bytes]
    """Bodies of the requests, taken at random."""
    started: float = field(default_factory=time.monotonic)

    @property
    def until(self) -> float:
        """The end, by the monotonic clock."""
        return self.started + self.demand.seconds

    def share(self) -> float:
        """The share of the load that is due now."""
        passed = (time.monotonic() - self.started) / self.demand.seconds
        return share(self.demand.profile, passed)


class Connection:
    """An HTTP connection that is renewed after some requests."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        parts = urlsplit(plan.url)
        self._patients = plan.patients
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = f"POST /predict HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        self._rng = rng
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._left = 0

    async def send(self, window: Window, due: float) -> None:
        """Send a request that is due at a time of the performance counter, and count the result."""
        try:
            async with asyncio.timeout(SECONDS_PER_REQUEST):
                await self._send(window, due)
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
            window.failures[type(error).__name__] += 1
            self.close()
            await asyncio.sleep(0.2)

    async def _send(self, window: Window, due: float) -> None:
        if self._stream is None or self._stream[0].at_eof():
            self.close()
            self._stream = await asyncio.open_connection(self._host, self._port)
            self._left = REQUESTS_PER_CONNECTION
        reader, writer = self._stream
        self._left -= 1
        body = self._rng.choice(self._patients)
        connection = "keep-alive" if self._left else "close"
        head = (
            f"{self._head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Connection: {connection}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        status, headers = await _read_response(reader)
        if status == 200:
            window.latencies.append((time.perf_counter() - due) * 1000)
            window.pods[headers.get("x-served-by", "?")] += 1
            window.versions[headers.get("x-model-version", "?")] += 1
        else:
            window.failures[f"HTTP {status}"] += 1
        if not self._left or headers.get("connection", "").lower() == "close":
            self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None


async def user(plan: Plan, number: int, window: Window) -> None:
    """One user of the closed loop, active while the profile has room for that many users."""
    rng = random.Random(number)
    connection = Connection(plan, rng)
    while time.monotonic() < plan.until:
        if number >= plan.share() * plan.demand.users:
            connection.close()
            await asyncio.sleep(TICK_SECONDS)
            continue
        await connection.send(window, time.perf_counter())
        if plan.demand.think:
            await asyncio.sleep(plan.demand.think * rng.uniform(0.5, 1.5))
    connection.close()


async def arrivals(plan: Plan, window: Window) -> None:
    """The open loop: requests at exponential distances, on at most ``users`` connections.

    A request waits while none is free, and the wait counts as latency.
    """
    rng = random.Random(0)
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for number in range(plan.demand.users):
        free.put_nowait(Connection(plan, random.Random(number)))
    sending: set[asyncio.Task[None]] = set()
    due = time.perf_counter()

    async def send(due: float) -> None:
        connection = await free.get()
        try:
            await connection.send(window, due)
        finally:
            free.put_nowait(connection)

    while time.monotonic() < plan.until:
        due += rng.expovariate(plan.demand.rate)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        # Thinning (Lewis and Shedler): drawn at the full rate, kept with the profile's share.
        if rng.random() >= plan.share():
            continue
        task = asyncio.create_task(send(due))
        sending.add(task)
        task.add_done_callback(sending.discard)
    # Requests that still wait for a connection failed.
    if sending:
        await asyncio.wait(sending, timeout=SECONDS_PER_REQUEST)
    for task in list(sending):
        task.cancel()
        window.failures["NeverSent"] += 1
    while not free.empty():
        free.get_nowait().close()


async def _read_response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    await reader.readexactly(int(headers.get("content-length", "0")))
    return status, headers


async def run(plan: Plan) -> None:
    """Make the load and print a report every second; the sums leave the warm-up out."""
    window, total = Window(), Window()
    warmup = plan.demand.warmup
    if plan.demand.rate:
        tasks = [asyncio.create_task(arrivals(plan, window))]
    else:
        tasks = [asyncio.create_task(user(plan, n, window)) for n in range(plan.demand.users)]
    while time.monotonic() < plan.until:
        before = time.monotonic()
        await asyncio.sleep(1.0)
        print(json.dumps(window.report(plan.started, time.monotonic() - before)), flush=True)
        _move(window, total if time.monotonic() - plan.started > warmup else Window())
    await asyncio.gather(*tasks)
    _move(window, total)
    report = total.report(plan.started, plan.demand.seconds - warmup)
    print(json.dumps({**report, "done": True}), flush=True)


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
    for each in fields(Demand):
        parser.add_argument(f"--{each.name}", type=type(each.default), default=each.default)
    options = vars(parser.parse_args())
    url, demand = options.pop("url"), Demand(**options)
    asyncio.run(run(Plan(url, demand, patients(card_of(url), demand.seed))))


if __name__ == "__main__":
    main()
