"""The model of predictor/examples/early-warning, trained on few of its records."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from riskpredictor_server.train import main
from support.cluster import ROOT

EXAMPLE = ROOT / "predictor" / "examples" / "early-warning"
SCHEMA = EXAMPLE / "schema.yaml"
WELL: dict[str, Any] = {
    "respiratory_rate": 16,
    "oxygen_saturation": 97,
    "supplemental_oxygen": False,
    "systolic_pressure": 122,
    "pulse": 76,
    "consciousness": "Alert",
    "temperature": 98.2,
    "age": 45,
    "lactate": 1.0,
}
ILL: dict[str, Any] = {
    "respiratory_rate": 22,
    "oxygen_saturation": 94,
    "supplemental_oxygen": True,
    "systolic_pressure": 118,
    "pulse": 96,
    "consciousness": "Alert",
    "temperature": 100.8,
    "age": 71,
    "lactate": 2.6,
}
"""High, and not for certain: every level has a probability that shows."""


def train(folder: Path, records: int = 600) -> Path:
    """Generate the records, train as the guide does, and return the artifact; it takes seconds."""
    data, out = folder / "records.csv", folder / "ward-ews-1"
    generate = [sys.executable, str(EXAMPLE / "observations.py"), f"--records={records}"]
    data.write_bytes(subprocess.run(generate, stdout=subprocess.PIPE, check=True).stdout)
    arguments = ["--schema", str(SCHEMA), "--data", str(data), "--group", "patient"]
    assert main([*arguments, "--model-version", "ward-ews-1", "--out", str(out)]) == 0
    return out
