"""Specification of Events: one for each change of Ready's reason, or of a lack of pods."""

from __future__ import annotations

import re

import pytest
from unit.operator.builders import KEY, UID, Object
from unit.operator.fake_cluster import FakeCluster

from riskpredictor_operator import events
from riskpredictor_operator.core import reasons
from riskpredictor_operator.events import Event, events_for


def status(ready: str | None, scaling: str = "", message: str = "m") -> Object:
    if ready is None:
        return {"observedGeneration": -1}
    told = {"Ready": ready, "Autoscaling": scaling}
    return {
        "conditions": [
            {"type": name, "reason": reason, "message": message}
            for name, reason in told.items()
            if reason
        ]
    }


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
    found = events_for(status(before), status(after, message="what happened"))
    expected = [] if event is None else [Event(event, after, "what happened")]
    assert found == expected


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        pytest.param(reasons.SCALING_ACTIVE, reasons.AT_CAPACITY, "Warning", id="nodes are full"),
        pytest.param(reasons.AT_CAPACITY, reasons.SCALING_ACTIVE, "Normal", id="nodes were added"),
        pytest.param(reasons.EXTERNAL_AUTOSCALER, reasons.PODS_MISSING, "Warning", id="some crash"),
        pytest.param(reasons.AT_CAPACITY, reasons.FIXED_SIZE, "Normal", id="no autoscaler now"),
        pytest.param(reasons.AT_CAPACITY, reasons.AT_CAPACITY, None, id="still full"),
        pytest.param(reasons.AWAITING_AUTOSCALER, reasons.SCALING_ACTIVE, None, id="it reports"),
        pytest.param(reasons.SCALING_ACTIVE, reasons.METRICS_UNAVAILABLE, None, id="no metrics"),
    ],
)
def test_an_event_is_worth_a_lack_of_pods_while_ready_stays(
    before: str, after: str, event: str | None
) -> None:
    found = events_for(status("Ready", before), status("Ready", after, message="what happened"))
    expected = [] if event is None else [Event(event, after, "what happened")]
    assert found == expected


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
