"""Start a subject, ask it with wrk, read what it used."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.predictor.subjects import Subject
from bench.processes import Quota, cpu_seconds, pss_mib

SERVER_CORE, LOAD_CORE = "0", "1"
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Load:
    """One run of wrk."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_per_1000: float
    refused: int
    broken: int


@dataclass(frozen=True)
class Running:
    """A started subject."""

    subject: Subject
    pid: int
    port: int
    cold_wall: float
    cold_cpu: float

    def load(self, connections: int, seconds: float, body: str | None = None) -> Load:
        """Closed-loop load on its one path."""
        script = _script(body or self.subject.payload())
        url = f"http://127.0.0.1:{self.port}{self.subject.path}"
        command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
        command += ["--latency", "--timeout", "10s", "-s", script, url]
        before = cpu_seconds(self.pid)
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        used = cpu_seconds(self.pid) - before
        Path(script).unlink()
        count = int(_find(r"(\d+) requests in", out) or 0)
        return Load(
            per_second=count / seconds,
            p50_ms=_milliseconds(_find(r"50%\s+(\S+)", out)),
            p99_ms=_milliseconds(_find(r"99%\s+(\S+)", out)),
            cpu_per_1000=used / count * 1000 if count else float("nan"),
            refused=int(_find(r"Non-2xx or 3xx responses: (\d+)", out) or 0),
            broken=sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", out))),
        )

    def pss_mib(self) -> float:
        return pss_mib(self.pid)

    def ask(self, path: str, timeout: float = 5) -> float:
        """Seconds until a GET was answered."""
        begun = time.monotonic()
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout).read()
        return time.monotonic() - begun


@contextmanager
def running(
    subject: Subject, model: Path, quota: Quota | None = None, pin: bool = True
) -> Iterator[Running]:
    """Start, wait for the first right answer, and stop at the end. Raises TimeoutError."""
    port = _free_port()
    command = [*(["taskset", "-c", SERVER_CORE] if pin else []), *subject.argv(port, model)]
    enter: Callable[[], None] | None = quota.enter if quota else None
    with tempfile.TemporaryFile("w+") as log:
        begun = time.monotonic()
        process = subprocess.Popen(
            command,
            env=subject.env(port, model),
            stdout=log,
            stderr=log,
            preexec_fn=enter,
            start_new_session=True,
        )
        try:
            _first_answer(subject, port, process, begun)
            wall = time.monotonic() - begun
            yield Running(subject, process.pid, port, wall, cpu_seconds(process.pid))
        except TimeoutError as error:
            log.seek(0)
            raise TimeoutError(f"{error}: {log.read()[-600:]}") from None
        finally:
            _end(process)


def median(values: list[float]) -> float:
    """NaN for none."""
    return statistics.median(values) if values else float("nan")


def _first_answer(
    subject: Subject, port: int, process: subprocess.Popen[bytes], begun: float
) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{subject.path}",
        subject.payload().encode(),
        {"Content-Type": "application/json"},
    )
    while True:
        try:
            urllib.request.urlopen(request, timeout=10).read()
        except (OSError, urllib.error.HTTPError):
            late = time.monotonic() > begun + subject.start_seconds
            if late or process.poll() is not None:
                raise TimeoutError(f"{subject.name} gave no answer") from None
            time.sleep(0.01)
        else:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(8)
    # Its own session: children that a peer leaves behind end too.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(8)


def _script(body: str) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False) as file:
        file.write('wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n')
        file.write(f"wrk.body = {json.dumps(body)}\n")
        return file.name


def _find(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None


def _milliseconds(text: str | None) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text or "")
    return float(match[1]) * _UNITS[match[2]] if match else float("nan")


def _free_port() -> int:
    """Below the ephemeral ports: a client that retries one of those can connect to itself.

    The next two are free as a rule: some peers listen on three.
    """
    while True:
        port = random.randrange(20_000, 32_000, 4)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
