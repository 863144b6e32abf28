"""A real Prometheus scrapes an operator and a predictor: panels show something, an alert fires."""

from __future__ import annotations

import json
import math
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from unit.predictor.candidates import ROLLOUT, lower
from unit.predictor.support import HEALTHY, SICK, ServerProcess, free_port

from riskpredictor_operator.core import api as names
from riskpredictor_operator.kube import Key
from support import operator as operators
from support import prometheus
from support.api import NAMESPACE, Api, eventually
from support.cluster import ROOT
from support.dashboard import Query, declared, filled, queries
from support.predictors import Predictors

MONITORING = ROOT / "deploy" / "monitoring"
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
SECONDS = 10.0
"""Of traffic, over which Prometheus scrapes some ten times."""


@dataclass(frozen=True)
class Scene:
    """A Prometheus that has watched one RiskPredictor come up and its pod at work."""

    prometheus: prometheus.Prometheus
    values: dict[str, str]
    """Of the dashboard's variables."""
    operator: str
    """What the operator exports."""
    predictors: Predictors
    key: Key

    def answer(self, query: Query) -> list[dict[str, Any]]:
        return self.prometheus.query(filled(query.expr, self.values))


def _labels(namespace: str, name: str) -> dict[str, dict[str, str]]:
    """What the shipped PodMonitors give the series of a pod, by job."""
    monitor = yaml.safe_load((MONITORING / "predictors.yaml").read_text())["spec"]
    pod = {names.LABEL_PREDICTOR: name, names.LABEL_MODEL_VERSION: "v1"}
    copied = {re.sub(r"\W", "_", label): pod[label] for label in monitor["podTargetLabels"]}
    return {
        "operator": {"namespace": operators.SYSTEM, "pod": "riskpredictor-operator-0"},
        "predictors": {"namespace": namespace, "pod": f"{name}-0", **copied},
    }


def _work(server: ServerProcess) -> None:
    """Patients, and mistakes, for some seconds: enough for rates and for the drift."""
    patients = [HEALTHY, SICK, {**HEALTHY, "heart_rate": 104}]
    end, asked = time.monotonic() + SECONDS, 0
    while time.monotonic() < end or asked < 300:
        server.post("/predict", patients[asked % 3] if asked % 10 else {})
        asked += 1
        time.sleep(0.01)


@pytest.fixture(scope="module")
def scene(
    api: Api, operator_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("dashboard")
    namespace = f"dashboard-{os.getpid()}"
    api.create(NAMESPACE, {"metadata": {"name": namespace}})
    metrics = free_port()
    flags = (f"--http-port={metrics}", "--http-host=127.0.0.1")
    # With a candidate beside each model: a row is about them.
    with (
        operators.running(operator_config, folder / "log", *flags),
        ServerProcess(candidate=str(lower()), rollout_id=ROLLOUT) as server,
    ):
        targets = {"operator": metrics, "predictors": server.port}
        labels = _labels(namespace, "risk")
        with prometheus.running(folder, free_port(), targets, "2s", labels) as watching:
            eventually(lambda: watching.up() == dict.fromkeys(targets, True), within=60)
            predictors = Predictors(api, namespace)
            key = predictors.create("risk", rollout={"strategy": "Progressive"})
            predictors.wait(key)
            # A rate counts from the second time on that a series is seen.
            eventually(lambda: watching.query("riskpredictor_operator_child_writes_total"))
            predictors.patch(key, maxReplicas=6, shadow={"modelVersion": "v3"})
            _work(server)
            values = {"namespace": namespace, "predictor": "risk", "__rate_interval": "1m"}
            url = f"http://127.0.0.1:{metrics}/metrics"
            with urllib.request.urlopen(url, timeout=30) as answer:
                exposition = answer.read().decode()
            yield Scene(watching, values, exposition, predictors, key)
    api.delete(NAMESPACE, Key("", namespace))


@pytest.mark.parametrize("query", queries(DASHBOARD), ids=str)
def test_a_panel_shows_something_and_its_legend_has_the_labels_that_it_names(
    query: Query, scene: Scene
) -> None:
    def shown() -> list[dict[str, Any]]:
        found = scene.answer(query)
        return found if any(not math.isnan(float(s["value"][1])) for s in found) else []

    # A range may begin or end between two scrapes.
    samples = eventually(shown, within=15, every=0.3, what=filled(query.expr, scene.values))
    named = set(re.findall(r"{{(\w+)}}", query.legend))
    for sample in samples:
        assert named <= sample["metric"].keys()


def test_the_lists_of_choices_are_filled_by_what_is_declared(scene: Scene) -> None:
    for name, value in (("namespace", scene.values["namespace"]), ("predictor", "risk")):
        asked = declared(DASHBOARD)[name]["query"]["query"]
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", asked)
        assert found, asked
        samples = scene.prometheus.query(filled(found[1], scene.values))
        assert value in {sample["metric"][found[2]] for sample in samples}


def test_a_predictor_that_is_not_chosen_is_not_shown(scene: Scene) -> None:
    other = replace(scene, values={**scene.values, "predictor": "another"})
    for query in queries(DASHBOARD):
        if "$predictor" in query.expr and "vector(0)" not in query.expr:
            assert not other.answer(query), query


def test_the_page_of_metrics_has_whatever_the_operator_exports(scene: Scene) -> None:
    page = (ROOT / "docs" / "METRICS.md").read_text()
    row = re.compile(r"^\| `(riskpredictor_operator_\w+)` \| \w+ \| (.*?) \|", re.MULTILINE)
    rows = dict(row.findall(page))
    for family in text_string_to_metric_families(scene.operator):
        if family.name.startswith("riskpredictor_") and not family.name.endswith("_created"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            assert not labels or set(re.findall(r"\w+", rows[name])) == labels, name


def test_a_broken_version_fires_an_alert_and_the_mended_one_ends_it(api: Api, scene: Scene) -> None:
    def fires() -> bool:
        return "RiskPredictorNotReady" in scene.prometheus.firing()

    eventually(lambda: not fires(), every=0.5)
    api.limit(scene.key.namespace, pods="2")
    # At once: what is on trial first has alerts of its own.
    scene.predictors.patch(scene.key, modelVersion="v2", rollout={"strategy": "RollingUpdate"})
    eventually(fires, within=120, every=0.5)
    api.lift_the_limit(scene.key.namespace)
    scene.predictors.wait(scene.key)
    eventually(lambda: not fires(), within=120, every=0.5)
