"""Starts a server, loads it with wrk, and reads what it used."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.predictor.subjects import Subject
from bench.processes import Quota, cpu_seconds, pss_mib
from unit.predictor.support import free_port

SERVER_CORE, LOAD_CORE = "0", "1"
_WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local bodies, sent = {%s}, 0
wrk.body = bodies[1]
if #bodies > 1 then
  request = function()
    sent = sent + 1
    return wrk.format(nil, nil, nil, bodies[sent %% #bodies + 1])
  end
end
done = function(summary, latency)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.timeout + e.status
  local p50, p99 = latency:percentile(50) / 1000, latency:percentile(99) / 1000
  io.write(string.format("\\n%%d %%d %%f %%f", summary.requests, failed, p50, p99))
end
"""


@dataclass(frozen=True)
class Load:
    """Results of one run of wrk; ``failed`` counts statuses from 400 on, too."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_per_1000: float
    failed: int


@dataclass(frozen=True)
class Running:
    """A started subject."""

    subject: Subject
    pid: int
    port: int
    cold_wall: float
    cold_cpu: float

    def load(self, connections: int, seconds: int, *bodies: str) -> Load:
        """Send the subject's request, or these in turn, in a closed loop on each connection."""
        command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            texts = bodies or (self.subject.payload(),)
            script.write(_WRK_SCRIPT % ", ".join(map(json.dumps, texts)))
            script.flush()
            command += ["--timeout", "10s", "-s", script.name, self._url(self.subject.path)]
            before = cpu_seconds(self.pid)
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            used = cpu_seconds(self.pid) - before
        count, failed, p50, p99 = map(float, out.split()[-4:])
        cpu = used / count * 1000 if count else float("nan")
        return Load(count / seconds, p50, p99, cpu, int(failed))

    def pss_mib(self) -> float:
        return pss_mib(self.pid)

    def get(self, path: str) -> float:
        """Return the seconds until a GET was answered."""
        started = time.monotonic()
        urllib.request.urlopen(self._url(path), timeout=5).read()
        return time.monotonic() - started

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def running(
    subject: Subject, model: Path, quota: Quota | None = None, pin: bool = True
) -> Iterator[Running]:
    """Run a subject from its first successful answer on. Raises TimeoutError if there is none."""
    port = free_port()
    command = [*(["taskset", "-c", SERVER_CORE] if pin else []), *subject.argv(port, model)]
    with tempfile.TemporaryFile("w+") as log:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            env=subject.env(port, model),
            stdout=log,
            stderr=log,
            preexec_fn=quota.enter if quota else None,
            start_new_session=True,
        )
        try:
            _wait_for_answer(subject, port, process, started + subject.start_seconds)
            wall = time.monotonic() - started
            yield Running(subject, process.pid, port, wall, cpu_seconds(process.pid))
        except TimeoutError as error:
            log.seek(0)
            raise TimeoutError(f"{error}: {log.read()[-600:]}") from None
        finally:
            _stop(process)


def median(values: list[float]) -> float:
    """Return the median, NaN for no values."""
    return statistics.median(values) if values else float("nan")


def _wait_for_answer(
    subject: Subject, port: int, process: subprocess.Popen[bytes], deadline: float
) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{subject.path}",
        subject.payload().encode(),
        {"Content-Type": "application/json"},
    )
    while True:
        try:
            urllib.request.urlopen(request, timeout=10).read()
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise TimeoutError(f"{subject.name} gave no answer") from None
            time.sleep(0.01)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(8)
    # Each subject has a session of its own, so this reaches children that a peer leaves behind.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(8)
