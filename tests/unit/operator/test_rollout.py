"""Specification of how far a roll-out is, read from the Deployment and its pods."""

from __future__ import annotations

import pytest
from unit.operator.builders import Object, changed, declared
from unit.operator.live_objects import (
    COMPLETE,
    DEADLINE,
    PROGRESSING,
    deployment,
    deployment_status,
    pod,
    replica_failure,
    waiting,
)

from riskpredictor_operator.core import reasons
from riskpredictor_operator.core.rollout import is_rolling, is_settled, rollout_of, wanted_replicas

RP = declared()


@pytest.mark.parametrize(
    ("current", "wanted"), [(0, 2), (1, 2), (2, 2), (4, 4), (5, 5), (9, 5)], ids=str
)
def test_the_autoscalers_number_counts_within_the_bounds(current: int, wanted: int) -> None:
    assert wanted_replicas(RP, deployment(replicas=current)) == wanted


@pytest.mark.parametrize("fixed", [0, 1, 9])
def test_a_fixed_number_counts_as_it_is(fixed: int) -> None:
    assert wanted_replicas(declared(replicas=fixed), deployment(replicas=3)) == fixed


@pytest.mark.parametrize(
    ("status", "replicas", "settled"),
    [
        pytest.param(deployment_status(2), 2, True, id="all pods new and available"),
        pytest.param(None, 2, False, id="no status yet"),
        pytest.param(deployment_status(2, observed=0), 2, False, id="status of an older spec"),
        pytest.param(deployment_status(2, updated=1), 2, False, id="an old pod still there"),
        pytest.param(deployment_status(3, updated=2), 2, False, id="a surplus pod"),
        pytest.param(deployment_status(2, available=1), 2, False, id="a pod not available"),
        pytest.param(deployment_status(1), 2, False, id="a pod missing"),
        pytest.param(deployment_status(1), 1, False, id="below the autoscaler's bound"),
        pytest.param(deployment_status(9), 9, False, id="above the autoscaler's bound"),
    ],
)
def test_settled(status: Object | None, replicas: int, settled: bool) -> None:
    assert is_settled(RP, deployment(status, replicas=replicas)) is settled


def test_settled_at_zero_pods() -> None:
    none = deployment(deployment_status(0), replicas=0)
    assert is_settled(declared(replicas=0), none)
    assert rollout_of(declared(replicas=0), none, []).serving_version == ""


def test_a_settled_rollout_says_who_serves_without_looking_at_pods() -> None:
    rollout = rollout_of(RP, deployment(deployment_status(2)), [])
    assert (rollout.settled, rollout.stalled, rollout.serving_version) == (True, False, "v1")
    assert (rollout.replicas, rollout.ready, rollout.wanted) == (2, 2, 2)
    assert rollout.why.reason == reasons.READY
    assert rollout.why.message == "v1 is served by 2 of 2 pods"


OLD = pod("old", version="v1", ready=True)
NEW = pod("new", version="v2")
BROKEN = pod("new", version="v2", state=waiting("ErrImagePull"))


