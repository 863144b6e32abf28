"""The operator at scale, on a real control plane with fake nodes.

``PYTHONPATH=tests:operator:tools/cluster python -m bench.operator.bench [--sizes 1,100,1000]``

API server, etcd, controllers, operator and this program share the machine, so the time of a burst
is above all the API server's. Beside it stands the limit: the same children applied by a client
that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.operator.observer import Observer
from bench.operator.ticker import Ticker
from bench.processes import cpu_seconds, rss_mib
from rich.console import Console
from rich.table import Table
from unit.operator.builders import rendered

from riskpredictor_operator.kube import Key
from support import operator as operators
from support.api import NAMESPACE, RISKPREDICTOR, SERVICE, Api, Body, eventually
from support.audit import WRITES, Mark, resource_of
from support.cluster import LocalCluster
from support.operator import OperatorProcess

CLIENTS = 8
SINGLES = 50
REPAIRS = 100
IDLE_SECONDS = 20.0


_OF_ITS_OWN = ("leases", "events", "selfsubjectaccessreviews")
"""Kinds that every start writes, whatever the state of the predictors."""


@dataclass
class Result:
    """Figures of one size. Times are seconds."""

    size: int
    children: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    total: float = 0.0
    limit: float = 0.0
    requests: dict[str, float] = field(default_factory=dict)
    """The operator's, a RiskPredictor, by verb and kind; watches and the lease left out."""
    cpu: float = 0.0
    rss_mib: float = 0.0
    idle_percent: float = 0.0
    """Of a core."""
    ticking_percent: float = 0.0
    """The same while the autoscalers' metrics change."""
    changes_per_second: float = 0.0
    repairs: list[float] = field(default_factory=list)
    restart: float = 0.0
    writes_after_restart: int = 0


class Bench:
    """One cluster and one operator, for one size after the other."""

    def __init__(self, cluster: LocalCluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._api = Api(cluster.kubeconfig, folder)
        self._config = operators.kubeconfig(cluster, folder)

    def warm_up(self) -> None:
        """The first create of a new kind takes the API server two seconds, whoever asks for it."""
        namespace = "bench-warm-up"
        self._api.create(NAMESPACE, {"metadata": {"name": namespace}})
        self._create(namespace, "risk")
        self._api.delete(NAMESPACE, Key("", namespace))
        eventually(lambda: self._gone(namespace), within=60)

    def measure(self, size: int) -> Result:
        """All figures of a size."""
        namespace = f"bench-{size}"
        self._api.create(NAMESPACE, {"metadata": {"name": namespace}})
        result = Result(size)
        operator = self._start(f"{size}-a")
        try:
            names = [f"risk-{n}" for n in range(SINGLES if size == 1 else size)]
            self._burst(result, namespace, names, operator)
            self._idle(result, operator, namespace, names)
            self._repair(result, namespace, names)
            operator.stop()
            operator = self._restart(result, namespace)
        finally:
            operator.stop()
        self._limit(result, names)
        for name in (namespace, f"{namespace}-limit"):
            self._api.delete(NAMESPACE, Key("", name))
            eventually(lambda name=name: self._gone(name), within=900, every=1.0)  # type: ignore[misc]
        return result

    def _start(self, name: str) -> OperatorProcess:
        operator = OperatorProcess(self._config, self._folder / f"{name}.log")
        operator.wait_for("listed ", within=60)
        return operator

    def _gone(self, namespace: str) -> bool:
        return self._api.get(NAMESPACE, Key("", namespace)) is None

    def _create(self, namespace: str, name: str) -> Body:
        spec = {"modelVersion": "v1", "minReplicas": 1, "maxReplicas": 2}
        metadata = {"name": name, "namespace": namespace}
        return self._api.create(RISKPREDICTOR, {"metadata": metadata, "spec": spec})

    def _burst(
        self, result: Result, namespace: str, names: Sequence[str], operator: OperatorProcess
    ) -> None:
        """All at once; a size of 1 means one at a time, each on an idle cluster."""
        observer, mark = Observer(self._api, namespace), Mark(self._cluster)
        before, started = cpu_seconds(operator.pid), time.monotonic()

        def create(name: str) -> None:
            observer.asked[name] = time.monotonic()
            self._create(namespace, name)

        with observer.watching():
            if result.size == 1:
                for name in names:
                    create(name)
                    eventually(lambda name=name: name in observer.ready, within=60)  # type: ignore[misc]
                    time.sleep(0.2)
            else:
                with ThreadPoolExecutor(CLIENTS) as pool:
                    list(pool.map(create, names))
                eventually(lambda: len(observer.ready) == len(names), within=1800, every=0.05)
        result.total = max(observer.ready.values()) - started
        result.children = [observer.complete[n] - observer.asked[n] for n in names]
        result.ready = [observer.ready[n] - observer.asked[n] for n in names]
        # The autoscaler's first word comes up to 15 seconds later.
        time.sleep(20)
        result.cpu = cpu_seconds(operator.pid) - before
        result.rss_mib = rss_mib(operator.pid)
        entries = (e for e in mark.requests() if "objectRef" in e and e["verb"] != "watch")
        counted = Counter(f"{e['verb']} {resource_of(e)}" for e in entries)
        result.requests = {
            what: count / len(names)
            for what, count in sorted(counted.items())
            if not what.endswith("leases")
        }

    def _idle(
        self, result: Result, operator: OperatorProcess, namespace: str, names: Sequence[str]
    ) -> None:
        def percent() -> float:
            before, started = cpu_seconds(operator.pid), time.monotonic()
            time.sleep(IDLE_SECONDS)
            return 100 * (cpu_seconds(operator.pid) - before) / (time.monotonic() - started)

        result.idle_percent = percent()
        with Ticker(self._api, namespace, names) as ticker:
            result.ticking_percent = percent()
        result.changes_per_second = ticker.rate

    def _repair(self, result: Result, namespace: str, names: Sequence[str]) -> None:
        observer = Observer(self._api, namespace)
        with observer.watching():
            eventually(lambda: len(observer.labels) == len(names), within=60)
            for number in range(REPAIRS):
                name = names[number * 7 % len(names)]
                spoilt = {"metadata": {"labels": {"app": "other"}}}
                started = time.monotonic()
                self._api.patch(SERVICE, Key(namespace, name), spoilt)
                eventually(
                    lambda name=name, started=started: _is_mended(observer, name, started),  # type: ignore[misc]
                    within=30, every=0.002,
                )  # fmt: skip
                result.repairs.append(observer.labels[name][1] - started)

    def _restart(self, result: Result, namespace: str) -> OperatorProcess:
        mark, observer = Mark(self._cluster), Observer(self._api, namespace)
        with observer.watching():
            started = time.monotonic()
            operator = OperatorProcess(self._config, self._folder / f"{result.size}-b.log")
            operator.wait_for("listed ", within=300)
            self._create(namespace, "after-restart")
            eventually(lambda: "after-restart" in observer.complete, within=300)
            result.restart = observer.complete["after-restart"] - started
        time.sleep(3.0)
        result.writes_after_restart = sum(
            entry["verb"] in WRITES
            and entry["objectRef"]["resource"] not in _OF_ITS_OWN
            and entry["objectRef"].get("name") != "after-restart"
            for entry in mark.requests()
        )
        return operator

    def _limit(self, result: Result, names: Iterable[str]) -> None:
        """The same children by a client that only applies, without an operator."""
        namespace = f"bench-{result.size}-limit"
        self._api.create(NAMESPACE, {"metadata": {"name": namespace}})

        def apply(name: str) -> None:
            desired = rendered(self._create(namespace, name))
            for resource, body in desired.by_kind().items():
                metadata = {k: v for k, v in body["metadata"].items() if k != "ownerReferences"}
                manifest = {**body, "metadata": metadata}
                self._api.patch(resource, Key(namespace, name), manifest, kind="apply")

        started = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(apply, names))
        result.limit = time.monotonic() - started


