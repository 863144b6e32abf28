"""The predictor side by side with what it was, with the usual ways and with its peers.

``PYTHONPATH=tests:predictor python -m bench.predictor.bench [--peers] [--before COMMIT]``

Subjects are interleaved in every round and medians are shown. The server has one core and the
load generator (wrk) the other, so read ratios rather than absolute figures on a shared machine.
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
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bench.predictor.crowd import crowd, percentile
from bench.predictor.measure import Running, median, running
from bench.predictor.subjects import FLASK, RECORD, Subject, before, own, peers, usual
from bench.processes import Quota

Figures = dict[str, dict[str, list[float]]]
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
Overload = dict[str, float]


def main() -> int:
    args = _arguments()
    if not shutil.which("wrk"):
        print("wrk is not installed (Debian: apt-get install wrk)", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory(prefix="bench-model-") as folder,
        _checkout(args.before) as checkout,
    ):
        model = Path(folder)
        from riskpredictor_server.train import main as train

        train(["--model-version", "v1", "--out", str(model)])
        yardsticks = usual(args.environments)
        if not yardsticks:
            print("granian is not installed: no figures of the usual ways (README.md says how)")
        subjects = own(args.python)
        if checkout:
            subjects += (before(args.python, args.before, checkout),)
        subjects += yardsticks
        if args.peers:
            found = peers(args.environments)
            print(f"peers: {', '.join(peer.name for peer in found) or 'none installed'}")
            subjects += found
        print(_interpreter(args.python))
        free = _rounds(subjects, model, args.rounds, args.seconds)
        _table("One core for the server", COLUMNS, free)
        limited: Figures = {}
        overloads: list[Overload] = []
        if os.geteuid() == 0:
            limited = _limited(subjects, model, args.rounds, args.seconds)
            _table("Under 200 millicores, like a pod", QUOTA_COLUMNS, limited)
            overloads = _overload(subjects[0], model, args.seconds * 3)
        else:
            print("Not root: no measurement under a CPU quota.")
        batch = _batch(subjects[0], model, args.rounds, args.seconds)
        former = subjects[2].name if checkout else ""
    _targets(subjects[0].name, former, free, limited, overloads, batch)
    if args.json:
        args.json.write_text(json.dumps({"free": free, "limited": limited}, indent=1))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each run of wrk")
    parser.add_argument("--peers", action="store_true", help="also those installed beforehand")
    parser.add_argument("--before", metavar="COMMIT", help="also the product as it was then")
    default = Path.home() / ".cache" / "riskpredictor" / "bench"
    parser.add_argument(
        "--environments", type=Path, default=default, help="of granian and the peers"
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter of the product")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@contextlib.contextmanager
def _checkout(commit: str | None) -> Iterator[Path | None]:
    """A work tree of that commit, for as long as the ``with`` lasts."""
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
    """Builds of Python differ by a fifth in speed: say which one this is."""
    code = "import sys; print('Python', sys.version.split()[0], 'of', sys.base_prefix)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout


def _rounds(subjects: tuple[Subject, ...], model: Path, rounds: int, seconds: int) -> Figures:
    figures: Figures = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for subject in subjects:
            print(f"round {number + 1}: {subject.name}", file=sys.stderr)
            try:
                with running(subject, model) as server:
                    _measure(server, figures[subject.name], seconds)
            except TimeoutError as error:
                print(error, file=sys.stderr)
    return figures


def _measure(server: Running, row: dict[str, list[float]], seconds: int) -> None:
    row["wall"].append(server.cold_wall)
    row["boot"].append(server.cold_cpu)
    row["rps1"].append(server.load(1, seconds).per_second)
    load = server.load(16, seconds)
    row["rps16"].append(load.per_second)
    row["p50"].append(load.p50_ms)
    row["p99"].append(load.p99_ms)
    row["cpu"].append(load.cpu_per_1000)
    row["bad"].append(load.refused + load.broken)
    row["pss"].append(server.pss_mib())
    # Flask is imported by the first page; the others have none, and have imported all there is.
    with contextlib.suppress(OSError):
        server.ask("/")
    row["page"].append(server.pss_mib())


def _limited(subjects: tuple[Subject, ...], model: Path, rounds: int, seconds: int) -> Figures:
    figures: Figures = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for subject in subjects:
            print(f"round {number + 1} at 200m: {subject.name}", file=sys.stderr)
            try:
                with Quota(200) as quota, running(subject, model, quota, pin=False) as server:
                    row = figures[subject.name]
                    row["wall"].append(server.cold_wall)
                    row["boot"].append(server.cold_cpu)
                    load = server.load(16, seconds)
                    row["rps16"].append(load.per_second)
                    row["p99"].append(load.p99_ms)
            except TimeoutError as error:
                print(error, file=sys.stderr)
    return figures


def _overload(ours: Subject, model: Path, seconds: int) -> list[Overload]:
    """100 users against one 200m pod, single records and batches, while probes look."""
    found = []
    for name, body in (("one record", RECORD), ("100 records", {"instances": [RECORD] * 100})):
        with Quota(200) as quota, running(ours, model, quota, pin=False) as server:
            probes: list[float] = []
            done = threading.Event()
            prober = threading.Thread(target=_probe, args=(server, done, probes))
            prober.start()
            took = crowd(server.port, ours.path, json.dumps(body).encode(), 100, seconds)
            done.set()
            prober.join()
        answered, refused = took.get(200, []), took.get(503, [])
        broken = sum(len(times) for status, times in took.items() if status not in (200, 503))
        found.append(
            {
                "answered": percentile(answered, 0.99),
                "refused": percentile(refused, 0.99),
                "probe": max(probes),
                "broken": broken,
            }
        )
        print(
            f"Overload, 100 users, {name}, one 200m pod, {seconds} s: {_spread(answered)} answered;"
            f" {_spread(refused)} refused with 503; {broken} broken; slowest health or readiness"
            f" answer {max(probes) * 1000:.0f} ms of {len(probes)}"
        )
    return found


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    p50, p99 = (percentile(seconds, share) * 1000 for share in (0.5, 0.99))
    return f"{len(seconds)} (p50 {p50:.0f} ms, p99 {p99:.0f} ms)"


def _probe(server: Running, done: threading.Event, took: list[float]) -> None:
    while not done.is_set():
        took.append(server.ask("/health"))
        took.append(server.ask("/ready"))
        time.sleep(0.2)


def _batch(ours: Subject, model: Path, rounds: int, seconds: int) -> float:
    """CPU of a single call divided by CPU of a row in a batch of 1,000."""
    body = json.dumps({"instances": [RECORD] * 1000})
    ratios = []
    for _ in range(rounds):
        with running(ours, model) as server:
            one = server.load(16, seconds).cpu_per_1000
            row = server.load(4, seconds, body).cpu_per_1000 / 1000
            ratios.append(one / row)
    print(f"Batch of 1,000: a row costs 1/{median(ratios):.0f} of a single call")
    return median(ratios)


def _table(title: str, columns: dict[str, str], figures: Figures) -> None:
    print(f"\n{title} (medians)\n")
    print("| server | " + " | ".join(columns.values()) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, row in figures.items():
        cells = [_cell(median(row.get(key, []))) for key in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print()


def _cell(value: float) -> str:
    if math.isnan(value):
        return "n/a"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _targets(
    name: str,
    former: str,
    free: Figures,
    limited: Figures,
    overloads: list[Overload],
    batch: float,
) -> None:
    """Every target of the product, met or not; n/a for what could not be measured here."""
    mine, few = free[name], limited.get(name, {})
    cpu = median(mine["cpu"])

    def times(other: str) -> float:
        return median(free[other]["cpu"]) / cpu if other in free else math.nan

    def worst(figure: str) -> float:
        # A pod that refuses nobody has no time of refusals.
        found = [row[figure] for row in overloads if not math.isnan(row[figure])]
        return max(found, default=math.nan)

    rows = [
        ("CPU-seconds per 1,000 predictions, 16 connections", cpu, "<=", 0.06),
        ("times the CPU of the server before", 1 / times(former), "<=", 2),
        ("times cheaper than a Flask view that returns a constant", times(FLASK), ">=", 1.6),
        ("times cheaper than KServe's server", times("KServe"), ">=", 12),
        ("times cheaper than MLServer", times("MLServer"), ">=", 12),
        ("PSS MiB", median(mine["pss"]), "<=", 45),
        ("PSS MiB after GET /", median(mine["page"]), "<=", 45),
        ("cold start CPU-seconds", median(mine["boot"]), "<=", 0.25),
        ("200m: cold start CPU-seconds", median(few.get("boot", [])), "<=", 0.25),
        ("200m: exec to first answer s", median(few.get("wall", [])), "<=", 0.8),
        ("200m: req/s at 16 connections", median(few.get("rps16", [])), ">=", 5000),
        ("batch row cheaper than a call, times", batch, ">=", 20),
        ("200m, 100 users: p99 of the answered s", worst("answered"), "<=", 1),
        ("200m, 100 users: p99 of the 503s s", worst("refused"), "<=", 1),
        ("200m, 100 users: slowest probe s", worst("probe"), "<=", 0.2),
        ("200m, 100 users: neither answered nor 503", worst("broken"), "<=", 0),
        ("failed requests", sum(mine["bad"]), "<=", 0),
    ]
    for what, value, sign, target in rows:
        met = value <= target if sign == "<=" else value >= target
        verdict = "n/a" if math.isnan(value) else "met" if met else "MISSED"
        print(f"{verdict:<7} {what}: {_cell(value)} ({sign} {target:g})")


if __name__ == "__main__":
    sys.exit(main())
