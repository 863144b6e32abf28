"""The load generator at work: in a pod of the cluster, or as a process on this machine.

In a pod, because that works on every cluster, goes through the real Service and touches nothing
but the cluster's own addresses.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from riskdemo.shell import DemoError, Kubectl
from riskpredictor_kubectl.loadpod import SCRIPT, Demand, manifest, url_of

POD = "load-generator"


@dataclass
class Report:
    """The newest second and the sums so far. Latencies are milliseconds."""

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
    """Called with every second's line, in the thread that reads them."""

    def add(self, line: dict[str, Any]) -> None:
        """Take in one line of the load generator."""
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


class Load(ABC):
    """Runs the load generator for a while; a context manager that always cleans up."""

    def __init__(self) -> None:
        self._follower: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.report = Report()

    @abstractmethod
    def _start(self) -> subprocess.Popen[str]:
        """Start it; the process prints its lines."""

    @abstractmethod
    def _remove(self) -> None:
        """Take away what ``_start`` makes beside the process, and an earlier run may have left."""

    def __enter__(self) -> Self:
        self._remove()
        self._follower = self._start()
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()
        if self._follower is not None:
            with self._follower:
                self._follower.terminate()
                self._reader.join(timeout=10)

    @property
    def ended(self) -> bool:
        """Whether it prints no more."""
        return not self._reader.is_alive()

    def _read(self) -> None:
        assert self._follower is not None  # noqa: S101
        for line in self._follower.stdout or ():
            try:
                self.report.add(json.loads(line))
            except (ValueError, KeyError):
                self.report.failures[line.strip()[:80]] += 1


class ProcessLoad(Load):
    """Loads a URL from this machine."""

    def __init__(self, url: str, demand: Demand) -> None:
        super().__init__()
        self._command = [sys.executable, "-u", str(SCRIPT), f"--url={url}", *demand.flags()]

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _remove(self) -> None:
        return


class PodLoad(Load):
    """Loads a Service of the cluster from a pod."""

    def __init__(self, kubectl: Kubectl, image: str, service: str, demand: Demand) -> None:
        super().__init__()
        self._kubectl = kubectl
        self._pod = manifest(POD, image, url_of(kubectl.json("get", "service", service)), demand)

    def _start(self) -> subprocess.Popen[str]:
        self._kubectl("apply", "-f", "-", stdin=json.dumps(self._pod))
        try:
            self._kubectl("wait", "--for=condition=Ready", f"pod/{POD}", "--timeout=180s")
        except DemoError as error:
            raise DemoError(f"the load generator did not start: {error}") from None
        return self._kubectl.popen("logs", "--follow", POD)

    def _remove(self) -> None:
        self._kubectl("delete", f"pod/{POD}", "--ignore-not-found", "--grace-period=0", "--force")
