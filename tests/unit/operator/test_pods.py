"""Specification of what pods tell: which count, who serves, and why one does not come up."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from unit.operator.builders import NOW, Object
from unit.operator.live_objects import (
    REPLICA_SET,
    condition,
    container,
    deployment,
    pod,
    terminated,
    unschedulable,
    waiting,
)

from riskpredictor_operator.core import pods, reasons

AT_ONCE = "2026-03-01T11:59:51Z"
"""Less than ten seconds before NOW."""
LONG_AGO = "2026-03-01T11:50:00Z"
BACK_OFF = pod(state=waiting("ImagePullBackOff", "Back-off pulling image"))
ERR_PULL = pod(state=waiting("ErrImagePull", "not found"))
WRONG_PLATFORM = pod(state=waiting("ErrImagePull", "no match for platform in manifest: not found"))
CRASHED = pod(state=waiting("CrashLoopBackOff"), last=terminated("Error", 1))
OOM = pod(state=waiting("CrashLoopBackOff"), last=terminated("OOMKilled", 137))
NO_CONFIG = pod(state=waiting("CreateContainerConfigError", 'secret "x" not found'))
ROOT = pod(
    state=waiting(
        "CreateContainerConfigError",
        'container has runAsNonRoot and image will run as root (pod: "risk-1_shop(uid)", '
        "container: predictor)",
    )
)
NAMED_USER = pod(
    state=waiting(
        "CreateContainerConfigError",
        "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is "
        'non-root (pod: "risk-1_shop(uid)", container: predictor)',
    )
)
NO_PROGRAM = "exec: /nowhere: no such file or directory"
CANNOT_RUN = pod(state=waiting("RunContainerError", NO_PROGRAM))
COULD_NOT_RUN = pod(
    state=waiting("CrashLoopBackOff"), last=terminated("StartError", 128, NO_PROGRAM)
)
EXEC_FORMAT = "exec /opt/venv/bin/python: exec format error"
BAD_NAME = pod(state=waiting("InvalidImageName"))
NEVER_PULLED = pod(state=waiting("ErrImageNeverPull"))
OOM_NOW = pod(state=terminated("OOMKilled", 137))
RESTARTED = pod(state={"running": {}}, last=terminated("Error", 1))
NO_ROOM = pod(conditions=(unschedulable(),))
NOT_READY = pod(state={"running": {}}, started=True)
STARTING = pod(state={"running": {}})


def ran(exit_code: int, until: str) -> Object:
    """Ended with that exit code, after a start at 2026-01-01T00:00:00Z."""
    state = terminated("Error", exit_code)
    state["terminated"] |= {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": until}
    return state


TROUBLE = {
    "pull back-off": (BACK_OFF, reasons.IMAGE_PULL_FAILED, "spec.modelVersion"),
    "pull error": (ERR_PULL, reasons.IMAGE_PULL_FAILED, "health-predictor:v1"),
    "bad image name": (BAD_NAME, reasons.IMAGE_PULL_FAILED, "(InvalidImageName)"),
    "never pulled": (NEVER_PULLED, reasons.IMAGE_PULL_FAILED, "(ErrImageNeverPull)"),
    "not for this platform": (
        WRONG_PLATFORM, reasons.IMAGE_PULL_FAILED, "the node's operating system and architecture"
    ),
    "no such secret": (NO_CONFIG, reasons.CONTAINER_START_FAILED, 'secret "x"'),
    "the secret's field": (NO_CONFIG, reasons.CONTAINER_START_FAILED, "spec.podTemplate.env"),
    "as root": (
        ROOT, reasons.CONTAINER_START_FAILED,
        ("(container has runAsNonRoot and image will run as root); build the image with a USER "
        "that is a number other than 0, or set spec.podTemplate.securityContext.runAsUser"),
    ),
    "as root, by its number": (
        pod(state=waiting("CreateContainerError", "container's runAsUser breaks non-root policy")),
        reasons.CONTAINER_START_FAILED, "spec.podTemplate.securityContext.runAsUser",
    ),
    "a user by name": (NAMED_USER, reasons.CONTAINER_START_FAILED, "USER as a number"),
    "no such program": (CANNOT_RUN, reasons.CONTAINER_START_FAILED, "/nowhere"),
    "another architecture, told by the runtime": (
        pod(state=waiting("CrashLoopBackOff"), last=terminated("StartError", 128, EXEC_FORMAT)),
        reasons.CONTAINER_START_FAILED, "built for another processor architecture",
    ),
    "another architecture, told by the log": (
        pod(state=terminated("Error", 255, EXEC_FORMAT)),
        reasons.CONTAINER_START_FAILED, "kubernetes.io/arch in spec.podTemplate.nodeSelector",
    ),
    "perhaps another architecture": (
        pod(state=ran(1, until="2026-01-01T00:00:01Z")), reasons.CRASH_LOOPING,
        "if it says exec format error",
    ),
    "a reason of a runtime to come": (
        pod(state=waiting("RROUnsupported", "no recursive mounts")),
        reasons.CONTAINER_START_FAILED, "no recursive mounts",
    ),
    "crash loop": (CRASHED, reasons.CRASH_LOOPING, "exit code 1"),
    "crash loop, its last state forgotten": (
        pod(state=waiting("CrashLoopBackOff")), reasons.CRASH_LOOPING, "exit code unknown"
    ),
    "just crashed": (pod(state=terminated("Error", 3)), reasons.CRASH_LOOPING, "exit code 3"),
    "memory": (OOM, reasons.OUT_OF_MEMORY, "spec.resources.limits.memory"),
    "memory, this moment": (OOM_NOW, reasons.OUT_OF_MEMORY, "raise it"),
    "no node": (NO_ROOM, reasons.UNSCHEDULABLE, "0/1 nodes are available"),
    "held back": (
        pod(
            conditions=(condition("PodScheduled", "False", "SchedulingGated"),),
            spec={"schedulingGates": [{"name": "queue.example.com/admission"}]},
        ),
        reasons.UNSCHEDULABLE, "scheduling gates (queue.example.com/admission)",
    ),
    "never ready": (NOT_READY, reasons.PODS_NOT_READY, "GET /ready"),
    "started again after a crash": (RESTARTED, reasons.CRASH_LOOPING, "--previous"),
}  # fmt: skip


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
        pytest.param(pod(state=terminated("ContainerStatusUnknown", 137)), id="lost by a reboot"),
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
        pytest.param({"metadata": {}}, False, id="no status"),
    ],
)
def test_who_answers(body: Object, ready: bool) -> None:
    assert pods.is_ready(body) is ready


COUNTED = {
    "ready": (pod(ready=True), True),
    "starting": (pod(), True),
    "being deleted": (pod(ready=True, leaving=True), False),
    "evicted": (pod(phase="Failed", reason="Evicted"), False),
    "of a node that was shut down": (pod(phase="Failed", reason="Terminated"), False),
    "refused by the node": (pod(phase="Failed", reason="UnexpectedAdmissionError"), False),
    "no longer allowed on the node": (pod(phase="Failed", reason="NodeAffinity"), False),
    "completed": (pod(phase="Succeeded"), False),
    "somebody's trial, with our labels": (pod(owner=None, ready=True), False),
    "a Job's": (pod(owner=REPLICA_SET | {"kind": "Job", "apiVersion": "batch/v1"}), False),
    "another Deployment's": (pod(owner=REPLICA_SET | {"name": "other-5d9f8c7b6d"}), False),
    "of a ReplicaSet of that prefix": (pod(owner=REPLICA_SET | {"name": "risk-canary-77"}), False),
    "owned, but not controlled": (pod(owner=REPLICA_SET | {"controller": False}), False),
}


@pytest.mark.parametrize(("body", "counts"), COUNTED.values(), ids=COUNTED)
def test_which_pods_count(body: Object, counts: bool) -> None:
    assert pods.counted([body], deployment()) == ([body] if counts else [])


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
    worst = pods.worst_problem(bodies, "v1")
    assert (worst[0].reason if worst else None) == reason


def test_the_trouble_told_does_not_depend_on_the_order_of_the_pods() -> None:
    others = pod(state=waiting("CrashLoopBackOff"), last=terminated("Error", 2))
    told = {
        str(pods.worst_problem(order, "v1"))
        for order in itertools.permutations([NO_ROOM, CRASHED, others, NOT_READY])
    }
    assert len(told) == 1


def test_every_reason_of_a_pod_has_a_place_in_the_order() -> None:
    every = [BACK_OFF, CRASHED, OOM, NO_CONFIG, NO_ROOM, NOT_READY, GATED, SILENT_NODE]
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


def sidecar(**its: Any) -> Object:
    """A pod with a native sidecar."""
    spec = {"initContainers": [{"name": "mesh", "restartPolicy": "Always"}]}
    return pod(init=(container("mesh", **its),), spec=spec, state={"running": {}})


def running(since: str) -> Object:
    return {"running": {"startedAt": since}}


DONE = container("prepare", state=terminated("Completed", 0), ready=True)
READY_INSIDE = condition("ContainersReady", "True") | {"lastTransitionTime": LONG_AGO}
GATE = "target-health.elbv2.k8s.aws/k8s-shop"
GATED = pod(
    conditions=(READY_INSIDE,), spec={"readinessGates": [{"conditionType": GATE}]},
    state={"running": {}}, started=True,
)  # fmt: skip
GATED["status"]["containerStatuses"][0]["ready"] = True
SILENT_NODE = {**GATED, "spec": {"nodeName": "worker-3"}}


def with_gate(*words: str) -> Object:
    """The pod with the gate's condition."""
    body = {**GATED, "status": {**GATED["status"]}}
    body["status"]["conditions"] = [*GATED["status"]["conditions"], condition(GATE, *words)]
    return body


