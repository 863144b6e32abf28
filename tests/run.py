"""Runs every layer of the tests, one after the other, and prints one summary.

    python tests/run.py [LAYER ...]

A layer that fails does not keep the next ones from running. The exit status is 0 only if all
passed.
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
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = [
            sys.executable, "-m", "pytest", "-q", "--durations=5", f"--junitxml={report.name}",
            *SUITES[layer],
        ]  # fmt: skip
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        passed, failed, skipped = _counts(Path(report.name))
    if code != 0 and failed == 0:
        failed = 1  # it did not even get to its tests
    return Result(layer, passed, failed, skipped, time.monotonic() - started)


def _counts(report: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of a JUnit report; zeros if there is none."""
    if report.stat().st_size == 0:
        return 0, 0, 0
    total = failed = skipped = 0
    for suite in ET.parse(report).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return total - failed - skipped, failed, skipped


def _summary(results: list[Result]) -> int:
    print(f"\n{'layer':<16}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for r in results:
        print(f"{r.layer:<16}{r.passed:>8}{r.failed:>8}{r.skipped:>9}{r.seconds:>9.1f}")
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    skipped = sum(r.skipped for r in results)
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