def _is_mended(observer: Observer, name: str, since: float) -> bool:
    label, when = observer.labels[name]
    return label == name and when > since


def _spread(values: Sequence[float]) -> str:
    ordered = sorted(values)
    tail = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return (
        f"{1000 * statistics.median(ordered):,.0f} / {1000 * tail:,.0f} / "
        f"{1000 * ordered[-1]:,.0f} ms"
    )


def _writes(result: Result) -> str:
    writes = {what: n for what, n in result.requests.items() if what.split()[0] in WRITES}
    told = writes.pop("create events", 0.0)
    return f"{sum(writes.values()):.2f} + {told:.2f}"


def rows(result: Result) -> list[tuple[str, str]]:
    """The figures of a size in words."""
    count = len(result.children)
    return [
        ("create to all children, p50 / p99 / max", _spread(result.children)),
        ("create to Ready, p50 / p99 / max", _spread(result.ready)),
        ("last Ready", "one at a time" if result.size == 1 else f"{result.total:.1f} s"),
        ("per RiskPredictor", f"{1000 * result.total / count:.0f} ms"),
        ("the same applies by a bare client", f"{1000 * result.limit / count:.0f} ms each"),
        ("operator's writes per RiskPredictor, and Events", _writes(result)),
        ("operator's CPU per RiskPredictor", f"{1000 * result.cpu / count:.1f} ms"),
        ("operator's memory (RSS)", f"{result.rss_mib:.0f} MiB"),
        ("idle", f"{result.idle_percent:.2f} % of a core"),
        (
            "idle, while the autoscalers' metrics change",
            f"{result.ticking_percent:.2f} % at {result.changes_per_second:.0f}/s",
        ),
        ("drift repaired, p50 / p99 / max", _spread(result.repairs)),
        ("restart to the first new one's children", f"{result.restart:.1f} s"),
        ("writes after a restart", str(result.writes_after_restart)),
    ]


def show(console: Console, results: Sequence[Result]) -> None:
    """One table, a column a size; then what was asked of the API server."""
    table = Table("", *(f"{result.size:,}" for result in results))
    for column in zip(*(rows(result) for result in results), strict=True):
        table.add_row(column[0][0], *(value for _, value in column))
    console.print(table)
    for result in results:
        told = ", ".join(f"{what} {count:.2f}" for what, count in result.requests.items())
        console.print(f"requests at {result.size:,}: {told}", highlight=False)


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="1,100,1000,5000", help="numbers of RiskPredictors")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    console = Console(width=140)
    results: list[Result] = []
    cluster = LocalCluster.up("t-bench", "--profile", "control-plane", "--kwok", "20")
    try:
        operators.install(cluster)
        with tempfile.TemporaryDirectory(prefix="bench-operator-") as folder:
            bench = Bench(cluster, Path(folder))
            bench.warm_up()
            for size in (int(each) for each in options.sizes.split(",")):
                console.print(f"measuring {size:,} ...")
                results.append(bench.measure(size))
                show(console, results[-1:])
                if options.json:
                    plain: list[dict[str, Any]] = [asdict(result) for result in results]
                    options.json.write_text(json.dumps(plain, indent=1) + "\n")
    finally:
        cluster.down()
    show(console, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