OTHERS = {
    "an init container's image": (
        pod(init=(container("prepare", state=waiting("ImagePullBackOff")),)),
        reasons.IMAGE_PULL_FAILED, "image mesh:7 of init container prepare cannot be pulled",
    ),
    "an init container that crashes": (
        pod(init=(container(
            "prepare", state=waiting("CrashLoopBackOff"), last=terminated("Error", 7)),)),
        reasons.CRASH_LOOPING,
        ("init container prepare of image mesh:7 keeps exiting (last exit code 7); see kubectl "
        "logs -c prepare --previous"),
    ),
    "an init container that ends too late": (
        pod(init=(DONE, container("migrate", state=running(LONG_AGO), started=True))),
        reasons.PODS_BLOCKED, f"init container migrate has been running since {LONG_AGO}",
    ),
    "an init container out of memory": (
        pod(init=(container("prepare", state=terminated("OOMKilled", 137)),)),
        reasons.OUT_OF_MEMORY,
        "init container prepare was killed for using more memory than its memory limit",
    ),
    "an init container hides those after it": (
        pod(
            init=(container("first", state=waiting("ErrImagePull")),
                  container("second", state=waiting("PodInitializing"))),
            state=waiting("PodInitializing"),
        ),
        reasons.IMAGE_PULL_FAILED, "init container first",
    ),
    "a sidecar's image": (
        pod(ready=True, beside=(container("agent", state=waiting("ErrImagePull")),)),
        reasons.IMAGE_PULL_FAILED, "container agent",
    ),
    "a sidecar that is not ready": (
        pod(ready=True, beside=(container("agent", state=running(LONG_AGO), started=True),)),
        reasons.PODS_BLOCKED, "container agent runs but is not ready; see kubectl logs -c agent",
    ),
    "a sidecar as root": (
        pod(ready=True, beside=(container(
            "agent", state=waiting("CreateContainerConfigError", "image will run as root")),)),
        reasons.CONTAINER_START_FAILED, "set its securityContext.runAsUser",
    ),
    "a native sidecar that does not start": (
        sidecar(state=waiting("CrashLoopBackOff"), last=terminated("Error", 2)),
        reasons.CRASH_LOOPING, "sidecar mesh of image mesh:7 keeps exiting (last exit code 2)",
    ),
    "a native sidecar that is not ready": (
        sidecar(state=running(LONG_AGO), started=True),
        reasons.PODS_BLOCKED, "sidecar mesh runs but is not ready",
    ),
    "the predictor first": (
        pod(
            state=waiting("CrashLoopBackOff"), last=terminated("Error", 5),
            beside=(container("agent", state=waiting("CrashLoopBackOff"),
                              last=terminated("Error", 6)),),
        ),
        reasons.CRASH_LOOPING, "the predictor of image",
    ),
    "the crash of a sidecar, not that the predictor waits for it": (
        pod(
            state=running(LONG_AGO), started=True,
            beside=(container("agent", state=terminated("Error", 6)),),
        ),
        reasons.CRASH_LOOPING, "container agent",
    ),
    "a readiness gate that nobody set": (
        GATED, reasons.PODS_BLOCKED, f"readiness gate {GATE} has not been set"
    ),
    "a readiness gate that is False": (
        with_gate("False", "Target.Timeout", "timed out"),
        reasons.PODS_BLOCKED, f"readiness gate {GATE} is False (Target.Timeout: timed out)",
    ),
    "a node that does not report": (SILENT_NODE, reasons.NODE_NOT_READY, "node worker-3"),
    "volumes or network": (
        pod(conditions=(condition("PodReadyToStartContainers", "False"),), startTime=LONG_AGO),
        reasons.PODS_BLOCKED, f"the pod's volumes or network are not ready since {LONG_AGO}",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "reason", "words"), OTHERS.values(), ids=OTHERS)
