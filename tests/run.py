"""Runs the layers of the tests, side by side where the machine has room, and prints one summary.

    python tests/run.py [LAYER ...]

A layer writes to build/tests/LAYER.log; its progress and, in the end, its failures are shown here.
A layer that fails does not keep others from running, and the exit status is 0 only if all passed.
What fails in a layer on real components, for up to three causes, is tried once more, alone; the
summary names it (docs/decisions/0007).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build" / "tests"
BIN = Path(sys.executable).parent
CORES = os.cpu_count() or 1
ALL = float("inf")
SECOND_ATTEMPTS = 3
"""More causes than this are no accident of timing."""
PROGRESS_SECONDS = 30.0
LIMIT_SECONDS = 3300.0
"""A layer that takes longer hangs, and is interrupted."""
KILL_SECONDS = 60.0
"""How long it may take to end after that."""


@dataclass(frozen=True)
class Layer:
    """A gate, or a folder of tests."""

    name: str
    command: Sequence[str]
    cores: float = ALL
    """How many it keeps busy; layers run at the same time as long as there are enough."""
    real: bool = False
    """Whether the machine's timing is part of the result."""

    @property
    def is_suite(self) -> bool:
        return "pytest" in self.command


def gate(name: str, program: str, *arguments: str) -> Layer:
    """A program of the development environment that says by its exit status if all is well."""
    return Layer(name, (str(BIN / program), *arguments))


def suite(name: str, *arguments: str, cores: float = ALL, real: bool = False) -> Layer:
    """A folder of tests, run by pytest with these arguments."""
    return Layer(name, (sys.executable, "-m", "pytest", *arguments), cores, real)


