"""What keeps one container of a pod from running or from being ready.

The predictor's own container is told by what the user declares; another one, which a mesh, an agent
or a person added, by its role and name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from riskpredictor_operator.core import fetching, reasons, remedies
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.kube import Body

PREDICTOR: Final = "predictor"
CONTAINER: Final = "container"
INIT: Final = "init container"
SIDECAR: Final = "sidecar"
FETCH: Final = "fetch"
COPY: Final = "copy"
FETCH_CANDIDATE: Final = "fetch candidate"
COPY_CANDIDATE: Final = "copy candidate"
"""The roles of a container. A sidecar is an init container that keeps running; ``fetch`` and
``copy`` are the operator's own init containers, which bring the model from a store, and those of a
candidate bring that, too, from its image."""

_FETCHING = frozenset({FETCH, FETCH_CANDIDATE})
_COPYING = frozenset({COPY, COPY_CANDIDATE})
_OURS = frozenset({PREDICTOR}) | _FETCHING | _COPYING
"""Roles of containers that the operator renders."""
_INITIAL = frozenset({INIT}) | _FETCHING | _COPYING
"""Roles of containers that end before the predictor starts."""

READY_SECONDS = 10.0
"""How long a started container may be unready: two periods of the readiness probe."""
SLOW_SECONDS = 30.0
"""How long an init container, volumes and the pod's network may take before that is told."""