def test_trouble_that_is_not_the_predictors_own(body: Object, reason: str, words: str) -> None:
    problem = pods.problem_of(body, NOW)
    assert problem is not None
    assert (problem.reason, words in problem.message) == (reason, True), problem.message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            pod(init=(container("prepare", state=running(AT_ONCE), started=True),)), id="init"
        ),
        pytest.param(
            pod(init=(container("prepare", state=waiting("PodInitializing")),)), id="init, to come"
        ),
        pytest.param(pod(init=(DONE,), state=running(AT_ONCE)), id="after init"),
        pytest.param(sidecar(state=running(AT_ONCE)), id="a sidecar that starts"),
        pytest.param(
            {**GATED, "status": {**GATED["status"], "conditions": [
                READY_INSIDE | {"lastTransitionTime": AT_ONCE}, condition("Ready", "False")]}},
            id="a gate, just now",
        ),
        pytest.param(
            pod(conditions=(condition("PodReadyToStartContainers", "False"),), startTime=AT_ONCE),
            id="volumes, just now",
        ),
    ],
)  # fmt: skip
def test_what_others_do_may_take_a_moment(body: Object) -> None:
    assert pods.problem_of(body, NOW) is None


def test_a_crash_of_long_ago_is_not_what_a_gate_waits_for() -> None:
    body = with_gate("False")
    body["status"]["containerStatuses"] = [
        body["status"]["containerStatuses"][0] | {"lastState": terminated("Error", 1)}
    ]
    problem = pods.problem_of(body, NOW)
    assert problem is not None
    assert problem.reason == reasons.PODS_BLOCKED