UNSETTLED = {
    "rolling": (
        deployment_status(3, updated=1, available=2, conditions=(PROGRESSING,)), [OLD, NEW],
        reasons.ROLLING_OUT, "rolling out v2: 1 of 2 pods are new, 2 available",
    ),
    "just made": (None, [], reasons.ROLLING_OUT, "rolling out v2"),
    "broken image, the old version serves": (
        deployment_status(3, updated=1, available=2), [OLD, BROKEN],
        reasons.IMAGE_PULL_FAILED, "meanwhile v1 still answers",
    ),
    "broken image, nothing serves": (
        deployment_status(1, available=0), [BROKEN],
        reasons.IMAGE_PULL_FAILED, "meanwhile nothing answers yet",
    ),
    "deadline, no cause": (
        deployment_status(1, available=0, conditions=(DEADLINE,)), [NEW],
        reasons.ROLLOUT_STALLED, "kubectl describe pods -l healthtech.dev/riskpredictor=risk",
    ),
    "deadline with a cause": (
        deployment_status(3, updated=1, available=2, conditions=(DEADLINE,)), [OLD, BROKEN],
        reasons.IMAGE_PULL_FAILED, "v2: image",
    ),
    "quota": (
        deployment_status(0, conditions=(replica_failure("exceeded quota: q"),)), [],
        reasons.QUOTA_EXCEEDED, "exceeded quota: q",
    ),
    "admission": (
        deployment_status(0, conditions=(replica_failure("violates PodSecurity"),)), [],
        reasons.PODS_REFUSED, "violates PodSecurity",
    ),
    "a pod was lost after the roll-out": (
        deployment_status(2, available=1, conditions=(COMPLETE,)), [],
        reasons.SCALING, "1 of 2 pods of v2 are available",
    ),
    "completion of an older spec": (
        deployment_status(2, available=1, observed=0, conditions=(COMPLETE,)), [],
        reasons.ROLLING_OUT, "rolling out v2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "its_pods", "reason", "words"), UNSETTLED.values(), ids=UNSETTLED
)
def test_state_of_an_unsettled_rollout(
    status: Object | None, its_pods: list[Object], reason: str, words: str
) -> None:
    rollout = rollout_of(RP, deployment(status, modelVersion="v2"), its_pods)
    assert not rollout.settled
    assert rollout.why.reason == reason
    assert words in rollout.why.message


def test_a_paused_deployment_is_told_with_the_way_out() -> None:
    body = deployment(deployment_status(2, updated=0), modelVersion="v2")
    rollout = rollout_of(RP, changed(body, True, "spec", "paused"), [OLD])
    assert rollout.why.reason == reasons.ROLLOUT_PAUSED
    assert "kubectl -n shop rollout resume deployment/risk" in rollout.why.message


STALLED = {
    "stuck": (deployment_status(1, available=0, conditions=(DEADLINE,)), True),
    "merely slow": (deployment_status(1, available=0), False),
    "recovered after the deadline": (deployment_status(2, conditions=(DEADLINE,)), False),
}


@pytest.mark.parametrize(("status", "stalled"), STALLED.values(), ids=STALLED)
def test_stalled(status: Object, stalled: bool) -> None:
    assert rollout_of(RP, deployment(status), []).stalled is stalled


PREVIOUS = {
    "its deadline passed": ((DEADLINE,), []),
    "its pods were refused": ((replica_failure("exceeded quota"),), []),
    "its image is broken": ((PROGRESSING,), [pod(state=waiting("ErrImagePull"))]),
    "it was complete": ((COMPLETE,), []),
}


@pytest.mark.parametrize(("conditions", "its_pods"), PREVIOUS.values(), ids=PREVIOUS)
def test_nothing_of_the_previous_template_is_told_of_a_new_one(
    conditions: tuple[Object, ...], its_pods: list[Object]
) -> None:
    """Or whoever waits for the new version would be told that it has failed already."""
    status = deployment_status(2, available=1, observed=0, conditions=conditions)
    rollout = rollout_of(RP, deployment(status, modelVersion="v2"), its_pods)
    assert not rollout.stalled
    assert (rollout.why.reason, rollout.why.message) == (reasons.ROLLING_OUT, "rolling out v2")


def test_while_versions_mix_both_are_named() -> None:
    both = [OLD, pod("new", version="v2", ready=True), BROKEN]
    status = deployment_status(3, updated=2, available=2)
    rollout = rollout_of(RP, deployment(status, modelVersion="v2"), both)
    assert rollout.serving_version == "v1,v2"
    assert rollout.why.message.endswith("; meanwhile v1 and v2 still answer")


@pytest.mark.parametrize(
    ("status", "rolling"),
    [
        pytest.param(deployment_status(2), False, id="all replaced"),
        pytest.param(deployment_status(3, updated=1), True, id="some replaced"),
        pytest.param(deployment_status(2, observed=0), True, id="not seen yet"),
        pytest.param({}, True, id="no status yet"),
        pytest.param(deployment_status(3, updated=1, conditions=(DEADLINE,)), False, id="stuck"),
    ],
)
def test_rolling(status: Object, rolling: bool) -> None:
    assert is_rolling(deployment(status)) is rolling
    assert not is_rolling(None)
