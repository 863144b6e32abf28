"""Helpers of the predictor's tests: trained artifacts, services, a server process."""

from __future__ import annotations

import atexit
import contextlib
import csv
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from functools import cache
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from bench.processes import rss_mib

from riskpredictor_server.api.service import Service
from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.settings import Settings
from support.rawhttp import Answer

T = TypeVar("T")
PREDICTOR = Path(__file__).resolve().parents[3] / "predictor"
RISK_LEVELS, VITAL_NAMES = VITALS.levels, VITALS.names
HEALTHY = {"heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97}
SICK = {"heart_rate": 130, "blood_pressure": 85, "temperature": 103.5, "oxygen_level": 86}


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="riskpredictor-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def artifact(version: str = "v1") -> Path:
    """A model trained once per test run. Tests that change files copy it first."""
    from riskpredictor_server.train import main

    out = _folder() / version
    assert main(["--model-version", version, "--out", str(out)]) == 0
    return out


@cache
def forest() -> Any:
    """A random forest fitted on the vitals: a model that is not linear."""
    from sklearn.ensemble import RandomForestClassifier

    from riskpredictor_server.training.synthetic import generate

    return RandomForestClassifier(n_estimators=10, random_state=0).fit(*generate(400, seed=1))


def in_order(classifier: Any, rows: Any) -> Any:
    """The classifier's own probabilities, columns in the order of RISK_LEVELS."""
    order = [list(classifier.classes_).index(level) for level in RISK_LEVELS]
    return classifier.predict_proba(rows)[:, order]


def write_records(path: Path, rows: Iterable[Any], *more_columns: str) -> Path:
    """A CSV file that can be trained on: vitals and level, then further columns."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*VITAL_NAMES, "risk_level", *more_columns], *rows])
    return path


def records(count: int, seed: int = 3) -> list[list[Any]]:
    """Synthetic patients as rows of such a file."""
    from riskpredictor_server.training.synthetic import generate

    vitals, levels = generate(count, seed=seed)
    return [[*row, level] for row, level in zip(vitals.tolist(), levels, strict=True)]


def service(**changes: Any) -> Service:
    """A Service over model v1."""
    return Service(Settings(**{"model": artifact(), "pod_name": "pod-1", **changes}))


def free_port() -> int:
    """Return a free port below the ephemeral ones, where a retrying client can reach itself."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("", port))
            return port


@contextlib.contextmanager
def repeating(call: Callable[[], T], pause: float) -> Iterator[list[T]]:
    """Call a function in a thread again and again; yield the list of its results."""
    results: list[T] = []
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(pause):
            results.append(call())

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(repeat)
        try:
            yield results
        finally:
            done.set()
            future.result(20)


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class ServerProcess:
    """``python -m riskpredictor_server`` on loopback; a context manager."""

    def __init__(
        self,
        model: Path | None = None,
        open_files: int = 0,
        stderr: IO[Any] | None = None,
        address: str = "127.0.0.1",
        launcher: Sequence[str] = (sys.executable, "-m"),
        **environment: str,
    ) -> None:
        """``open_files`` is the limit of its descriptors; ``stderr`` replaces :meth:`log`.

        Requests go to ``address``; ``launcher`` runs a module.
        """
        self.port = free_port()
        self.url = f"http://{address}:{self.port}"
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        env = {
            **os.environ,
            "PYTHONPATH": str(PREDICTOR),
            "RISKPREDICTOR_MODEL": str(model or artifact()),
            "RISKPREDICTOR_PORT": str(self.port),
            "POD_NAME": "pod-under-test",
            # A machine that stalls for half a second is not the overload that a test is about.
            "RISKPREDICTOR_MAX_LAG": "60",
            **{f"RISKPREDICTOR_{name.upper()}": value for name, value in environment.items()},
        }
        command = [*launcher, "riskpredictor_server"]
        if open_files:
            command = ["prlimit", f"--nofile={open_files}", *command]
        self.process = subprocess.Popen(
            command, env=env, stderr=stderr or self._log, stdout=self._log
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.get("/health")
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    self.process.wait(10)
                    raise AssertionError(f"the server did not start: {self.log()}") from None
                time.sleep(0.02)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._log.close()

    def log(self) -> str:
        """What it has written; its log lines come some milliseconds after what they are about."""
        # At a position of its own: a seek would move that at which the server writes, too.
        descriptor = self._log.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def sample(self, name: str) -> float:
        """Return a sample of /metrics, 0 if it is not there."""
        page = self.get("/metrics").body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def answered(self, route: str, status: int) -> float:
        """Return how many requests it counted by route and status."""
        return self.sample(f'riskpredictor_requests_total{{route="{route}",status="{status}"}}')

    def serves(self) -> bool:
        """Whether it accepts a connection and answers a prediction."""
        try:
            return self.post("/predict", HEALTHY).status == 200
        except OSError:
            return False

    def is_idle(self) -> bool:
        """Whether nothing is in flight but this request for metrics."""
        return self.sample("riskpredictor_in_flight_requests") == 1

    def resident_mib(self) -> float:
        return rss_mib(self.process.pid)

    def get(self, path: str, timeout: float = 15) -> Answer:
        return self._ask(urllib.request.Request(self.url + path), timeout)

    def post(
        self, path: str, body: Any, content_type: str = "application/json", timeout: float = 15
    ) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type}
        return self._ask(urllib.request.Request(self.url + path, data, headers), timeout)

    def _ask(self, request: urllib.request.Request, timeout: float) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return Answer(response.status, _lower(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _lower(error.headers), error.read())


def changed_copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of an artifact folder that a test may damage."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))
