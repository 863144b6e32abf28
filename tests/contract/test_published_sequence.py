"""The operator's confidence sequence beside a published one: savvi."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from riskpredictor_operator.core.change.sequence import interval, log_e_value
from support.cluster import ROOT

CASES = [
    (successes, n, alpha, a, b)
    for successes, n in ((0, 100), (1, 160), (3, 642), (12, 2304), (60, 2304), (200, 500))
    for alpha in (0.05, 0.01, 0.01 / 6)
    for a, b in ((1.0, 99.0), (2.0, 30.0))
]


def test_bounds_and_evidence_are_those_of_a_published_implementation(savvi_python: Path) -> None:
    script = ROOT / "tests" / "support" / "savvi_bounds.py"
    done = subprocess.run(
        [savvi_python, "-I", "-W", "ignore", script],
        input=json.dumps(CASES), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for case, (evidence, *published) in zip(CASES, json.loads(done.stdout), strict=True):
        successes, n, alpha, a, b = case
        own = log_e_value(successes, n, a / (a + b), a, b)
        assert own == pytest.approx(evidence, rel=0, abs=1e-9), case
        assert interval(successes, n, alpha, a, b) == pytest.approx(published, rel=0, abs=1e-9), (
            case
        )
