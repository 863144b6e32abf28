"""Prometheus and promtool from Debian's package, unpacked and not installed: no service starts."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import yaml

from support import debian
from support.api import eventually
from support.cluster import ROOT

RULES = ROOT / "deploy" / "monitoring" / "rules.yaml"


def program(name: str) -> Path:
    """``prometheus`` or ``promtool``; fetched once and kept in the cache."""
    return debian.unpacked("prometheus") / "usr" / "bin" / name


def promtool(*arguments: str) -> str:
    """Its output; fails the test with what it found."""
    done = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> dict[str, Any]:
    """The shipped rules, as Prometheus itself reads them."""
    spec: dict[str, Any] = yaml.safe_load(RULES.read_text())["spec"]
    return spec


def alerts() -> dict[str, dict[str, Any]]:
    """The shipped alerts by name."""
    return {rule["alert"]: rule for group in rules()["groups"] for rule in group["rules"]}


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        found = self._ask("/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}

    def up(self) -> dict[str, bool]:
        """By job, whether its target can be scraped."""
        found = self._ask("/targets")["activeTargets"]
        return {target["labels"]["job"]: target["health"] == "up" for target in found}

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Present samples of an expression; each has its labels in ``metric`` and a ``value``."""
        found: list[dict[str, Any]] = self._ask(f"/query?{urlencode({'query': expr})}")["result"]
        return found

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(self._url + path, timeout=30) as answer:
            return json.load(answer)["data"]


@contextmanager
def running(
    folder: Path,
    port: int,
    targets: Mapping[str, int],
    wait: str,
    labels: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Iterator[Prometheus]:
    """Prometheus with the shipped rules, scraping loopback ports by job every second.

    Args:
        folder: for its data.
        port: where it listens.
        targets: job and port.
        wait: every rule's ``for`` instead of the shipped one.
        labels: by job, what a PodMonitor would add to its series.
    """
    shortened = rules()
    for group in shortened["groups"]:
        for rule in group["rules"]:
            rule["for"] = wait
    (folder / "rules.yaml").write_text(yaml.safe_dump(shortened))
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {"job_name": job, "honor_labels": True,
             "static_configs": [{"targets": [f"127.0.0.1:{target}"],
                                 "labels": dict(labels.get(job, {}))}]}
            for job, target in targets.items()
        ],
    }  # fmt: skip
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [program("prometheus"), f"--config.file={folder}/prometheus.yaml",
             f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            eventually(lambda: _is_ready(port, process, folder), within=60, every=0.2)
            yield Prometheus(port)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _is_ready(port: int, process: subprocess.Popen[bytes], folder: Path) -> bool:
    assert process.poll() is None, (folder / "prometheus.log").read_text()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1):
            return True
    except OSError:
        return False
