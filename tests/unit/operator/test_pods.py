"""Specification of what pods tell: who serves, and why one does not come up."""

from __future__ import annotations

import itertools

import pytest
from unit.operator.builders import Object
from unit.operator.live_objects import pod, terminated, unschedulable, waiting

from riskpredictor_operator.core import pods, reasons

BACK_OFF = pod(state=waiting("ImagePullBackOff", "Back-off pulling image"))
ERR_PULL = pod(state=waiting("ErrImagePull", "not found"))
CRASHED = pod(state=waiting("CrashLoopBackOff"), last=terminated("Error", 1))
OOM = pod(state=waiting("CrashLoopBackOff"), last=terminated("OOMKilled", 137))
NO_CONFIG = pod(state=waiting("CreateContainerConfigError", 'secret "x" not found'))
NO_PROGRAM = "exec: /nowhere: no such file or directory"
CANNOT_RUN = pod(state=waiting("RunContainerError", NO_PROGRAM))
COULD_NOT_RUN = pod(
    state=waiting("CrashLoopBackOff"), last=terminated("StartError", 128, NO_PROGRAM)
)
BAD_NAME = pod(state=waiting("InvalidImageName"))
NEVER_PULLED = pod(state=waiting("ErrImageNeverPull"))
OOM_NOW = pod(state=terminated("OOMKilled", 137))
RESTARTED = pod(state={"running": {}}, last=terminated("Error", 1))
NO_ROOM = pod(conditions=(unschedulable(),))
NOT_READY = pod(state={"running": {}}, started=True)
STARTING = pod(state={"running": {}})


TROUBLE = {
    "pull back-off": (BACK_OFF, reasons.IMAGE_PULL_FAILED, "spec.modelVersion"),
    "pull error": (ERR_PULL, reasons.IMAGE_PULL_FAILED, "health-predictor:v1"),
    "bad image name": (BAD_NAME, reasons.IMAGE_PULL_FAILED, "(InvalidImageName)"),
    "never pulled": (NEVER_PULLED, reasons.IMAGE_PULL_FAILED, "(ErrImageNeverPull)"),
    "no such secret": (NO_CONFIG, reasons.CONTAINER_START_FAILED, 'secret "x"'),
    "no such program": (CANNOT_RUN, reasons.CONTAINER_START_FAILED, "/nowhere"),
    "crash loop": (CRASHED, reasons.CRASH_LOOPING, "exit code 1"),
    "just crashed": (pod(state=terminated("Error", 3)), reasons.CRASH_LOOPING, "exit code 3"),
    "memory": (OOM, reasons.OUT_OF_MEMORY, "spec.resources.limits.memory"),
    "memory, this moment": (OOM_NOW, reasons.OUT_OF_MEMORY, "raise it"),
    "no node": (NO_ROOM, reasons.UNSCHEDULABLE, "0/1 nodes are available"),
    "never ready": (NOT_READY, reasons.PODS_NOT_READY, "GET /ready"),
    "started again after a crash": (RESTARTED, reasons.CRASH_LOOPING, "--previous"),
}


@pytest.mark.parametrize(("body", "reason", "words"), TROUBLE.values(), ids=TROUBLE)
def test_trouble_of_one_pod(body: Object, reason: str, words: str) -> None:
    problem = pods.problem_of(body)
    assert problem is not None
    assert problem.reason == reason
    assert words in problem.message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(pod(), id="container being created"),
        pytest.param(pod(state=waiting("PodInitializing")), id="initializing"),
        pytest.param(STARTING, id="start-up probe not through yet"),
        pytest.param(pod(ready=True), id="ready"),
        pytest.param({"metadata": {"name": "x"}}, id="no status yet"),
        pytest.param(
            pod(container="mesh", state=waiting("ErrImagePull")), id="only a sidecar is in trouble"
        ),
    ],
)
def test_no_trouble(body: Object) -> None:
    assert pods.problem_of(body) is None


