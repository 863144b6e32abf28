"""``kubectl riskpredictor rollout`` on a real API server, with a status that a test has written.

No operator runs: what it does with the annotation is a matter of its own tests.
"""

from __future__ import annotations

from typing import Any

import pytest
from unit.kubectl import bodies

from riskpredictor_kubectl import model_change, rollout_report
from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api, eventually
from support.cluster import LocalCluster
from support.plugin import Plugin

ABORT = "healthtech.dev/abort"


@pytest.fixture
def plugin(cluster: LocalCluster, namespace: str) -> Plugin:
    return Plugin(cluster, namespace)


@pytest.fixture
def changing(api: Api, namespace: str) -> Key:
    """A RiskPredictor in which v2 is on trial beside v1."""
    key = Key(namespace, "risk")
    annotations = {"healthtech.dev/change-ref": "CHG-4711"}
    spec = {"modelVersion": "v2", "rollout": {"strategy": "Progressive"}}
    metadata = {"name": key.name, "namespace": namespace, "annotations": annotations}
    api.create(RISKPREDICTOR, {"metadata": metadata, "spec": spec})
    _write(api, key, bodies.rollout())
    return key


def _write(api: Api, key: Key, rollout: Any) -> None:
    ready = {**bodies.condition("Ready", "False", "CanaryRunning"), "observedGeneration": 1}
    status = {"observedGeneration": 1, "conditions": [ready], "rollout": rollout,
              "history": [bodies.entry("Aborted", message="MissedHigh")]}  # fmt: skip
    api.patch(RISKPREDICTOR, key, {"status": status}, sub="status")


def test_a_report_of_what_is_stored_has_all_of_it(plugin: Plugin, changing: Key) -> None:
    """A field that the CRD does not know would be lost on its way."""
    predictor = bodies.changing()
    predictor["status"]["history"] = [bodies.entry("Aborted", message="MissedHigh")]
    now, ended = model_change.current(predictor), model_change.past(predictor)[0]
    assert now is not None
    about = (changing.namespace, changing.name)
    report = plugin.json("rollout", "report", changing.name)
    # Who declared it, the API server knows by itself.
    assert report["manager"] == "python-urllib3"
    assert report == {**rollout_report.document(about, now), "manager": report["manager"]}
    said = plugin.json("rollout", "report", changing.name, "--entry", "1")
    assert said == rollout_report.document(about, ended)


def test_an_abort_writes_one_annotation_and_waits_for_the_status(
    api: Api, plugin: Plugin, changing: Key
) -> None:
    before = api.need(RISKPREDICTOR, changing)
    with plugin.start("rollout", "abort", changing.name, "--yes") as process:
        eventually(lambda: ABORT in api.need(RISKPREDICTOR, changing)["metadata"]["annotations"])
        now = api.need(RISKPREDICTOR, changing)
        _write(api, changing, bodies.rollout("Aborted", reason="RolloutAborted", message="asked"))
        assert process.stdout
        said = process.stdout.read()
    assert (process.returncode, said) == (0, "risk: v2 was aborted, v1 is the model again\n")
    annotations = before["metadata"]["annotations"]
    assert now["metadata"]["annotations"] == {**annotations, ABORT: "0123456789ab"}
    assert now["spec"] == before["spec"]
    assert now["metadata"]["generation"] == before["metadata"]["generation"]
    assert plugin.refused("rollout", "abort", changing.name, "--yes") == (
        "error: v2 was aborted already: asked"
    )


def test_a_watch_of_one_that_is_aborted_ends_so(api: Api, plugin: Plugin, changing: Key) -> None:
    with plugin.start("rollout", "status", changing.name, "--watch") as process:
        assert process.stdout
        while not (line := process.stdout.readline()).startswith("v2 "):
            assert line, "it has ended"
        _write(api, changing, bodies.rollout("Aborted", reason="RolloutAborted", message="asked"))
        last = process.stdout.read().splitlines()[-1]
    assert (process.returncode, last.split()[:2]) == (3, ["v2", "Aborted"])
