"""How long a failing autoscaler is waited for: from its failure on, whatever was before."""

from __future__ import annotations

from typing import Any

from unit.operator.builders import LATER, NOW, OPTIONS, manifests, predictor
from unit.operator.live import CANNOT_SCALE, NO_METRICS, deployment_status, live

from kstatus import health
from riskpredictor_operator.core import api
from riskpredictor_operator.core.spec import parse
from riskpredictor_operator.core.status import Look, build_status


def status(autoscaler: dict[str, Any], previous: dict[str, Any], now: str) -> dict[str, Any]:
    body = predictor()
    deployment = live(api.DEPLOYMENT, manifests(body)[api.DEPLOYMENT])
    settled = {
        **deployment,
        "spec": {**deployment["spec"], "replicas": 2},
        "status": deployment_status(2),
    }
    scaler = {**live(api.AUTOSCALER, manifests(body)[api.AUTOSCALER]), "status": autoscaler}
    return build_status(parse(body), OPTIONS, Look(settled, scaler), previous, now)


def test_minutes_without_metrics_are_none_of_failure() -> None:
    """Both have the condition False, so its transition time does not tell them apart."""
    before = status(NO_METRICS, {}, NOW)
    for second in range(3):
        before = status(CANNOT_SCALE, before, LATER.replace(":00Z", f":0{second}Z"))
        assert health({**predictor(), "status": before}) == "InProgress", f"after {second} s"
