"""The rules themselves: each one is seen to be broken by a status that breaks it."""

from __future__ import annotations

import pytest
from unit.operator.builders import NOW, Object, predictor

from kstatus import health, violations


def status(*states: str, generation: int = 1, observed: int = 1) -> Object:
    found = []
    for state in states:
        name, _, value = state.partition("=")
        found.append(
            {
                "type": name, "status": value, "reason": "Because", "message": "m",
                "observedGeneration": generation, "lastTransitionTime": NOW,
            }
        )  # fmt: skip
    return {"observedGeneration": observed, "conditions": found}


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (status(), "Ready is missing"),
        (status("Ready=True", "Reconciling=True"), "Ready is True while Reconciling is True"),
        (status("Ready=True", "Stalled=True"), "Ready is True while Stalled is True"),
        (status("Ready=False", "Stalled=True", "Reconciling=True"), "are both True"),
        (status("Ready=False", "Stalled=False"), "Stalled exists although it is False"),
        (status("Ready=True", "Reconciling=False"), "Reconciling exists although it is False"),
        (status("Ready=Unknown"), "Ready is Unknown without Reconciling"),
        (status("Ready=True", "Ready=True"), "Ready is there more than once"),
        (status("Ready=Yes"), "Ready's status is 'Yes'"),
        (status("Ready=True", observed=2), "ahead of metadata.generation"),
        (status("Ready=True", generation=0), "describes generation 0, not 1"),
        ({"conditions": status("Ready=True")["conditions"]}, "observedGeneration is None"),
    ],
)
def test_a_broken_rule_is_told(broken: Object, rule: str) -> None:
    assert any(rule in told for told in violations(predictor(status=broken)))


@pytest.mark.parametrize("part", ["reason", "message", "lastTransitionTime", "observedGeneration"])
def test_an_incomplete_condition_is_told(part: str) -> None:
    broken = status("Ready=False")
    del broken["conditions"][0][part]
    assert f"Ready has no {part}" in violations(predictor(status=broken))


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ({}, "Current"),
        ({"observedGeneration": -1}, "InProgress"),
        (status("Ready=True"), "Current"),
        (status("Ready=True", observed=0), "InProgress"),
        (status("Ready=False"), "InProgress"),
        (status("Ready=False", "Reconciling=True"), "InProgress"),
        (status("Ready=False", "Stalled=True"), "Failed"),
    ],
)
def test_health(seen: Object, verdict: str) -> None:
    assert health(predictor(status=seen)) == verdict


def test_health_of_an_object_that_is_being_deleted() -> None:
    body = predictor(status=status("Ready=True"))
    body["metadata"]["deletionTimestamp"] = NOW
    assert health(body) == "Terminating"
