"""One prediction through the Service, as a person would ask for it from outside the cluster."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from riskdemo.shell import DemoError, Kubectl

PATIENTS = {
    "a healthy adult": {
        "heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97,
    },
    "a very sick one": {
        "heart_rate": 132, "blood_pressure": 84, "temperature": 103.6, "oxygen_level": 85,
    },
}  # fmt: skip


@contextmanager
def forwarded(kubectl: Kubectl, service: str) -> Iterator[str]:
    """``kubectl port-forward`` to a Service on a free loopback port; yields the URL."""
    with kubectl.popen("port-forward", f"service/{service}", ":http") as process:
        try:
            yield f"http://127.0.0.1:{_port(process)}"
        finally:
            process.terminate()


def predict(url: str, patient: dict[str, float]) -> dict[str, Any]:
    """``POST /predict`` for one patient."""
    request = urllib.request.Request(  # noqa: S310 - our own loopback address
        f"{url}/predict",
        data=json.dumps(patient).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
        return answer


def _port(process: subprocess.Popen[str]) -> int:
    for line in process.stdout or ():
        if (match := re.search(r"127\.0\.0\.1:(\d+)", line)) is not None:
            return int(match[1])
        if "error" in line.lower():
            raise DemoError(f"kubectl port-forward: {line.strip()}")
    raise DemoError("kubectl port-forward ended without a word")
