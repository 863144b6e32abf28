"""Load on a RiskPredictor, in the background of a story, or on an address; and its sums."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from riskpredictor_kubectl import loadpod
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.loadgen import Demand


@dataclass
class Sums:
    """The newest second, and the sums so far. Latencies are milliseconds."""

    seconds: int = 0
    per_second: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    ok: int = 0
    failed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    def add(self, report: dict[str, Any]) -> None:
        """Count the report of a second."""
        self.per_second = report["per_second"]
        self.p50, self.p99 = report["p50_ms"], report["p99_ms"]
        self.ok += report["ok"]
        self.failed += report["failed"]
        self.failures.update(report["failures"])
        self.versions.update(report["versions"])
        self.seconds += 1


class Load:
    """A context manager: the load on a RiskPredictor starts and ends with the block."""

    def __init__(self, client: Client, name: str, demand: Demand) -> None:
        self._source = loadpod.load(client, name, demand)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._ending = False
        self.sums = Sums()

    def __enter__(self) -> Self:
        self._reports = self._source.__enter__()
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._source.__exit__(None, None, None)
        self._reader.join(timeout=10)

    def _read(self) -> None:
        try:
            for report in self._reports:
                if "done" not in report:
                    self.sums.add(report)
        except PluginError as error:
            # The reports break off when the block ends before the load.
            if not self._ending:
                self.sums.failures[str(error)] += 1


@contextmanager
def from_here(url: str, demand: Demand) -> Iterator[Iterator[dict[str, Any]]]:
    """Load an address from this machine during the block; yields the reports."""
    command = [sys.executable, "-u", str(loadpod.SCRIPT), f"--url={url}", *demand.flags()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield map(json.loads, process.stdout or ())
        finally:
            process.terminate()
