"""Specification of Events: one for each change of Ready's reason."""

from __future__ import annotations

import re

import pytest
from unit.operator.builders import KEY, UID, Object
from unit.operator.fake_cluster import FakeCluster

from riskpredictor_operator import events
from riskpredictor_operator.core import reasons
from riskpredictor_operator.events import Event, event_for


def status(reason: str | None, message: str = "m") -> Object:
    if reason is None:
        return {"observedGeneration": -1}
    return {"conditions": [{"type": "Ready", "reason": reason, "message": message}]}


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        pytest.param(None, reasons.ROLLING_OUT, "Normal", id="first look"),
        pytest.param(reasons.ROLLING_OUT, reasons.READY, "Normal", id="rolled out"),
        pytest.param(reasons.READY, reasons.SCALING, "Normal", id="scaling"),
        pytest.param(reasons.READY, reasons.SUSPENDED, "Normal", id="suspended"),
        pytest.param(None, reasons.WAITING_FOR_DELETION, "Normal", id="waiting"),
        pytest.param(reasons.ROLLING_OUT, reasons.IMAGE_PULL_FAILED, "Warning", id="broken image"),
        pytest.param(reasons.READY, reasons.NOT_OWNED, "Warning", id="foreign child"),
        pytest.param(reasons.READY, reasons.INVALID_SPEC, "Warning", id="unusable spec"),
        pytest.param(reasons.READY, reasons.AUTOSCALING_FAILED, "Warning", id="autoscaler broken"),
        pytest.param(reasons.READY, reasons.READY, None, id="nothing new"),
    ],
)
def test_an_event_is_worth_a_change_of_readys_reason(
    before: str | None, after: str, event: str | None
) -> None:
    found = event_for(status(before), status(after, "what happened"))
    if event is None:
        assert found is None
    else:
        assert found is not None
        assert (found.type, found.reason, found.message) == (event, after, "what happened")


async def test_an_event_is_complete() -> None:
    cluster = FakeCluster()
    for _ in range(2):
        await events.record(cluster, KEY, UID, Event("Warning", "NotOwned", "m" * 5000))
    event, second = cluster.events
    assert event["metadata"]["name"] != second["metadata"]["name"]
    assert event["type"] == "Warning"
    assert event["reason"] == "NotOwned"
    assert len(event["message"]) == 1024
    assert event["metadata"]["namespace"] == "shop"
    assert event["involvedObject"] == {
        "apiVersion": "healthtech.dev/v1alpha1", "kind": "RiskPredictor", "name": "risk",
        "namespace": "shop", "uid": UID,
    }  # fmt: skip
    assert re.fullmatch(r"risk\.[0-9a-f]{16}", event["metadata"]["name"])
    assert event["firstTimestamp"] == event["lastTimestamp"]