_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
     "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}
)  # fmt: skip
"""Reasons of a waiting container whose image cannot be pulled."""
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Reasons of a waiting container that has not been tried yet. All that are in none of these sets
say that it cannot be created."""
_BACK_OFF = "CrashLoopBackOff"
_START_REASONS = frozenset({"StartError", "ContainerCannotRun"})
"""Reasons of a terminated container whose program could not be started."""
_EXEC_FORMAT = (1, 255)
"""Exit codes of a program that the processor cannot run, where the runtime tells that in the log
only (runc does, crun says StartError). Others end so, too, but seldom at once."""
_AT_ONCE_SECONDS = 1.0
"""How long such a program seems to run; the times of a status are whole seconds."""
_LOST = "ContainerStatusUnknown"
"""Reason of a terminated container that a node lost, by a reboot for example; it says nothing."""


def problem_of(container: Body, role: str, now: str) -> Explanation | None:
    """What is wrong with a container that is not ready; None while it is merely starting.

    Args:
        container: its status.
        role: one of the roles above.
        now: RFC 3339 time; empty to give it no time to become ready.
    """
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE_REASONS:
        return _pull_failed(container, role, reason, message)
    if reason not in _STARTING and reason != _BACK_OFF:
        return _start_failed(container, role, message or reason)
    # An init container counts as started as well, and has no readiness probe.
    if role not in _INITIAL and container.get("started") and "running" in state:
        started = state["running"].get("startedAt", "")
        return None if is_recent(started, now, READY_SECONDS) else _not_ready(container, role)
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if ended:
        return _exited(container, role, ended)
    return _exited(container, role, {}) if reason == _BACK_OFF else None


def is_recent(since: str, now: str, seconds: float) -> bool:
    """Whether something began less than so many seconds ago; False where that is unknown."""
    if not since or not now:
        return False
    passed = datetime.fromisoformat(now) - datetime.fromisoformat(since)
    return passed.total_seconds() < seconds


def describe(container: Body, role: str) -> str:
    """The container in a sentence."""
    if role == PREDICTOR:
        return "the predictor"
    return f"{INIT if role in _INITIAL else role} {container['name']}"


def _pull_failed(container: Body, role: str, reason: str, message: str) -> Explanation:
    image = container.get("image", "")
    whose = "" if role == PREDICTOR else f" of {describe(container, role)}"
    # A failing pull alternates between these two reasons; the status must not.
    detail = "" if reason in ("ErrImagePull", "ImagePullBackOff") else f" ({reason})"
    if "no match for platform" in message:
        detail = " (it is not there for the node's operating system and architecture)"
    check = _IMAGE_CHECKS.get(role, "check what adds that container to the pods")
    return Explanation(
        reasons.IMAGE_PULL_FAILED, f"image {image}{whose} cannot be pulled{detail}; {check}"
    )


_IMAGE_CHECKS = {
    PREDICTOR: "check spec.modelVersion and spec.image, and that the image is in the registry",
    FETCH: "check spec.image and the operator's RISKPREDICTOR_RUNTIME_IMAGE, and that the image is "
    "in the registry",
    COPY: "check spec.model.source.image.reference and spec.image.pullSecrets, and that the image "
    "is in the registry",
    FETCH_CANDIDATE: "check spec.image and the operator's RISKPREDICTOR_RUNTIME_IMAGE, and that "
    "the image is in the registry",
    COPY_CANDIDATE: "it holds the candidate: check the candidate's modelVersion, or the reference "
    "of its source image, and spec.image, and that the image is in the registry",
}


def _start_failed(container: Body, role: str, why: str) -> Explanation:
    image = container.get("image", "")
    cause, fix = remedies.for_start(why, image, ours=role in _OURS)
    if role in _COPYING and "not found" in why:
        fix = _NEEDS_CP[role]
    what = "the container" if role == PREDICTOR else describe(container, role)
    message = f"{what} of image {image} cannot be started ({cause})"
    return Explanation(reasons.CONTAINER_START_FAILED, f"{message}; {fix}" if fix else message)


_NEEDS_CP = {
    COPY: "spec.model.source.image needs an image that has cp",
    COPY_CANDIDATE: "the candidate's image has to have cp",
}


def _exited(container: Body, role: str, ended: Body) -> Explanation | None:
    reason, why = ended.get("reason", ""), ended.get("message", "")
    if reason == _LOST:
        return None
    if role in _FETCHING and (told := fetching.told(why)):
        return told
    # A runtime may notice only after the start that a program cannot run on this processor.
    if reason in _START_REASONS or "exec format error" in why:
        return _start_failed(container, role, why or reason)
    if reason == "OOMKilled":
        limit = "spec.resources.limits.memory" if role in _OURS else "its memory limit"
        return Explanation(
            reasons.OUT_OF_MEMORY,
            f"{describe(container, role)} was killed for using more memory than {limit}; raise it",
        )
    log = "--previous" if role == PREDICTOR else f"-c {container['name']} --previous"
    code = ended.get("exitCode", "unknown")
    message = (
        f"{describe(container, role)} of image {container.get('image', '')} keeps exiting "
        f"(last exit code {code}); see kubectl logs {log}"
    )
    if code in _EXEC_FORMAT and _ended_at_once(ended):
        message += (
            "; if it says exec format error, the image is built for another processor architecture "
            "than the node's"
        )
    return Explanation(reasons.CRASH_LOOPING, message + _HINTS.get(role, ""))


_HINTS = {
    FETCH: "; an image of a version before spec.model cannot fetch: check spec.image",
    COPY: "; check spec.model.source.image.path",
    FETCH_CANDIDATE: "; an image of a version before spec.rollout cannot fetch a candidate: check "
    "spec.image",
    COPY_CANDIDATE: "; check that the candidate's image holds the model in /model, or in the path "
    "of its source image",
}
"""What may be the matter with a container of a role that ends without a known reason."""


def _ended_at_once(ended: Body) -> bool:
    started, finished = ended.get("startedAt", ""), ended.get("finishedAt", "")
    if not started or not finished:
        return False
    ran = datetime.fromisoformat(finished) - datetime.fromisoformat(started)
    return ran.total_seconds() <= _AT_ONCE_SECONDS


def _not_ready(container: Body, role: str) -> Explanation:
    if role == PREDICTOR:
        return Explanation(
            reasons.PODS_NOT_READY,
            "the predictor runs but GET /ready does not answer 200; its log says why",
        )
    return Explanation(
        reasons.PODS_BLOCKED,
        f"{describe(container, role)} runs but is not ready; see kubectl logs -c "
        f"{container['name']}",
    )
