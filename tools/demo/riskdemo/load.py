"""A load that runs in the background, and the sums of its reports."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from riskpredictor_kubectl import loadpod
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.loadgen import Demand
from riskpredictor_kubectl.loadpod import SCRIPT


@dataclass
class Report:
    """The newest second, and the sums so far. Latencies are milliseconds."""

    per_second: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    ok: int = 0
    failed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    total: dict[str, Any] = field(default_factory=dict)
    """The sums after the warm-up; empty until the load has ended."""
    on_second: Callable[[dict[str, Any]], None] | None = None
    """Called with the report of each second, in the reading thread."""

    def add(self, line: dict[str, Any]) -> None:
        """Count a report of the load generator."""
        if line.pop("done", False):
            self.total = line
            return
        self.per_second, self.p50, self.p99 = line["per_second"], line["p50_ms"], line["p99_ms"]
        self.ok += line["ok"]
        self.failed += line["failed"]
        self.failures.update(line["failures"])
        self.versions.update(line["versions"])
        if self.on_second is not None:
            self.on_second(line)


class Load:
    """A context manager: the load starts with the block and ends with it."""

    def __init__(self, source: AbstractContextManager[Iterator[dict[str, Any]]]) -> None:
        self._source = source
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._ending = False
        self.report = Report()

    @classmethod
    def in_cluster(cls, client: Client, name: str, demand: Demand, image: str = "") -> Self:
        """Loads a RiskPredictor from a pod."""
        return cls(loadpod.load(client, name, demand, image))

    @classmethod
    def from_here(cls, url: str, demand: Demand) -> Self:
        """Loads an address from this machine."""
        return cls(_process(url, demand))

    def __enter__(self) -> Self:
        self._reports = self._source.__enter__()
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._source.__exit__(None, None, None)
        self._reader.join(timeout=10)

    @property
    def ended(self) -> bool:
        """Whether it reports no more."""
        return not self._reader.is_alive()

    def _read(self) -> None:
        try:
            for report in self._reports:
                self.report.add(report)
        except PluginError as error:
            # The reports break off when the block ends before the load.
            if not self._ending:
                self.report.failures[str(error)] += 1


@contextmanager
def _process(url: str, demand: Demand) -> Iterator[Iterator[dict[str, Any]]]:
    command = [sys.executable, "-u", str(SCRIPT), f"--url={url}", *demand.flags()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield map(json.loads, process.stdout or ())
        finally:
            process.terminate()
