"""The data of a load test: the demand, a report for each second, and the sums."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from riskdemo.shell import DemoError

FORMAT = 1


@dataclass
class Run:
    """A load test, saved as report.json. Latencies are milliseconds."""

    name: str
    asked: dict[str, Any]
    seconds: list[dict[str, Any]] = field(default_factory=list)
    """The load generator's reports; in a cluster also ``cpu_percent``, ``desired``, ``ready``."""
    total: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def error_rate(self) -> float:
        """Failed requests, in percent of all."""
        asked = self.total["ok"] + self.total["failed"]
        return 100.0 * self.total["failed"] / asked if asked else 0.0

    def series(self, name: str) -> tuple[list[float], list[float]]:
        """Times and values of one measure, where it is known."""
        known = [line for line in self.seconds if line.get(name) is not None]
        return [line["second"] for line in known], [line[name] for line in known]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Run:
        """Read what ``save`` wrote.

        Raises:
            DemoError: the file is missing, or no such report.
        """
        try:
            run = cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise DemoError(f"{path} is no report of a load test: {error}") from None
        if run.format != FORMAT:
            raise DemoError(f"{path} has format {run.format}, not {FORMAT}; run the test again")
        return run


def figures(run: Run) -> list[tuple[str, float, str, bool]]:
    """The sums as (name, value, unit, whether more is better)."""
    _, ready = run.series("ready")
    _, cpu = run.series("cpu_percent")
    rows = [
        ("requests answered", run.total["ok"], "", True),
        ("requests failed", run.error_rate, "%", False),
        ("throughput", run.total["per_second"], "req/s", True),
        ("latency p50", run.total["p50_ms"], "ms", False),
        ("latency p95", run.total["p95_ms"], "ms", False),
        ("latency p99", run.total["p99_ms"], "ms", False),
    ]
    if ready:
        rows.append(("ready pods, most", max(ready), "", True))
    if cpu:
        rows.append(("CPU of the request, most", max(cpu), "%", False))
    return rows
