"""A real Prometheus scrapes a real operator; an alert fires for a version that cannot come up."""

from __future__ import annotations

from pathlib import Path

from unit.predictor.support import free_port

from support import operator as operators
from support import prometheus
from support.api import Api, eventually
from support.predictors import Predictors


def test_a_broken_version_fires_an_alert_and_the_mended_one_ends_it(
    api: Api, namespace: str, operator_config: Path, predictors: Predictors, tmp_path: Path
) -> None:
    metrics, port = free_port(), free_port()
    flags = (f"--http-port={metrics}", "--http-host=127.0.0.1")
    with operators.running(operator_config, tmp_path / "operator.log", *flags):
        key = predictors.create(minReplicas=1)
        predictors.wait(key)
        with prometheus.running(tmp_path, port, {"operator": metrics}, wait="2s") as server:
            eventually(lambda: server.up() == {"operator": True}, within=60)
            eventually(lambda: not server.firing(), within=60)
            api.limit(namespace, pods="1")
            predictors.patch(key, modelVersion="v2")
            eventually(lambda: "RiskPredictorNotReady" in server.firing(), within=120, every=0.5)
            api.lift_the_limit(namespace)
            predictors.wait(key, within=90)
            eventually(lambda: not server.firing(), within=120, every=0.5)