SPREAD = ("-n", str(CORES * 3 // 2), "--dist", "worksteal")
"""In more processes than there are cores, for some tests wait."""
STORES = ("-n", "2", "--dist", "loadfile")
"""In two processes, each with stores of its own."""
BY_FILE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
"""In two processes, each with a cluster of its own."""
LAYERS = (
    gate("format", "ruff", "format", "--check", "."),
    gate("lint", "ruff", "check", "."),
    gate("types", "mypy"),
    Layer("imports", ("env", "PYTHONPATH=tools/cluster", str(BIN / "lint-imports"))),
    suite("unit", *SPREAD, "tests/unit"),
    Layer("programs", ("make", "programs")),
    suite("contract", *SPREAD, "tests/contract"),
    suite("store", *STORES, "tests/store", cores=0.6, real=True),
    suite("control plane", *BY_FILE, "tests/control_plane", cores=0.8, real=True),
    suite("pods", "tests/e2e", cores=0.8, real=True),
    suite("chaos", "tests/chaos", cores=0.4, real=True),
    suite("browser", "tests/browser", cores=0.4, real=True),
)


@dataclass(frozen=True)
class Report:
    """What a run said: its exit status, and names or counts of tests; a gate is one test."""

    status: int
    total: int
    failed: tuple[str, ...]
    skipped: int = 0
    causes: int = 0
    """A fixture that fails for many tests is one cause."""


class Run:
    """One attempt at a layer, as a process."""

    def __init__(self, layer: Layer, again: bool = False) -> None:
        """Start it; ``again`` is the second attempt at what failed in the first."""
        stem = layer.name.replace(" ", "-")
        name = f"{stem}-again" if again else stem
        self.layer, self.log, self._xml = layer, LOGS / f"{name}.log", LOGS / f"{name}.xml"
        self.expected = _seconds_of(self.log)
        self._xml.unlink(missing_ok=True)
        command = [*layer.command]
        if layer.is_suite:
            command += [
                "-v", "-o", "console_output_style=count", "-o", f"cache_dir={LOGS / stem}",
                "--durations=10", f"--junitxml={self._xml}", *(["--last-failed"] if again else []),
            ]  # fmt: skip
        self._started, self.seconds, self._limit = time.monotonic(), 0.0, LIMIT_SECONDS
        self._interrupted = False
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def is_over(self) -> bool:
        """Whether it ended; one that takes too long is interrupted, and killed a minute later."""
        self.seconds = time.monotonic() - self._started
        if self.seconds > self._limit:
            self._process.send_signal(signal.SIGKILL if self._interrupted else signal.SIGINT)
            self._interrupted, self._limit = True, self.seconds + KILL_SECONDS
        return self._process.poll() is not None

    def progress(self) -> str:
        """How many tests are done, and how long the others take: as last time, else by count."""
        counts = re.findall(r"\[ *(\d+)/(\d+)\]", self.log.read_text())
        if not counts:
            return f"{self.layer.name} {_clock(self.seconds)}"
        done, total = map(int, counts[-1])
        left = self.expected - self.seconds
        if left <= 0:
            left = self.seconds * (total - done) / done
        return f"{self.layer.name} {done}/{total}, {_clock(left)} left"

    def report(self) -> Report:
        """Of a suite what pytest reports, of a gate its exit status."""
        status = self._process.wait() or int(self._interrupted)
        if not self.layer.is_suite:
            return Report(status, 1, (self.layer.name,) if status else ())
        if not self._xml.exists():
            return Report(status, 0, ())
        cases = list(ET.parse(self._xml).getroot().iter("testcase"))
        failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
        names = dict.fromkeys(map(_name, failed))
        skipped = sum(case.find("skipped") is not None for case in cases)
        return Report(status, len(cases), tuple(names), skipped, len(set(map(_cause, failed))))

    def failures(self) -> str:
        """The part of the log about what failed."""
        text = self.log.read_text()
        found = re.search(r"^=+ (ERRORS|FAILURES) =+$", text, re.MULTILINE)
        return text[found.start() :] if found else text


@dataclass(frozen=True)
class Result:
    """Outcome of a layer; counts are tests."""

    layer: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    again: tuple[str, ...] = ()
    """Tests that passed only at the second attempt; counted as passed."""


def main(wanted: list[str]) -> int:
    """Run the wanted layers, or all."""
    known = [layer.name for layer in LAYERS]
    if unknown := sorted(set(wanted) - set(known)):
        print(f"no such layer: {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    return summary(run_all([layer for layer in LAYERS if not wanted or layer.name in wanted]))


def run_all(layers: Sequence[Layer]) -> list[Result]:
    """Run them, then what deserves a second attempt; print what failed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    runs = {run.layer.name: run for run in _side_by_side(layers)}
    results = []
    for layer in layers:
        run = runs[layer.name]
        report, seconds, again = run.report(), run.seconds, tuple[str, ...]()
        failed = report.failed
        if report.status:
            print(f"\n==== {layer.name}: what failed, from {run.log} ====\n{run.failures()}")
        if report.status == 1 and layer.real and report.causes <= SECOND_ATTEMPTS:
            (run,) = _side_by_side([layer], again=True)
            second, seconds = run.report(), seconds + run.seconds
            if second.total >= len(failed):
                again = tuple(name for name in failed if name not in second.failed)
                failed = second.failed
        # Neither passed nor failed: it did not even get to its tests.
        failures = len(failed) if report.status in (0, 1) else max(1, len(failed))
        passed = report.total - len(failed) - report.skipped
        results.append(Result(layer.name, passed, failures, report.skipped, seconds, again))
    return results


def _side_by_side(layers: Sequence[Layer], *, again: bool = False) -> Iterator[Run]:
    """Run layers in their order, each as soon as there are cores for it; ended ones as they end."""
    waiting, running = list(layers), list[Run]()
    told = time.monotonic()
    while waiting or running:
        while waiting and _have_room([*(run.layer for run in running), waiting[0]]):
            running.append(Run(waiting.pop(0), again))
            what = "second attempt of" if again else "start of"
            print(f"{what} {running[-1].layer.name}: {running[-1].log}", flush=True)
        time.sleep(0.1)
        ended = [run for run in running if run.is_over()]
        for run in ended:
            running.remove(run)
            outcome = "failed" if run.report().status else "passed"
            print(f"{run.layer.name} {outcome} in {_clock(run.seconds)}", flush=True)
            yield run
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            print("; ".join(run.progress() for run in running), flush=True)


def _have_room(layers: Sequence[Layer]) -> bool:
    return len(layers) == 1 or sum(layer.cores for layer in layers) <= CORES


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _seconds_of(log: Path) -> float:
    """How long the run that wrote a log took, as pytest says in its last line; 0 if it is new."""
    took = re.findall(r" in ([\d.]+)s", log.read_text()) if log.exists() else []
    return float(took[-1]) if took else 0.0


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _cause(case: ET.Element) -> str:
    """What it failed of: pytest reports a shared fixture's failure for each test that asks for it,
    in the same words."""
    error = case.find("error")
    said = "" if error is None else error.get("message", "")
    return said if said.startswith("failed on setup with") else _name(case)


def summary(results: Sequence[Result]) -> int:
    """Print it; the exit status."""
    print(f"\n{'layer':<16}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for r in results:
        print(f"{r.layer:<16}{r.passed:>8}{r.failed:>8}{r.skipped:>9}{r.seconds:>9.1f}")
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    skipped = sum(r.skipped for r in results)
    again = [name for r in results for name in r.again]
    if again:
        print(f"\n{len(again)} passed only at the second attempt: {', '.join(again)}")
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