def test_what_the_scheduler_says_of_preemption_is_left_out() -> None:
    """It changes with the pods of others, and the status with it."""
    words = "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."
    preemption = "no new claims to deallocate, preemption: 0/2 nodes are available: 2 No victims."
    told = [
        pods.problem_of(pod(conditions=(unschedulable(message),)))
        for message in (words, f"{words} {preemption}")
    ]
    assert told[0] == told[1]


def test_the_pods_in_trouble_are_named() -> None:
    several = [
        {**NO_ROOM, "metadata": {**NO_ROOM["metadata"], "name": name}} for name in ("b", "a")
    ]
    worst = pods.worst_problem([*several, NOT_READY], "v1")
    assert worst is not None
    assert worst[1] == ["a", "b"]


@pytest.mark.parametrize("exit_code", [1, 255])
@pytest.mark.parametrize(
    ("until", "perhaps"),
    [
        pytest.param("2026-01-01T00:00:00Z", True, id="at once"),
        pytest.param("2026-01-01T00:00:01Z", True, id="across a full second"),
        pytest.param("2026-01-01T00:00:02Z", False, id="later"),
        pytest.param("", False, id="unknown"),
    ],
)
def test_only_a_program_that_ended_at_once_may_be_for_another_processor(
    exit_code: int, until: str, perhaps: bool
) -> None:
    worst = pods.worst_problem([pod(state=ran(exit_code, until))], "v1")
    assert worst
    assert worst[0].reason == reasons.CRASH_LOOPING
    assert ("exec format error" in worst[0].message) is perhaps
