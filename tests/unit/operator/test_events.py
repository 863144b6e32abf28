"""Specification of Events: one for each change of Ready's reason, or of a lack of pods."""

from __future__ import annotations

import re
from typing import Any

import pytest
from unit.operator.builders import KEY, LATER, NOW, UID, Object
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


STABLE = {"version": "v1", "digest": "sha256:" + "a" * 64}
CANDIDATE = {"version": "v2", "digest": "sha256:" + "b" * 64, "image": "r/risk:v2"}
V1, V2 = "v1 (sha256:aaaaaaaaaaaa)", "v2 (sha256:bbbbbbbbbbbb)"


def rollout(phase: str = "Shadow", step: str = "Shadow", **more: Any) -> Object:
    return {
        "id": "0123456789ab", "phase": phase, "step": step, "stable": STABLE,
        "candidate": CANDIDATE, "policyDigest": "sha256:01", "evidence": {"pairs": 812}, **more,
    }  # fmt: skip


def ended(outcome: str, **more: Any) -> Object:
    return {
        **CANDIDATE, "outcome": outcome, "from": STABLE, "startedAt": NOW, "at": LATER,
        "generation": 2, "evidence": {"pairs": 2304}, **more,
    }  # fmt: skip


WHY = {"reason": "MissedHigh", "message": "7.1 % of 155, 5.2 to 9.9 %, limit 5 %"}
PROMOTED = f"{V2} is promoted and answers instead of {V1} after 2304 pairs"
CHANGES = {
    "begun": (
        {}, {"rollout": rollout()},
        [("Normal", "RolloutStarted", f"{V2} is on trial beside {V1}, which answers; step Shadow")],
    ),
    "beside": (
        {}, {"rollout": rollout("Observing")},
        [("Normal", "RolloutStarted", (f"{V2} is on trial beside {V1}, which answers; it never "
          "answers"))],
    ),
    "another one": (
        {"rollout": rollout()},
        {"rollout": rollout(id="other", candidate={"version": "v3"}),
         "history": [ended("Superseded")]},
        [("Normal", "Superseded", (f"something else is declared: {V2} ends before it is promoted "
          "after 2304 pairs")),
         ("Normal", "RolloutStarted", f"v3 is on trial beside {V1}, which answers; step Shadow")],
    ),
    "the next step": (
        {"rollout": rollout()}, {"rollout": rollout("Canary", "Canary 10%")},
        [("Normal", "StepReached", f"{V2} beside {V1}: Canary 10% follows Shadow after 812 pairs")],
    ),
    "more pairs": ({"rollout": rollout()}, {"rollout": rollout(evidence={"pairs": 900})}, []),
    "other limits": (
        {"rollout": rollout()}, {"rollout": rollout(policyDigest="sha256:02")},
        [("Normal", "GatesChanged", (f"spec.rollout was changed while {V2} is on trial: its digest "
          "is sha256:02, and was sha256:01; what was counted stays"))],
    ),
    "promoted": (
        {"rollout": rollout("Promoting", "Promoting")}, {"history": [ended("Promoted")]},
        [("Normal", "RolloutPromoted", PROMOTED)],
    ),
    "aborted": (
        {"rollout": rollout()},
        {"rollout": rollout("Aborted", "Aborted"), "history": [ended("Aborted", **WHY)]},
        [("Warning", "RolloutAborted", (f"{V2} is not promoted and {V1} goes on answering after "
          "2304 pairs: MissedHigh: 7.1 % of 155, 5.2 to 9.9 %, limit 5 %"))],
    ),
    "still aborted": (
        {"rollout": rollout("Aborted", "Aborted"), "history": [ended("Aborted", **WHY)]},
        {"rollout": rollout("Aborted", "Aborted"), "history": [ended("Aborted", **WHY)]}, [],
    ),
    "reverted": (
        {"rollout": rollout()}, {"history": [ended("Reverted")]},
        [("Normal", "RolloutReverted", (f"{V1} is declared again: {V2} ends before it is promoted "
          "after 2304 pairs"))],
    ),
    "withdrawn": (
        {"history": [ended("Promoted")]},
        {"history": [{"version": "v1", "outcome": "Promoted", "at": LATER}, ended("Withdrawn")]},
        [("Normal", "RolloutReverted", (f"{V2}, promoted at {LATER}, is withdrawn: a model that "
          "was served before it is declared again"))],
    ),
    "served without a comparison": (
        {}, {"history": [{"version": "v1", "outcome": "Promoted", "at": LATER}]}, [],
    ),
    "an entry that fell out": (
        {"history": [ended("Promoted"), ended("Aborted", startedAt=LATER)]},
        {"history": [ended("Promoted")]}, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "told"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_model_is_told_at_its_transitions(
    before: Object, after: Object, told: list[tuple[str, str, str]]
) -> None:
    assert events_for(before, after) == [Event(*each) for each in told]


def test_ready_repeats_nothing_of_it() -> None:
    before = {**status(reasons.SHADOWING), "rollout": rollout()}
    after = {**status(reasons.CANARY_RUNNING), "rollout": rollout("Canary", "Canary 10%")}
    assert [event.reason for event in events_for(before, after)] == [reasons.STEP_REACHED]
    aborted = {
        **status(reasons.ROLLOUT_ABORTED),
        "rollout": rollout("Aborted", "Aborted"),
        "history": [ended("Aborted")],
    }
    assert [event.reason for event in events_for(after, aborted)] == [reasons.ROLLOUT_ABORTED]


def test_ready_tells_what_nothing_else_does() -> None:
    lacking = {**status(reasons.INSUFFICIENT_DATA), "rollout": rollout()}
    going = {**status(reasons.SHADOWING, message="m"), "rollout": rollout(policyDigest="sha256:02")}
    told = [event.reason for event in events_for(lacking, going)]
    assert told == [reasons.SHADOWING, reasons.GATES_CHANGED]
    assert {event.type for event in events_for(going, lacking)} == {"Normal"}
