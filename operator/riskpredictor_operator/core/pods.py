"""Which pods answer, and why others do not come up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from riskpredictor_operator.core import api, reasons
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.kube import Body

_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
     "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}
)  # fmt: skip
_START_REASONS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError",
     "ContainerCannotRun"}
)  # fmt: skip
"""The last two are of a container that ended before its program began, seen while the kubelet waits
to try again."""


def is_ready(pod: Body) -> bool:
    """Whether a pod answers requests: ready and not on its way out."""
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in _status(pod).get("conditions") or ()
    )


def version_of(pod: Body) -> str:
    """The model version that a pod serves."""
    return str((pod["metadata"].get("labels") or {}).get(api.LABEL_MODEL_VERSION, ""))


def serving_versions(pods: Iterable[Body]) -> str:
    """The versions that answer, sorted and comma-separated; empty if none does."""
    return ",".join(sorted({version_of(pod) for pod in pods if is_ready(pod)} - {""}))


def first_problem(pods: Iterable[Body], version: str, now: str = "") -> Explanation | None:
    """The gravest problem of the pods of the declared version, or of any if it has none.

    It does not depend on the order of the pods, so that the status is stable.

    Args:
        pods: pods of one predictor.
        version: the declared model version.
        now: RFC 3339 time; a container that has only just started is given time to become ready.
            Empty gives none.
    """
    live = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and not is_ready(pod)]
    mine = [pod for pod in live if version_of(pod) == version]
    problems = [problem for pod in (mine or live) if (problem := problem_of(pod, now)) is not None]
    return min(problems, key=lambda p: (_SEVERITY.index(p.reason), p.message), default=None)


READY_SECONDS = 10.0
"""How long a started container may be unready: two periods of the readiness probe."""

_SEVERITY = (
    reasons.IMAGE_PULL_FAILED,
    reasons.OUT_OF_MEMORY,
    reasons.CRASH_LOOPING,
    reasons.CONTAINER_START_FAILED,
    reasons.UNSCHEDULABLE,
    reasons.PODS_NOT_READY,
)


def problem_of(pod: Body, now: str = "") -> Explanation | None:
    """What keeps one pod from answering; None while it is merely starting."""
    for container in _status(pod).get("containerStatuses") or ():
        if container["name"] == api.CONTAINER and (problem := _container_problem(container, now)):
            return problem
    for condition in _status(pod).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Explanation(
                reasons.UNSCHEDULABLE,
                f"no node can run the pod ({condition.get('message', '')}); add capacity, or lower "
                "spec.resources.requests or spec.podTemplate's constraints",
            )
    return None


def _container_problem(container: Body, now: str) -> Explanation | None:
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    image = container.get("image", "")
    if reason in _IMAGE_REASONS:
        # A failing pull alternates between these two; a status must not.
        detail = "" if reason in ("ErrImagePull", "ImagePullBackOff") else f" ({reason})"
        return Explanation(
            reasons.IMAGE_PULL_FAILED,
            f"image {image} cannot be pulled{detail}; check spec.modelVersion and spec.image, "
            "and that the image is in the registry",
        )
    if reason in _START_REASONS:
        return _start_failed(image, message or reason)
    if container.get("started") and not container.get("ready"):
        return None if _just_started(state.get("running") or {}, now) else _NOT_READY
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if not ended:
        return None
    if ended.get("reason") in _START_REASONS:
        return _start_failed(image, ended.get("message") or ended["reason"])
    if ended.get("reason") == "OOMKilled":
        return Explanation(
            reasons.OUT_OF_MEMORY,
            "the predictor was killed for using more memory than spec.resources.limits.memory; "
            "raise it",
        )
    return Explanation(
        reasons.CRASH_LOOPING,
        f"the predictor of image {image} keeps exiting (last exit code {ended.get('exitCode')}); "
        "see kubectl logs --previous",
    )


def _start_failed(image: str, why: str) -> Explanation:
    return Explanation(
        reasons.CONTAINER_START_FAILED,
        f"the container of image {image} cannot be started ({why})",
    )


def _just_started(running: Body, now: str) -> bool:
    """Whether the readiness probe may not have run since the start."""
    if not now or "startedAt" not in running:
        return False
    age = datetime.fromisoformat(now) - datetime.fromisoformat(running["startedAt"])
    return age.total_seconds() < READY_SECONDS


_NOT_READY = Explanation(
    reasons.PODS_NOT_READY,
    "the predictor runs but GET /ready does not answer 200; its log says why",
)


def _status(pod: Body) -> Body:
    status: Body = pod.get("status") or {}
    return status
