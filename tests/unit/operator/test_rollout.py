"""Specification of how far a roll-out is, read from the Deployment and its pods."""

from __future__ import annotations

import pytest
from unit.operator.builders import Object, changed, declared
from unit.operator.live_objects import (
    COMPLETE,
    DEADLINE,
    PROGRESSING,
    condition,
    deployment,
    deployment_status,
    pod,
    replica_failure,
    unschedulable,
    waiting,
)

from riskpredictor_operator.core import reasons
from riskpredictor_operator.core.rollout import (
    is_as_declared,
    is_rolling,
    is_settled,
    rollout_of,
    unsettled_since,
    wanted_replicas,
)

RP = declared()


@pytest.mark.parametrize(
    ("current", "wanted"), [(0, 2), (1, 2), (2, 2), (4, 4), (5, 5), (9, 5)], ids=str
)
def test_the_autoscalers_number_counts_within_the_bounds(current: int, wanted: int) -> None:
    assert wanted_replicas(RP, deployment(replicas=current)) == wanted


@pytest.mark.parametrize("fixed", [0, 1, 9])
def test_a_fixed_number_counts_as_it_is(fixed: int) -> None:
    assert wanted_replicas(declared(replicas=fixed), deployment(replicas=3)) == fixed


@pytest.mark.parametrize("chosen", [0, 1, 9])
def test_the_number_of_another_autoscaler_counts_as_it_is(chosen: int) -> None:
    assert wanted_replicas(declared(autoscaler="External"), deployment(replicas=chosen)) == chosen


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


AS_DECLARED = {
    "as many as the load wants": (deployment_status(5), 5, {}, True),
    "the load wants more": (deployment_status(5, available=2), 5, {}, True),
    "more are not even there": (deployment_status(2), 5, {}, True),
    "the load wants fewer, and they are still there": (deployment_status(5), 2, {}, True),
    "fewer than the minimum": (deployment_status(5, available=1), 5, {}, False),
    "an old pod still there": (deployment_status(5, updated=4), 5, {}, False),
    "rolling out while the load wants more": (
        deployment_status(4, updated=2, available=3), 5, {}, False
    ),
    "more than the maximum": (deployment_status(9), 9, {}, False),
    "not seen by the controller": (deployment_status(5, observed=0), 5, {}, False),
    "fixed, one missing": (deployment_status(3, available=2), 3, {"replicas": 3}, False),
    "fixed, one too many": (deployment_status(4), 3, {"replicas": 3}, False),
    "fixed at none": (deployment_status(0), 0, {"replicas": 0}, True),
    "another autoscaler's, below minReplicas": (
        deployment_status(1), 1, {"autoscaler": "External"}, True
    ),
    "another autoscaler's, above maxReplicas": (
        deployment_status(9), 9, {"autoscaler": "External"}, True
    ),
    "another autoscaler's, not all there": (
        deployment_status(9, available=2), 9, {"autoscaler": "External"}, True
    ),
    "another autoscaler's, none there": (
        deployment_status(9, available=0), 9, {"autoscaler": "External"}, False
    ),
    "scaled to zero": (deployment_status(0), 0, {"autoscaler": "External"}, True),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "replicas", "spec", "holds"), AS_DECLARED.values(), ids=AS_DECLARED
)
def test_as_declared(status: Object, replicas: int, spec: Object, holds: bool) -> None:
    assert is_as_declared(declared(**spec), deployment(status, replicas)) is holds


def test_a_new_number_of_pods_is_no_roll_out_though_the_controller_has_not_seen_it() -> None:
    """The generation moves with the number, which an autoscaler changes; the template stays."""
    body = deployment(deployment_status(2, observed=0), replicas=5)
    rollout = rollout_of(RP, body, [], template_seen=True)
    assert (rollout.as_declared, rollout.why.message) == (True, "v1 is served by 2 of 5 pods")
    assert not is_settled(RP, body)


NO_PODS = {
    "fixed": ({"replicas": 0}, "spec.replicas is 0: no pod serves v1"),
    "another autoscaler's": (
        {"autoscaler": "External"},
        "scaled to zero by its autoscaler: no pod serves v1 at the moment",
    ),
}


@pytest.mark.parametrize(("spec", "message"), NO_PODS.values(), ids=NO_PODS)
def test_settled_at_zero_pods(spec: Object, message: str) -> None:
    none = deployment(deployment_status(0), replicas=0)
    assert is_settled(declared(**spec), none)
    rollout = rollout_of(declared(**spec), none, [])
    assert (rollout.as_declared, rollout.serving_version) == (True, "")
    assert rollout.why.message == message


def test_a_settled_rollout_says_who_serves_without_looking_at_pods() -> None:
    rollout = rollout_of(RP, deployment(deployment_status(2)), [])
    assert (rollout.as_declared, rollout.stalled, rollout.serving_version) == (True, False, "v1")
    assert (rollout.replicas, rollout.ready, rollout.wanted) == (2, 2, 2)
    assert rollout.why.reason == reasons.READY
    assert rollout.why.message == "v1 is served by 2 of 2 pods"


