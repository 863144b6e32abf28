"""Builds the status of a RiskPredictor from what a pass observed.

Keeps the rules by which kstatus, Flux and Argo CD read health: Ready is always present, it is False
while Reconciling or Stalled is True, these two exclude each other, and each exists only while True.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from riskpredictor_operator.core import api, conditions, names, reasons
from riskpredictor_operator.core.conditions import Condition, Explanation
from riskpredictor_operator.core.manifests import RenderOptions
from riskpredictor_operator.core.rollout import Rollout, rollout_of
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body, Key


@dataclass(frozen=True, slots=True)
class Observation:
    """The children after the writes of one pass, and the problems that prevented writes."""

    deployment: Body | None = None
    autoscaler: Body | None = None
    pods: Sequence[Body] = field(default=())
    problems: tuple[Explanation, ...] = ()
    """Problems that last until somebody acts. Ready shows only the first."""
    waiting: Explanation | None = None
    """What a write waits for; it ends by itself."""


def build_status(
    rp: RiskPredictor, options: RenderOptions, seen: Observation, previous: Body, now: str
) -> dict[str, Any]:
    """The whole status.

    Args:
        rp: what is declared.
        options: operator-wide settings, for the image.
        seen: what this pass found.
        previous: the status as stored.
        now: RFC 3339 time, used for conditions that flip and for pods that just started.
    """
    deployment = seen.deployment
    rollout = None if deployment is None else rollout_of(rp, deployment, seen.pods, now)
    current = [
        *_readiness(rp, seen, rollout, _failing_seconds(previous, now)),
        _available(rollout),
        _autoscaling(rp, seen.autoscaler),
    ]
    status: dict[str, Any] = {
        "observedGeneration": rp.generation,
        "conditions": conditions.merge(
            previous.get("conditions") or (), current, rp.generation, now
        ),
        "replicas": 0 if rollout is None else rollout.replicas,
        "readyReplicas": 0 if rollout is None else rollout.ready,
        "selector": names.selector_of(rp.key),
        "image": _image(rp, options, seen.deployment),
        "url": names.url_of(rp),
    }
    if rollout is not None and rollout.serving_version:
        status["servingVersion"] = rollout.serving_version
    return status


def invalid_status(
    key: Key, generation: int, problem: Explanation, previous: Body, now: str
) -> dict[str, Any]:
    """The status of a RiskPredictor whose spec cannot be read. What it serves stays as it was."""
    keep = {name: value for name, value in previous.items() if name != "conditions"}
    before = {c["type"]: c for c in previous.get("conditions") or ()}
    untouched = [
        Condition(c["type"], c["status"], c["reason"], c["message"])
        for c in before.values()
        if c["type"] in (conditions.AVAILABLE, conditions.AUTOSCALING)
    ]
    current = [*_stalled(problem), *(untouched or [_available(None), _AWAITING])]
    return keep | {
        "observedGeneration": generation,
        "selector": names.selector_of(key),
        "conditions": conditions.merge(before.values(), current, generation, now),
    }


def is_progress(before: Body, after: Body) -> bool:
    """Whether a status differs only in the progress of a roll-out: counts, messages, the versions
    that answer, the first pod.

    A change of Ready or its reason, and the loss of the last pod, are more than progress.
    """
    return _without_progress(before, after) == _without_progress(after, after)


_PROGRESS_FIELDS = frozenset({"replicas", "readyReplicas", "servingVersion", "conditions"})


def _without_progress(status: Body, after: Body) -> dict[str, Any]:
    """The parts of a status that mere progress leaves alone. Available is one of them, unless it is
    True in ``after``: then the first pod has come up."""
    rest = {name: value for name, value in status.items() if name not in _PROGRESS_FIELDS}
    available = conditions.find(after.get("conditions") or (), conditions.AVAILABLE) or {}
    rest["conditions"] = [
        (c["type"], c["status"], c["reason"], c.get("observedGeneration"))
        for c in status.get("conditions") or ()
        if c["type"] != conditions.AVAILABLE or available.get("status") != "True"
    ]
    return rest


def _readiness(
    rp: RiskPredictor, seen: Observation, rollout: Rollout | None, failing: float
) -> list[Condition]:
    """Ready, with Reconciling or Stalled where one of them holds."""
    if rp.suspend:
        return [
            Condition(
                conditions.READY, "False", reasons.SUSPENDED,
                "spec.suspend is true: the children are left alone; set it to false to resume",
            )
        ]  # fmt: skip
    if seen.problems:
        return _stalled(seen.problems[0])
    if seen.waiting is not None:
        return _reconciling(seen.waiting)
    if rollout is None:
        return _reconciling(Explanation(reasons.ROLLING_OUT, f"creating {rp.model_version}"))
    if rollout.settled:
        return _settled(rp, seen.autoscaler, rollout.why, failing)
    return _stalled(rollout.why) if rollout.stalled else _reconciling(rollout.why)


def _settled(
    rp: RiskPredictor, autoscaler: Body | None, ready: Explanation, failing: float
) -> list[Condition]:
    scaling = _autoscaling(rp, autoscaler)
    if scaling.reason == reasons.AUTOSCALING_FAILED:
        why = Explanation(scaling.reason, scaling.message)
        # The autoscaler tries again every 15 seconds, so most failures end by themselves.
        return _stalled(why) if failing >= AUTOSCALER_PATIENCE_SECONDS else _reconciling(why)
    return [Condition(conditions.READY, "True", ready.reason, ready.message)]


def autoscaler_fails(rp: RiskPredictor, autoscaler: Body | None) -> bool:
    """Whether the autoscaler fails. After a while that is stalled, so a later pass has to look."""
    return _autoscaling(rp, autoscaler).reason == reasons.AUTOSCALING_FAILED


def _failing_seconds(previous: Body, now: str) -> float:
    """How long Ready has been False because of a failing autoscaler, by the stored status.

    Not by Autoscaling's own transition: it may have been False for another reason before.
    """
    before = conditions.find(previous.get("conditions") or (), conditions.READY)
    if before is None or before["reason"] != reasons.AUTOSCALING_FAILED:
        return 0.0
    since = datetime.datetime.fromisoformat(before["lastTransitionTime"])
    return (datetime.datetime.fromisoformat(now) - since).total_seconds()


def _reconciling(why: Explanation) -> list[Condition]:
    return [
        Condition(conditions.READY, "False", why.reason, why.message),
        Condition(conditions.RECONCILING, "True", why.reason, why.message),
    ]


def _stalled(why: Explanation) -> list[Condition]:
    return [
        Condition(conditions.READY, "False", why.reason, why.message),
        Condition(conditions.STALLED, "True", why.reason, why.message),
    ]


def _available(rollout: Rollout | None) -> Condition:
    if rollout is not None and rollout.ready > 0:
        return Condition(
            conditions.AVAILABLE, "True", reasons.PODS_AVAILABLE, "predictions are answered"
        )
    return Condition(
        conditions.AVAILABLE, "False", reasons.NO_PODS_AVAILABLE, "no pod answers predictions"
    )


def _autoscaling(rp: RiskPredictor, autoscaler: Body | None) -> Condition:
    if not rp.autoscaled:
        return Condition(
            conditions.AUTOSCALING, "False", reasons.FIXED_SIZE,
            f"spec.replicas fixes the size at {rp.replicas}; remove it to scale with the load",
        )  # fmt: skip
    seen = {c["type"]: c for c in ((autoscaler or {}).get("status") or {}).get("conditions") or ()}
    able, active = seen.get("AbleToScale"), seen.get("ScalingActive")
    if able is not None and able["status"] == "False" and able["reason"] in _BROKEN:
        return Condition(
            conditions.AUTOSCALING, "False", reasons.AUTOSCALING_FAILED,
            f"the autoscaler cannot change the Deployment: {able.get('message', '')}",
        )  # fmt: skip
    if active is None:
        return _AWAITING
    if active["status"] != "True":
        return _inactive(str(active["reason"]), active.get("message", ""))
    return Condition(
        conditions.AUTOSCALING, "True", reasons.SCALING_ACTIVE,
        f"between {rp.min_replicas} and {rp.max_replicas} pods at "
        f"{rp.target_cpu_utilization} % of the CPU request",
    )  # fmt: skip


def _inactive(reason: str, message: str) -> Condition:
    """The condition for an autoscaler whose ScalingActive is not True."""
    if reason == _SWITCHED_OFF:
        return _AWAITING
    if not reason.startswith(_NO_METRICS):
        return Condition(
            conditions.AUTOSCALING, "False", reasons.AUTOSCALING_FAILED,
            f"the autoscaler does not work ({reason}): {message}",
        )  # fmt: skip
    return Condition(
        conditions.AUTOSCALING, "False", reasons.METRICS_UNAVAILABLE,
        f"no CPU metrics ({reason}): the pods keep running, their number does not follow the load; "
        "check that metrics-server is installed and healthy. The autoscaler says: "
        f"{message}",
    )  # fmt: skip


_AWAITING = Condition(
    conditions.AUTOSCALING, "Unknown", reasons.AWAITING_AUTOSCALER,
    "the autoscaler has not reported yet",
)  # fmt: skip

_BROKEN = frozenset({"FailedGetScale", "FailedUpdateScale"})
_NO_METRICS = "FailedGet"
"""How an autoscaler's reasons begin where it cannot get metrics."""
_SWITCHED_OFF = "ScalingDisabled"
"""Its reason while the Deployment has 0 replicas, which the operator raises."""

AUTOSCALER_PATIENCE_SECONDS = 60.0
"""How long an autoscaler may fail before that is called stalled."""


def _image(rp: RiskPredictor, options: RenderOptions, deployment: Body | None) -> str:
    """The image of the pods; while there is no Deployment, of those to come."""
    if deployment is not None:
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            if container["name"] == api.CONTAINER:
                return str(container["image"])
    return names.image_of(rp, options.image_repository)