def test_a_failing_pull_alternates_between_two_reasons_and_the_message_does_not() -> None:
    assert pods.problem_of(BACK_OFF) == pods.problem_of(ERR_PULL)


def test_a_program_that_cannot_start_is_told_the_same_way_between_two_attempts() -> None:
    assert pods.problem_of(COULD_NOT_RUN) == pods.problem_of(CANNOT_RUN)


@pytest.mark.parametrize(
    ("body", "ready"),
    [
        pytest.param(pod(ready=True), True, id="ready"),
        pytest.param(pod(), False, id="not ready"),
        pytest.param(pod(ready=True, leaving=True), False, id="ready but leaving"),
        pytest.param({"metadata": {}}, False, id="no status"),
    ],
)
def test_who_answers(body: Object, ready: bool) -> None:
    assert pods.is_ready(body) is ready


VERSIONS = {
    "no pods": ([], ""),
    "none ready": ([pod(ready=False)], ""),
    "one version": ([pod(ready=True), pod(ready=True)], "v1"),
    "two, sorted": ([pod(version="v2", ready=True), pod(version="v1", ready=True)], "v1,v2"),
    "the new one not yet": ([pod(version="v2"), pod(version="v1", ready=True)], "v1"),
    "without a version label": ([pod(version="", ready=True)], ""),
}


@pytest.mark.parametrize(("bodies", "versions"), VERSIONS.values(), ids=VERSIONS)
def test_versions_that_answer(bodies: list[Object], versions: str) -> None:
    assert pods.serving_versions(bodies) == versions


@pytest.mark.parametrize(
    ("bodies", "reason"),
    [
        pytest.param([], None, id="no pods"),
        pytest.param([pod(ready=True)], None, id="all ready"),
        pytest.param([{**CRASHED, "metadata": pod(leaving=True)["metadata"]}], None, id="leaving"),
        pytest.param([NO_ROOM, CRASHED], reasons.CRASH_LOOPING, id="the more telling one"),
        pytest.param([NOT_READY, OOM, CRASHED], reasons.OUT_OF_MEMORY, id="the most telling one"),
        pytest.param(
            [pod(version="v0", state=waiting("ErrImagePull")), NO_ROOM], reasons.UNSCHEDULABLE,
            id="of the declared version first",
        ),
        pytest.param(
            [pod(version="v0", state=waiting("ErrImagePull"))], reasons.IMAGE_PULL_FAILED,
            id="of any version where the declared one has no pods",
        ),
    ],
)  # fmt: skip
def test_trouble_of_all_pods(bodies: list[Object], reason: str | None) -> None:
    problem = pods.worst_problem(bodies, "v1")
    assert (problem.reason if problem else None) == reason


def test_the_trouble_told_does_not_depend_on_the_order_of_the_pods() -> None:
    others = pod(state=waiting("CrashLoopBackOff"), last=terminated("Error", 2))
    told = {
        str(pods.worst_problem(order, "v1"))
        for order in itertools.permutations([NO_ROOM, CRASHED, others, NOT_READY])
    }
    assert len(told) == 1


def test_every_reason_of_a_pod_has_a_place_in_the_order() -> None:
    every = [BACK_OFF, CRASHED, OOM, NO_CONFIG, NO_ROOM, NOT_READY]
    for first, second in itertools.permutations(every, 2):
        assert pods.worst_problem([first, second], "v1") is not None


@pytest.mark.parametrize(
    ("now", "told"),
    [
        pytest.param("2026-01-01T00:00:09Z", False, id="within two readiness probes"),
        pytest.param("2026-01-01T00:00:10Z", True, id="after them"),
        pytest.param("", True, id="without a clock"),
    ],
)
def test_a_container_that_just_started_may_be_unready(now: str, told: bool) -> None:
    started = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    body = pod(state=started, started=True)
    assert (pods.worst_problem([body], "v1", now) is not None) is told
