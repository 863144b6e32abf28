"""Compares the predictor with its former self, with other ways to serve and with its peers.

``PYTHONPATH=tests:predictor python -m bench.predictor.bench [--peers] [--before COMMIT]``, or
with ``--shadow`` what a candidate costs, and nothing else.

Every round measures every subject; medians are shown. The server has one core and the load
generator (wrk) the other, so read ratios rather than absolute figures on a shared machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bench.predictor.crowd import crowd, percentile
from bench.predictor.measure import Running, median, running
from bench.predictor.shadow import shadow
from bench.predictor.subjects import FLASK, MIXED, Subject, before, mixed, own, peers, usual
from bench.processes import Quota
from unit.predictor.support import HEALTHY, SICK, artifact, repeating

from riskpredictor_server.api.records import RecordReader
from riskpredictor_server.model.artifact import load

MILLICORES = 200
Figures = dict[str, dict[str, list[float]]]
"""By subject, then by column."""
COLUMNS = {
    "rps1": "req/s c=1",
    "rps16": "req/s c=16",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "cpu": "CPU-s per 1,000",
    "pss": "PSS MiB",
    "page": "PSS MiB after GET /",
    "wall": "cold start s",
    "boot": "cold CPU-s",
}
QUOTA_COLUMNS = {
    "wall": "exec to answer s",
    "boot": "cold CPU-s",
    "rps16": "req/s c=16",
    "p99": "p99 ms",
}


def main() -> int:
    args = _arguments()
    if not shutil.which("wrk"):
        print("wrk is not installed (Debian: apt-get install wrk)", file=sys.stderr)
        return 2
    if args.shadow:
        with _checkout(args.before) as checkout:
            others = (before(args.python, args.before, checkout),) if checkout else ()
            return shadow(args.python, args.rounds, args.seconds, others)
    with _checkout(args.before) as checkout, tempfile.TemporaryDirectory() as scratch:
        bench = Bench(artifact(), args.rounds, args.seconds)
        subjects = own(args.python)
        former = before(args.python, args.before, checkout) if checkout else None
        if former:
            subjects += (former,)
        foreign = mixed(args.python, Path(scratch))
        subjects += (foreign,)
        subjects += usual()
        if FLASK not in [each.name for each in subjects]:
            print("granian is not installed: nothing to compare with but uvicorn (see README.md)")
        if args.peers:
            subjects += peers()
        print(_interpreter(args.python))
        free = bench.compare(subjects)
        _print_table("One core for the server", COLUMNS, free)
        limited: Figures = {}
        overloads: list[dict[str, float]] = []
        if os.geteuid() == 0:
            limited = bench.compare(subjects, quota=True)
            _print_table("Under 200 millicores, like a pod", QUOTA_COLUMNS, limited)
            overloads = bench.overload(subjects[0])
        else:
            print("Not root: no measurement under a CPU quota.")
        batch = bench.batch_ratio(subjects[0])
        rows = {
            "four vitals": (4, row_us(artifact(), HEALTHY, SICK)),
            MIXED: (20, row_us(Path(scratch), json.loads(foreign.payload()))),
        }
    name = former.name if former else ""
    _print_targets(subjects[0].name, name, free, limited, overloads, batch, rows)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each run of wrk")
    parser.add_argument("--peers", action="store_true", help="measure the installed peers too")
    parser.add_argument("--before", metavar="COMMIT", help="measure the product as of then too")
    parser.add_argument("--shadow", action="store_true", help="measure only what a candidate costs")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the product")
    return parser.parse_args()


@contextlib.contextmanager
def _checkout(commit: str | None) -> Iterator[Path | None]:
    """Check out a commit into a temporary work tree."""
    if not commit:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bench-before-") as folder:
        git = ["git", "-C", str(Path(__file__).parent), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", folder, commit], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True)


def _interpreter(python: str) -> str:
    """Return version and origin of the interpreter: builds of Python differ by a fifth in speed."""
    code = "import sys; print('Python', sys.version.split()[0], 'of', sys.base_prefix)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout


class Bench:
    """The measurements, each of which starts its servers anew."""

    def __init__(self, model: Path, rounds: int, seconds: int) -> None:
        self.model, self.rounds, self.seconds = model, rounds, seconds

    @contextlib.contextmanager
    def start(self, subject: Subject, quota: bool = False) -> Iterator[Running]:
        """Run a subject on one core, or under a quota on both."""
        with (
            Quota(MILLICORES) if quota else contextlib.nullcontext() as limit,
            running(subject, self.model, limit, pin=not quota) as server,
        ):
            yield server

    def compare(self, subjects: tuple[Subject, ...], quota: bool = False) -> Figures:
        """Measure all subjects in turn, in several rounds."""
        figures: Figures = defaultdict(lambda: defaultdict(list))
        for number in range(self.rounds):
            for subject in subjects:
                print(f"round {number + 1}, quota {quota}: {subject.name}", file=sys.stderr)
                try:
                    with self.start(subject, quota) as server:
                        for key, value in self._measure(server, quota).items():
                            figures[subject.name][key].append(value)
                except TimeoutError as error:
                    print(error, file=sys.stderr)
        return figures

    def _measure(self, server: Running, quota: bool) -> dict[str, float]:
        row = {"wall": server.cold_wall, "boot": server.cold_cpu}
        if not quota:
            row["rps1"] = server.load(1, self.seconds).per_second
        load = server.load(16, self.seconds)
        row |= {"rps16": load.per_second, "p50": load.p50_ms, "p99": load.p99_ms}
        row |= {"cpu": load.cpu_per_1000, "failed": load.failed}
        if not quota:
            row["pss"] = server.pss_mib()
            # The first page imports Flask. The other subjects have no page.
            with contextlib.suppress(OSError):
                server.get("/")
            row["page"] = server.pss_mib()
        return row

    def overload(self, subject: Subject) -> list[dict[str, float]]:
        """Load one pod with 100 users, with single records and with batches, and probe it."""
        found = []
        for name, body in (
            ("one record", HEALTHY),
            ("100 records", {"instances": [HEALTHY] * 100}),
        ):
            data = json.dumps(body).encode()
            with (
                self.start(subject, quota=True) as server,
                repeating(lambda: max(map(server.get, ("/health", "/ready"))), 0.2) as probes,
            ):
                times = crowd(server.port, subject.path, data, 100, self.seconds * 3)
            answered, refused = times.pop(200, []), times.pop(503, [])
            broken = sum(map(len, times.values()))
            found.append(
                {
                    "answered": percentile(answered, 0.99),
                    "refused": percentile(refused, 0.99),
                    "probe": max(probes),
                    "broken": broken,
                }
            )
            print(
                f"Overload, 100 users, {name}, one 200m pod, {self.seconds * 3} s:"
                f" {_spread(answered)} answered; {_spread(refused)} refused with 503; {broken}"
                f" broken; slowest health or readiness answer {max(probes) * 1000:.0f} ms of"
                f" {2 * len(probes)}"
            )
        return found

    def batch_ratio(self, subject: Subject) -> float:
        """Return the CPU of a single call divided by the CPU of a row in a batch of 1,000."""
        body = json.dumps({"instances": [HEALTHY] * 1000})
        ratios = []
        for _ in range(self.rounds):
            with self.start(subject) as server:
                call = server.load(16, self.seconds).cpu_per_1000
                row = server.load(4, self.seconds, body).cpu_per_1000 / 1000
                ratios.append(call / row)
        print(f"Batch of 1,000: a row costs 1/{median(ratios):.0f} of a single call")
        return median(ratios)


def row_us(folder: Path, *records: dict[str, Any]) -> float:
    """Return the microseconds of CPU to score a row of a batch of 1,000 of these records."""
    model = load(folder)
    reader = RecordReader(model.schema, records[0])
    rows = reader.read_many(list(islice(cycle(records), 1000)), "instances")
    best = math.inf
    for _ in range(50):
        started = time.process_time()
        model.scorer.score_many(rows)
        best = min(best, time.process_time() - started)
    return best * 1e6 / len(rows)


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    p50, p99 = (percentile(seconds, share) * 1000 for share in (0.5, 0.99))
    return f"{len(seconds)} (p50 {p50:.0f} ms, p99 {p99:.0f} ms)"


def _print_table(title: str, columns: dict[str, str], figures: Figures) -> None:
    print(f"\n{title} (medians)\n")
    print("| server | " + " | ".join(columns.values()) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, row in figures.items():
        cells = [_cell(median(row[key])) for key in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print()


def _cell(value: float) -> str:
    if math.isnan(value):
        return "n/a"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _print_targets(
    name: str,
    former: str,
    free: Figures,
    limited: Figures,
    overloads: list[dict[str, float]],
    batch: float,
    rows_us: dict[str, tuple[int, float]],
) -> None:
    """Print for each target of the product whether it is met, n/a where it was not measured."""

    def own(figure: str, figures: Figures = free) -> float:
        return median(figures.get(name, {}).get(figure, []))

    def times_cheaper_than(other: str) -> float:
        return median(free.get(other, {}).get("cpu", [])) / own("cpu")

    def worst(figure: str) -> float:
        # Of a pod that refused nobody, there is no time of refusals.
        found = [row[figure] for row in overloads if not math.isnan(row[figure])]
        return max(found, default=math.nan)

    rows = [
        ("CPU-seconds per 1,000 predictions, 16 connections", own("cpu"), "<=", 0.06),
        ("times the CPU of the server before", 1 / times_cheaper_than(former), "<=", 1.15),
        (
            "20 features of every type: times the CPU of the server before",
            median(free[MIXED]["cpu"]) / median(free.get(former, {}).get("cpu", [])),
            "<=",
            3,
        ),
        *(
            (f"microseconds of CPU to score a row of a batch, {what}", us, "<=", 1.5 * features / 4)
            for what, (features, us) in rows_us.items()
        ),
        (
            "times cheaper than a Flask view that returns a constant",
            times_cheaper_than(FLASK),
            ">=",
            1.6,
        ),
        ("times cheaper than KServe's server", times_cheaper_than("KServe"), ">=", 12),
        ("times cheaper than MLServer", times_cheaper_than("MLServer"), ">=", 12),
        ("PSS MiB", own("pss"), "<=", 45),
        ("PSS MiB after GET /", own("page"), "<=", 45),
        ("cold start CPU-seconds", own("boot"), "<=", 0.25),
        ("200m: cold start CPU-seconds", own("boot", limited), "<=", 0.25),
        ("200m: exec to first answer s", own("wall", limited), "<=", 0.8),
        ("200m: req/s at 16 connections", own("rps16", limited), ">=", 5000),
        ("batch row cheaper than a call, times", batch, ">=", 20),
        ("200m, 100 users: p99 of the answered s", worst("answered"), "<=", 1),
        ("200m, 100 users: p99 of the 503s s", worst("refused"), "<=", 1),
        ("200m, 100 users: slowest probe s", worst("probe"), "<=", 0.2),
        ("200m, 100 users: neither answered nor 503", worst("broken"), "<=", 0),
        ("failed requests", sum(free[name]["failed"]), "<=", 0),
    ]
    for what, value, sign, target in rows:
        met = value <= target if sign == "<=" else value >= target
        verdict = "n/a" if math.isnan(value) else "met" if met else "MISSED"
        print(f"{verdict:<7} {what}: {_cell(value)} ({sign} {target:g})")


if __name__ == "__main__":
    sys.exit(main())
