"""A pod that loads a predictor from inside the cluster, and what it reports.

From inside, because that works on every cluster, goes through the real Service and touches nothing
but the cluster's own addresses.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riskdemo.shell import DemoError, Kubectl

SCRIPT = Path(__file__).with_name("loadgen.py")
POD = "load-generator"


@dataclass
class Report:
    """The newest second and the sums so far. Latencies are milliseconds."""

    per_second: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    ok: int = 0
    failed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    done: bool = False

    def add(self, line: dict[str, Any]) -> None:
        """Take in one line of the load generator."""
        if line.get("done"):
            self.done = True
            return
        self.per_second, self.p50, self.p99 = line["per_second"], line["p50_ms"], line["p99_ms"]
        self.ok += line["ok"]
        self.failed += line["failed"]
        self.failures.update(line["failures"])
        self.versions.update(line["versions"])


class Load:
    """Runs the load generator for a while; a context manager that always cleans up."""

    def __init__(
        self,
        kubectl: Kubectl,
        *,
        image: str,
        service: str,
        users: int,
        seconds: int,
        think: float = 0.0,
    ):
        """``think`` is each user's mean pause between two requests, in seconds."""
        self._kubectl = kubectl
        options = {"--users": users, "--seconds": seconds, "--think": think}
        self._manifests = _manifests(kubectl, image, service, options)
        self._follower: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.report = Report()

    def __enter__(self) -> Load:
        self._delete()
        self._kubectl("apply", "-f", "-", stdin=json.dumps(self._manifests))
        try:
            self._kubectl("wait", "--for=condition=Ready", f"pod/{POD}", "--timeout=60s")
        except DemoError as error:
            raise DemoError(f"the load generator did not start: {error}") from None
        self._follower = self._kubectl.popen("logs", "--follow", POD)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._delete()
        if self._follower is not None:
            with self._follower:
                self._follower.terminate()
                self._reader.join(timeout=10)

    def _read(self) -> None:
        assert self._follower is not None  # noqa: S101
        for line in self._follower.stdout or ():
            try:
                self.report.add(json.loads(line))
            except (ValueError, KeyError):
                self.report.failures[line.strip()[:80]] += 1

    def _delete(self) -> None:
        self._kubectl(
            "delete", f"pod/{POD}", f"configmap/{POD}", "--ignore-not-found", "--grace-period=0",
            "--force",
        )  # fmt: skip


def _manifests(
    kubectl: Kubectl, image: str, service: str, options: dict[str, float]
) -> dict[str, Any]:
    address = kubectl.json("get", "service", service)["spec"]
    # By address: a small cluster may have no DNS.
    url = f"http://{address['clusterIP']}:{address['ports'][0]['port']}"
    meta = {"name": POD, "labels": {"app": POD}}
    container = {
        "name": "load",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/venv/bin/python", "-u", "/script/loadgen.py"],
        "args": ["--url", url, *(f"{name}={value}" for name, value in options.items())],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "script", "mountPath": "/script"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [{"name": "script", "configMap": {"name": POD}}],
        },
    }
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta,
        "data": {"loadgen.py": SCRIPT.read_text()},
    }
    return {"apiVersion": "v1", "kind": "List", "items": [script, pod]}
