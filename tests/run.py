"""Runs every layer of the tests, one after the other, and prints one summary.

    python tests/run.py [LAYER ...]

A layer that fails does not keep the next ones from running. The exit status is 0 only if all
passed. A layer on real components that fails for up to three causes gets a second attempt at what
failed, which the summary shows (docs/decisions/0007).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Result:
    """Outcome of a layer; counts are tests, for a gate one."""

    layer: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    again: tuple[str, ...] = ()
    """Tests that passed only at the second attempt; counted as passed."""


@dataclass(frozen=True)
class Report:
    """What pytest said: its exit status, and names or counts of tests."""

    status: int
    total: int
    failed: tuple[str, ...]
    skipped: int
    causes: int = 0
    """A fixture that fails for many tests is one cause."""


GATES = {
    "format": [str(BIN / "ruff"), "format", "--check", "."],
    "lint": [str(BIN / "ruff"), "check", "."],
    "types": [str(BIN / "mypy")],
    "imports": [str(BIN / "lint-imports")],
}
SUITES = {
    "unit": ["tests/unit"],
    "contract": ["tests/contract"],
    "control plane": ["tests/control_plane"],
    "chaos": ["tests/chaos"],
    "browser": ["tests/browser"],
    "pods": ["tests/e2e"],
}
REAL = ("control plane", "chaos", "browser", "pods")
"""Layers in which the machine's timing is part of the result."""
SECOND_ATTEMPTS = 3
"""More causes than this are no accident of timing."""


def main(wanted: list[str]) -> int:
    """Run the wanted layers, or all."""
    unknown = set(wanted) - set(GATES) - set(SUITES)
    if unknown:
        known = ", ".join([*GATES, *SUITES])
        print(f"no such layer: {', '.join(sorted(unknown))}; there are: {known}")
        return 2
    results = []
    for layer in [*GATES, *SUITES]:
        if wanted and layer not in wanted:
            continue
        print(f"\n==== {layer} ====", flush=True)
        results.append(_gate(layer) if layer in GATES else _suite(layer))
    return _summary(results)


def _gate(layer: str) -> Result:
    started = time.monotonic()
    failed = subprocess.run(GATES[layer], cwd=ROOT, check=False).returncode != 0
    return Result(layer, 0 if failed else 1, int(failed), 0, time.monotonic() - started)


def _suite(layer: str) -> Result:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        first = _pytest(layer, Path(folder))
        failed, again = first.failed, tuple[str, ...]()
        if first.status == 1 and layer in REAL and first.causes <= SECOND_ATTEMPTS:
            print(f"\n==== {layer}: second attempt of {len(failed)} ====", flush=True)
            second = _pytest(layer, Path(folder), "--last-failed")
            if second.total >= len(failed):
                again = tuple(name for name in failed if name not in second.failed)
                failed = second.failed
    # Neither passed nor failed: it did not even get to its tests.
    failures = len(failed) if first.status in (0, 1) else max(1, len(failed))
    passed = first.total - len(failed) - first.skipped
    return Result(layer, passed, failures, first.skipped, time.monotonic() - started, again)


def _pytest(layer: str, folder: Path, *arguments: str) -> Report:
    """Run a layer, keeping pytest's memory of failures in ``folder``."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pytest", "-q", "--durations=5", f"--junitxml={report}",
        "-o", f"cache_dir={folder}", *arguments, *SUITES[layer],
    ]  # fmt: skip
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if not report.exists():
        return Report(status, 0, (), 0)
    cases = list(ET.parse(report).getroot().iter("testcase"))
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    names = dict.fromkeys(map(_name, failed))
    skipped = sum(case.find("skipped") is not None for case in cases)
    return Report(status, len(cases), tuple(names), skipped, len(set(map(_cause, failed))))


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _cause(case: ET.Element) -> str:
    """What it failed of: pytest reports a shared fixture's failure for each test that asks for it,
    in the same words."""
    error = case.find("error")
    said = "" if error is None else error.get("message", "")
    return said if said.startswith("failed on setup with") else _name(case)


def _summary(results: list[Result]) -> int:
    print(f"\n{'layer':<16}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for r in results:
        print(f"{r.layer:<16}{r.passed:>8}{r.failed:>8}{r.skipped:>9}{r.seconds:>9.1f}")
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    skipped = sum(r.skipped for r in results)
    again = [name for r in results for name in r.again]
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    if again:
        print(f"{len(again)} of the passed only at the second attempt: {', '.join(again)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