OLD = pod("old", version="v1", ready=True)
NEW = pod("new", version="v2")
BROKEN = pod("new", version="v2", state=waiting("ErrImagePull"))
CRASHED_LONG_AGO = pod("ended", version="v2", state=waiting("CrashLoopBackOff"), phase="Failed")
TRIAL = pod("trial", version="v2", state=waiting("CrashLoopBackOff"), owner=None)
FULL = pod("full", conditions=(unschedulable("0/2 nodes are available: 2 Insufficient cpu."),))
CRASHED = pod("crashed", state=waiting("CrashLoopBackOff"))


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
    "deadline, its length": (
        deployment_status(1, available=0, conditions=(DEADLINE,)), [NEW],
        reasons.ROLLOUT_STALLED, "no progress for 600 s (spec.podTemplate.progressDeadlineSeconds)",
    ),
    "an evicted pod hides nothing": (
        deployment_status(1, available=0), [CRASHED_LONG_AGO, BROKEN],
        reasons.IMAGE_PULL_FAILED, "cannot be pulled",
    ),
    "somebody's pod with the same labels says nothing": (
        deployment_status(1, available=0, conditions=(PROGRESSING,)), [TRIAL],
        reasons.ROLLING_OUT, "rolling out v2",
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
    assert not rollout.as_declared
    assert rollout.why.reason == reason
    assert words in rollout.why.message


def test_a_paused_deployment_is_told_with_the_way_out() -> None:
    body = deployment(deployment_status(2, updated=0), modelVersion="v2")
    rollout = rollout_of(RP, changed(body, True, "spec", "paused"), [OLD])
    assert rollout.why.reason == reasons.ROLLOUT_PAUSED
    assert "kubectl -n shop rollout resume deployment/risk" in rollout.why.message


STUCK = deployment_status(1, available=0, conditions=(DEADLINE,))
LATE_QUOTA = deployment_status(1, conditions=(DEADLINE, replica_failure("exceeded quota: q")))
STALLED = {
    "stuck": (STUCK, [], True),
    "merely slow": (deployment_status(1, available=0), [], False),
    "recovered after the deadline": (deployment_status(2, conditions=(DEADLINE,)), [], False),
    "at capacity after the deadline": (
        deployment_status(2, conditions=(DEADLINE,)), [FULL], False
    ),
    "a crash": (STUCK, [CRASHED], True),
    "no such image": (STUCK, [pod(state=waiting("ErrImagePull"))], True),
    "no room on the nodes: one may be added": (STUCK, [FULL], False),
    "no room in the quota: others may go": (LATE_QUOTA, [], False),
}  # fmt: skip


@pytest.mark.parametrize(("status", "its_pods", "stalled"), STALLED.values(), ids=STALLED)
def test_stalled_is_what_does_not_pass_by_itself(
    status: Object, its_pods: list[Object], stalled: bool
) -> None:
    assert rollout_of(RP, deployment(status), its_pods).stalled is stalled


SHORT = {
    "nodes are full": (
        deployment_status(5, available=3), 5, [FULL], reasons.AT_CAPACITY,
        ("3 of 5 wanted pods are available; full: no node can run the pod (0/2 nodes are "
        "available: 2 Insufficient cpu); lower spec.resources.requests, or add nodes with room"),
    ),
    "the quota is used up": (
        deployment_status(3, conditions=(replica_failure("exceeded quota: q"),)), 5, [],
        reasons.AT_CAPACITY,
        ("3 of 5 wanted pods are available; a ResourceQuota of the namespace leaves no room "
        "(exceeded quota: q); raise it"),
    ),
    "one crashes": (
        deployment_status(5, available=4), 5, [CRASHED], reasons.PODS_MISSING,
        ("4 of 5 wanted pods are available; crashed: the predictor of image health-predictor:v1 "
        "keeps exiting"),
    ),
    "below the minimum, too": (
        deployment_status(5, available=1), 5, [FULL], reasons.AT_CAPACITY, "1 of 5 wanted pods"
    ),
    "many of them": (
        deployment_status(5, available=1), 5,
        [pod(name, conditions=(unschedulable(),)) for name in "dbca"],
        reasons.AT_CAPACITY, "; a, b, c and 1 more: no node",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "replicas", "its_pods", "reason", "words"), SHORT.values(), ids=SHORT
)
def test_what_an_autoscaler_does_not_get(
    status: Object, replicas: int, its_pods: list[Object], reason: str, words: str
) -> None:
    shortage = rollout_of(RP, deployment(status, replicas), its_pods).shortage
    assert shortage is not None
    assert shortage.reason == reason
    assert words in shortage.message


NOT_SHORT = {
    "pods merely start": (deployment_status(5, available=2), 5, [pod()], {}),
    "it wants the minimum, of which Ready tells": (
        deployment_status(2, available=1), 2, [FULL], {}
    ),
    "a roll-out, of which Ready tells": (
        deployment_status(6, updated=1, available=5), 5, [FULL], {}
    ),
    "no autoscaler": (deployment_status(5, available=3), 5, [FULL], {"replicas": 5}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "replicas", "its_pods", "spec"), NOT_SHORT.values(), ids=NOT_SHORT
)
def test_what_is_no_shortage(
    status: Object, replicas: int, its_pods: list[Object], spec: Object
) -> None:
    assert rollout_of(declared(**spec), deployment(status, replicas), its_pods).shortage is None


READY_SINCE = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-03-01T10:00:00Z"}
SHORT_SINCE = condition("Available", "False") | {"lastTransitionTime": "2026-03-01T11:00:00Z"}


@pytest.mark.parametrize(
    ("conditions", "ready", "since"),
    [
        pytest.param((SHORT_SINCE,), READY_SINCE, "2026-03-01T11:00:00Z", id="lately short"),
        pytest.param((), READY_SINCE, "2026-03-01T10:00:00Z", id="since Ready flipped"),
        pytest.param(
            (SHORT_SINCE | {"status": "True"},), READY_SINCE, "2026-03-01T10:00:00Z",
            id="a roll-out that keeps the old pods",
        ),
        pytest.param((), None, "", id="no status yet"),
    ],
)  # fmt: skip
def test_since_when_pods_are_looked_at(
    conditions: tuple[Object, ...], ready: Object | None, since: str
) -> None:
    body = deployment(deployment_status(2, available=1, conditions=conditions))
    assert unsettled_since(body, ready) == since


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
