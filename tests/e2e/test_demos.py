"""The demonstrations, as people start them, with shorter times."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskdemo import model_change
from riskdemo.install import DEMO_NAMESPACE
from riskdemo.run import Run
from riskpredictor_operator.kube import Key
from support.api import NAMESPACE, RISKPREDICTOR, Api, eventually
from support.cluster import ROOT, LocalCluster
from support.predictors import Predictors


def demo(cluster: LocalCluster, script: str, *arguments: str) -> str:
    """Output of a demonstration that ended well."""
    path = ROOT / "tools" / "demo" / script
    done = subprocess.run(
        [sys.executable, str(path), "--name", cluster.name, *arguments],
        capture_output=True, text=True, check=False, timeout=800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def predictor(predictors: Predictors) -> Key:
    key = predictors.create("health-predictor", minReplicas=2, maxReplicas=2)
    predictors.wait(key, within=90)
    return key


@pytest.fixture
def demo_namespace(api: Api) -> Iterator[Key]:
    """What a story declares; gone afterwards."""
    yield Key(DEMO_NAMESPACE, "health-predictor")
    api.delete(NAMESPACE, Key("", DEMO_NAMESPACE))


def _snapshot(cluster: LocalCluster, home: str) -> dict[str, Any]:
    snapshot: dict[str, Any] = json.loads(
        demo(cluster, "monitor.py", "-n", home, "--once", "--json")
    )
    return snapshot


def test_the_monitor_tells_scripts_all_there_is(
    cluster: LocalCluster, predictor: Key, home: str
) -> None:
    def measured() -> dict[str, Any] | None:
        (found,) = _snapshot(cluster, home)["predictors"]
        return found if all(pod["memory"] for pod in found["pods"]) else None

    found = eventually(measured, within=90, every=2.0, what="CPU and memory of both pods")
    assert found is not None
    assert (found["name"], found["serving"], found["ready"]) == (predictor.name, "v1", "True")
    assert [(pod["ready"], pod["version"]) for pod in found["pods"]] == [("True", "v1")] * 2
    assert all(5 < pod["memory"] < 128 for pod in found["pods"])
    assert any(event["reason"] == "Ready" for event in _snapshot(cluster, home)["events"])


def test_the_monitor_tells_people(cluster: LocalCluster, predictor: Key) -> None:
    def lines() -> list[str]:
        """The two lines about the predictor, among those of all namespaces."""
        said = demo(cluster, "monitor.py", "-A", "--once").splitlines()
        at = next((n for n, line in enumerate(said) if line.startswith(str(predictor))), len(said))
        return said[at : at + 2]

    def told() -> bool:
        head, size = lines()
        return "model v1, serving v1  Ready" in head and "pods 2 of 2 ready (2 to 2)" in size

    eventually(told, within=90, every=2.0, what="the autoscaler has said how many it wants")


def test_without_metrics_the_monitor_says_so(
    cluster: LocalCluster, predictor: Key, home: str
) -> None:
    cluster.component("stop", "metrics-server")
    try:
        snapshot = eventually(
            lambda: (found := _snapshot(cluster, home))["metrics_problem"] and found,
            within=60, every=1.0,
        )  # fmt: skip
    finally:
        cluster.component("start", "metrics-server")
    assert "no autoscaling" in snapshot["metrics_problem"]
    assert snapshot["predictors"][0]["pods"][0]["cpu"] is None


def test_the_load_test_writes_a_report(
    cluster: LocalCluster, predictor: Key, home: str, tmp_path: Path
) -> None:
    said = demo(
        cluster, "load_test.py", "-n", home, "--users", "5", "--duration", "12s", "--think", "0.05",
        "--profile", "step", "--warmup", "2s", "--out", str(tmp_path),
    )  # fmt: skip
    run = Run.load(tmp_path / "report.json")
    assert run.total["failed"] == 0, said
    assert run.total["ok"] > 100
    assert len(run.total["pods"]) == 2, "the load reaches every pod"
    assert run.series("ready")[1][-1] == 2
    assert "report.html" in said
    left = cluster.kubectl("-n", home, "get", "pod,configmap", "-l", "app=load-generator")
    assert not left, "nothing stays behind"


@pytest.mark.timeout(900)
def test_scaling_by_hand_is_told_to_its_end(
    cluster: LocalCluster, api: Api, demo_namespace: Key
) -> None:
    said = demo(cluster, "manual_scaling.py")
    assert "to 4 by hand" in said
    assert "automatic again" in said
    assert "replicas" not in api.need(RISKPREDICTOR, demo_namespace)["spec"]


@pytest.mark.timeout(900)
def test_a_good_model_is_promoted_and_a_bad_one_stopped(
    cluster: LocalCluster, api: Api, demo_namespace: Key
) -> None:
    said = demo(cluster, "model_change.py")
    ward = api.need(RISKPREDICTOR, Key(demo_namespace.namespace, model_change.WARD))
    assert ward["status"]["servingVersion"] == "v2"
    ended = [(each["version"], each["outcome"]) for each in ward["status"]["history"]]
    assert ended[:2] == [("v3", "Aborted"), ("v2", "Promoted")]
    for step in ("Shadow", "Canary 10%", "Canary 50%", "Promoting", "Aborted"):
        assert step in said
    assert "), 0 failed" in said
    for version, outcome in (("v2", "Promoted"), ("v3", "Aborted")):
        assert outcome in (ROOT / model_change.OUT / f"report-{version}.md").read_text()
