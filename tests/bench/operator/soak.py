"""Churn for a long time: what grows in an operator that never rests?

``PYTHONPATH=tests:operator:tools/cluster python -m bench.operator.soak [--minutes 30]``

RiskPredictors are made, changed, scaled, damaged and deleted as fast as the control plane answers
one client. Memory is compared between the first and the last quarter after a warm-up, in which
caches fill.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.processes import cpu_seconds, rss_mib
from rich.console import Console
from rich.table import Table

from riskpredictor_operator.kube import Key
from support import operator as operators
from support.api import DEPLOYMENT, NAMESPACE, RISKPREDICTOR, SERVICE, Api, eventually
from support.cluster import LocalCluster
from support.operator import OperatorProcess

NAMESPACE_NAME = "soak"
ALIVE = 200
"""RiskPredictors that exist at most."""
SAMPLE_SECONDS = 15.0
WARM_UP = 1 / 6
"""Part of the time that does not count."""


@dataclass
class Soak:
    """Samples of the operator over time."""

    minutes: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    """Since the start."""

    def growth(self) -> tuple[float, float]:
        """Median memory in the first and in the last quarter after the warm-up, in MiB."""
        settled = self.rss_mib[int(len(self.rss_mib) * WARM_UP) :]
        quarter = max(1, len(settled) // 4)
        return statistics.median(settled[:quarter]), statistics.median(settled[-quarter:])


class Churn:
    """One client that never leaves the predictors alone; the same seed does the same."""

    def __init__(self, api: Api, seed: int = 1) -> None:
        self._api = api
        self._random = random.Random(seed)
        self._made = 0
        self._alive: list[Key] = []
        self.changes = 0

    def step(self) -> None:
        """One change of one RiskPredictor, or of one of its children."""
        self.changes += 1
        if len(self._alive) < ALIVE:
            self._create()
            return
        key = self._random.choice(self._alive)
        what = self._random.randrange(6)
        if what == 0:
            self._alive.remove(key)
            self._api.delete(RISKPREDICTOR, key)
        elif what == 1:
            self._spec(key, modelVersion=f"v{self.changes}")
        elif what == 2:
            self._spec(key, replicas=self._random.choice([1, 2, None]))
        elif what == 3:
            self._spec(key, suspend=self._random.choice([True, False]))
        elif what == 4:
            self._damage(key)
        else:
            self._spec(key, maxReplicas=self._random.randint(2, 9))

    def _create(self) -> None:
        self._made += 1
        key = Key(NAMESPACE_NAME, f"risk-{self._made}")
        metadata = {"name": key.name, "namespace": key.namespace}
        spec = {"modelVersion": "v1", "minReplicas": 1, "maxReplicas": 2}
        self._api.create(RISKPREDICTOR, {"metadata": metadata, "spec": spec})
        self._alive.append(key)

    def _spec(self, key: Key, **spec: object) -> None:
        self._api.patch(RISKPREDICTOR, key, {"spec": spec})

    def _damage(self, key: Key) -> None:
        resource = self._random.choice([DEPLOYMENT, SERVICE])
        if self._api.get(resource, key) is not None:
            spoilt = {"metadata": {"labels": {"app": "other"}}}
            self._api.patch(resource, key, spoilt)


def soak(api: Api, operator: OperatorProcess, minutes: float, console: Console) -> Soak:
    """Change things for so many minutes."""
    churn, samples = Churn(api), Soak()
    started = time.monotonic()
    before = cpu_seconds(operator.pid)
    due = started
    while (now := time.monotonic()) - started < 60 * minutes:
        if now >= due:
            due += SAMPLE_SECONDS
            samples.minutes.append((now - started) / 60)
            samples.rss_mib.append(rss_mib(operator.pid))
            samples.cpu_seconds.append(cpu_seconds(operator.pid) - before)
            samples.changes.append(churn.changes)
            console.print(
                f"{samples.minutes[-1]:5.1f} min  {samples.rss_mib[-1]:6.1f} MiB  "
                f"{churn.changes:,} changes",
                highlight=False,
            )
        churn.step()
    return samples


def show(console: Console, samples: Soak) -> None:
    """The figures as a table."""
    first, last = samples.growth()
    table = Table(show_header=False)
    table.add_row("time", f"{samples.minutes[-1]:.0f} min")
    table.add_row("changes", f"{samples.changes[-1]:,}")
    table.add_row("memory, first quarter after the warm-up", f"{first:.1f} MiB")
    table.add_row("memory, last quarter", f"{last:.1f} MiB")
    table.add_row("most", f"{max(samples.rss_mib):.1f} MiB")
    per_change = samples.cpu_seconds[-1] / max(1, samples.changes[-1])
    table.add_row("operator's CPU per change", f"{1000 * per_change:.1f} ms")
    console.print(table)


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="length (30)")
    parser.add_argument("--json", type=Path, help="write the samples to this file, too")
    options = parser.parse_args()
    console = Console(width=100)
    cluster = LocalCluster.up("t-soak", "--profile", "control-plane", "--kwok", "4")
    try:
        operators.install(cluster)
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            api = Api(cluster.kubeconfig, Path(folder))
            api.create(NAMESPACE, {"metadata": {"name": NAMESPACE_NAME}})
            config = operators.kubeconfig(cluster, Path(folder))
            log = Path(folder) / "operator.log"
            with operators.running(config, log) as operator:
                samples = soak(api, operator, options.minutes, console)
                api.delete(NAMESPACE, Key("", NAMESPACE_NAME))
                gone = Key("", NAMESPACE_NAME)
                eventually(lambda: api.get(NAMESPACE, gone) is None, within=300, every=1.0)
            if "Traceback" in log.read_text():
                console.print("[red]the operator logged a traceback[/red]")
                return 1
    finally:
        cluster.down()
    show(console, samples)
    if options.json:
        options.json.write_text(json.dumps(asdict(samples), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
