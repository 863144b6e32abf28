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
from riskpredictor_operator.core.autoscaling import AWAITING, autoscaling
from riskpredictor_operator.core.change import record as records
from riskpredictor_operator.core.change.advance import Advanced
from riskpredictor_operator.core.conditions import Condition, Explanation
from riskpredictor_operator.core.model_copy import KEPT, Outcome
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.core.release import declared
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
    """What the API server refuses, the most urgent first; most of it lasts until somebody acts."""
    waiting: Explanation | None = None
    """What a write waits for; it ends by itself."""
    service: Body | None = None
    template_seen: bool = False
    """Whether the Deployment's controller has seen its template, though perhaps not the number of
    pods, which an autoscaler changes often."""
    copies: Outcome | None = None
    """What is known of the copies of the predictor's models; None before the first look."""


def build_status(
    rp: RiskPredictor,
    options: RenderOptions,
    seen: Observation,
    previous: Body,
    now: str,
    change: Advanced | None = None,
) -> dict[str, Any]:
    """The whole status.

    Args:
        rp: what is declared.
        options: operator-wide settings, for the image.
        seen: what this pass found.
        previous: the status as stored.
        now: RFC 3339 time, used for conditions that flip and for pods that just started.
        change: what came of the change of the model; None: what is stored of it stays.
    """
    deployment = seen.deployment
    rollout = None
    if deployment is not None:
        rollout = rollout_of(rp, deployment, seen.pods, now, template_seen=seen.template_seen)
    scaling = autoscaling(rp, seen.autoscaler, rollout)
    current = [
        *_readiness(rp, seen, rollout, change, scaling, _failing_seconds(previous, now)),
        _available(rollout, seen.service),
        scaling,
    ]
    if change and change.accepted:
        current.append(change.accepted)
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
    told = {name: previous[name] for name in records.FIELDS if name in previous}
    if change is not None:
        told = records.to_fields(change.record)
    if rollout is not None and rollout.serving_version:
        status["servingVersion"] = _serving_versions(rollout, told.get("rollout") or {})
        version, digest = rollout.serving_model
        if digest:
            copy = _copy_of(digest, seen.copies, previous)
            status["model"] = {"version": version, "digest": digest} | copy
    if copies := previous.get("modelCopies") if seen.copies is None else seen.copies.copies:
        status["modelCopies"] = list(copies)
    return status | told


def _serving_versions(rollout: Rollout, of_change: Body) -> str:
    """The versions that answer; in a canary the candidate's, too, which is in the same pods."""
    versions = {*rollout.serving_version.split(",")}
    candidate = of_change.get("candidate") or {}
    if of_change.get("percent") and "version" in candidate:
        versions.add(str(candidate["version"]))
    return ",".join(sorted(versions))


def _copy_of(digest: str, copies: Outcome | None, previous: Body) -> dict[str, str]:
    """What the status says of the copy of the served model. Before the first look it is what is
    stored, so that a restart changes nothing."""
    stored = previous.get("model") or {}
    if copies is None:
        state = stored.get("copy", "") if stored.get("digest") == digest else ""
    elif digest in copies.copies:
        state = KEPT
    else:
        state = copies.states.get(digest, "")
    return {"copy": state} if state else {}


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
    current = [*_stalled(problem), *(untouched or [_available(None, None), AWAITING])]
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


_PROGRESS_FIELDS = frozenset({"replicas", "readyReplicas", "servingVersion", "model", "conditions"})


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
    rp: RiskPredictor,
    seen: Observation,
    rollout: Rollout | None,
    change: Advanced | None,
    scaling: Condition,
    failing: float,
) -> list[Condition]:
    """Ready, with Reconciling or Stalled where one of them holds.

    Args:
        rp: what is declared.
        seen: what this pass found.
        rollout: the state of the Deployment; None where there is none.
        change: what came of the change of the model.
        scaling: the condition Autoscaling.
        failing: for how many seconds the autoscaler has failed.
    """
    if rp.suspend:
        return [
            Condition(
                conditions.READY, "False", reasons.SUSPENDED,
                "spec.suspend is true: the children are left alone; set it to false to resume",
            )
        ]  # fmt: skip
    if seen.problems:
        passing = all(problem.reason in reasons.PASSES_BY_ITSELF for problem in seen.problems)
        why = _all_of(seen.problems)
        return _reconciling(why) if passing else _stalled(why)
    if seen.waiting is not None:
        return _reconciling(seen.waiting)
    if rollout is None:
        return _reconciling(Explanation(reasons.ROLLING_OUT, f"creating {rp.model_version}"))
    if change is not None and change.why is not None:
        return _stalled(change.why) if change.stalled else _reconciling(change.why)
    if not rollout.as_declared:
        return _stalled(rollout.why) if rollout.stalled else _reconciling(rollout.why)
    if scaling.reason == reasons.AUTOSCALING_FAILED:
        why = Explanation(scaling.reason, scaling.message)
        # The autoscaler tries again every 15 seconds, so most failures end by themselves.
        return _stalled(why) if failing >= AUTOSCALER_PATIENCE_SECONDS else _reconciling(why)
    return [Condition(conditions.READY, "True", rollout.why.reason, rollout.why.message)]


def _all_of(problems: Sequence[Explanation]) -> Explanation:
    """The reason of the most urgent problem, and what all of them say."""
    messages = dict.fromkeys(problem.message for problem in problems)
    return Explanation(problems[0].reason, "; also: ".join(messages))


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


def _available(rollout: Rollout | None, service: Body | None) -> Condition:
    if rollout is None or rollout.ready == 0:
        return Condition(
            conditions.AVAILABLE, "False", reasons.NO_PODS_AVAILABLE, "no pod answers predictions"
        )
    if service is None:
        return Condition(
            conditions.AVAILABLE, "False", reasons.NO_SERVICE,
            "pods are ready, and there is no Service of this RiskPredictor that leads to them; the "
            "reason of Ready says why",
        )  # fmt: skip
    return Condition(
        conditions.AVAILABLE, "True", reasons.PODS_AVAILABLE, "predictions are answered"
    )


AUTOSCALER_PATIENCE_SECONDS = 60.0
"""How long an autoscaler may fail before that is called stalled."""


def _image(rp: RiskPredictor, options: RenderOptions, deployment: Body | None) -> str:
    """The image of the pods; while there is no Deployment, of those to come."""
    if deployment is not None:
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            if container["name"] == api.CONTAINER:
                return str(container["image"])
    return declared(rp, options).image
