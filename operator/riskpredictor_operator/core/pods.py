"""Which pods answer, and why others do not come up.

The reason of Ready is chosen later, from this and more: ``rollout.rollout_of`` puts the reason of a
roll-out together, and ``status.build_status`` prefers problems of the children to it.
"""

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
"""Reasons of a waiting container whose image cannot be pulled."""
_CREATE_REASONS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
"""Reasons of a waiting container that cannot be created."""
_START_REASONS = frozenset({"StartError", "ContainerCannotRun"})
"""Reasons of a terminated container whose program could not be started."""


def is_ready(pod: Body) -> bool:
    """Whether a pod answers requests: ready, and not being deleted."""
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


def worst_problem(pods: Iterable[Body], version: str, now: str = "") -> Explanation | None:
    """The most severe problem of the pods that are not ready, by the order of ``_SEVERITY``.

    Only pods of the declared version count or, if none of them is unready, those of every version;
    pods that are being deleted never do. The order of the pods does not matter, so that the status
    is stable.

    Args:
        pods: pods of one predictor.
        version: the declared model version.
        now: RFC 3339 time; a container that has only just started is given time to become ready.
            If empty, it is given none.
    """
    unready = [p for p in pods if "deletionTimestamp" not in p["metadata"] and not is_ready(p)]
    declared = [pod for pod in unready if version_of(pod) == version]
    problems = [
        problem for pod in (declared or unready) if (problem := problem_of(pod, now)) is not None
    ]
    return min(problems, key=lambda p: (_SEVERITY.index(p.reason), p.message), default=None)


READY_SECONDS = 10.0
"""How long a started container may be unready: two periods of the readiness probe."""

_SEVERITY = (  # the most severe first
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
        # A failing pull alternates between these two reasons; the status must not.
        detail = "" if reason in ("ErrImagePull", "ImagePullBackOff") else f" ({reason})"
        return Explanation(
            reasons.IMAGE_PULL_FAILED,
            f"image {image} cannot be pulled{detail}; check spec.modelVersion and spec.image, "
            "and that the image is in the registry",
        )
    if reason in _CREATE_REASONS:
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
