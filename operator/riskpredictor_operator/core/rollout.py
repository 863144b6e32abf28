"""How far a Deployment is, read from its body (and its pods, where it is not settled).

Follows the order of questions that kstatus and ``kubectl rollout status`` ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from riskpredictor_operator.core import api, names, pods, reasons
from riskpredictor_operator.core.api import Body
from riskpredictor_operator.core.errors import Problem
from riskpredictor_operator.core.spec import RiskPredictor


@dataclass(frozen=True, slots=True)
class Rollout:
    """State of the predictor pods. Counts are pods."""

    replicas: int
    ready: int
    wanted: int
    settled: bool
    """Every wanted pod runs the declared template and is available."""
    stalled: bool
    """No progress within the deadline."""
    state: Problem
    """Reason and message, as Ready says them."""
    serving_version: str


def wanted_replicas(rp: RiskPredictor, deployment: Body) -> int:
    """Pods that should run: the fixed number, or the autoscaler's choice held to its bounds."""
    if rp.replicas is not None:
        return rp.replicas
    return rp.within_bounds(deployment["spec"].get("replicas", 1))


def is_settled(rp: RiskPredictor, deployment: Body) -> bool:
    """Whether there is nothing left to wait for, so that the pods need not be looked at."""
    status = deployment.get("status") or {}
    wanted = wanted_replicas(rp, deployment)
    return bool(
        _is_observed(deployment)
        and deployment["spec"].get("replicas", 1) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("updatedReplicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


def _is_observed(deployment: Body) -> bool:
    """Whether the Deployment's controller has seen the present spec."""
    observed: int = (deployment.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= deployment["metadata"]["generation"])


def rollout_of(
    rp: RiskPredictor, deployment: Body, its_pods: Sequence[Body], now: str = ""
) -> Rollout:
    """Summary of a Deployment that is ours.

    Args:
        rp: what is declared.
        deployment: the live Deployment.
        its_pods: its pods; may be empty where ``is_settled`` holds.
        now: RFC 3339 time, for the allowance of ``pods.first_problem``.
    """
    status = deployment.get("status") or {}
    settled = is_settled(rp, deployment)
    wanted = wanted_replicas(rp, deployment)
    declared = _template_version(deployment)
    # Before that, conditions and counts still tell of the previous template.
    observed = _is_observed(deployment)
    stalled = observed and not settled and _deadline_exceeded(status)
    if settled:
        serving = declared if wanted else ""
        state = Problem(reasons.READY, f"{declared} is served by {wanted} of {wanted} pods")
    else:
        serving = pods.serving_versions(its_pods)
        problem = (
            _refusal(status) or pods.first_problem(its_pods, declared, now) if observed else None
        )
        state = _progress(rp, deployment, serving, stalled, problem)
    return Rollout(
        replicas=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        wanted=wanted,
        settled=settled,
        stalled=stalled,
        state=state,
        serving_version=serving,
    )


def _progress(
    rp: RiskPredictor, deployment: Body, serving: str, stalled: bool, problem: Problem | None
) -> Problem:
    """Why a Deployment is not settled."""
    status = deployment.get("status") or {}
    wanted = wanted_replicas(rp, deployment)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    version = _template_version(deployment)
    now = f"{serving.replace(',', ' and ')} still answers" if serving else "nothing answers yet"
    if problem is not None:
        return Problem(problem.reason, f"{version}: {problem.message}; meanwhile {now}")
    if stalled:
        see = f"kubectl describe pods -l {names.selector_of(rp.key)}"
        message = f"{version} makes no progress; see {see}; meanwhile {now}"
        return Problem(reasons.ROLLOUT_STALLED, message)
    if deployment["spec"].get("paused"):
        resume = f"kubectl -n {rp.key.namespace} rollout resume deployment/{rp.key.name}"
        message = f"the Deployment is paused; resume it: {resume}; meanwhile {now}"
        return Problem(reasons.ROLLOUT_PAUSED, message)
    if not _is_observed(deployment):
        return Problem(reasons.ROLLING_OUT, f"rolling out {version}")
    complete = _condition(status, "Progressing").get("reason") == _COMPLETE
    if complete and updated == status.get("replicas", 0):
        message = f"{available} of {wanted} pods of {version} are available, {updated} exist"
        return Problem(reasons.SCALING, message)
    message = f"rolling out {version}: {updated} of {wanted} pods are new, {available} available"
    return Problem(reasons.ROLLING_OUT, message)


_COMPLETE = "NewReplicaSetAvailable"
"""Reason of the Deployment's Progressing condition once a roll-out has finished."""


def _refusal(status: Body) -> Problem | None:
    """Pods that admission did not let in, as the Deployment's ReplicaFailure condition tells."""
    failure = _condition(status, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    message = failure.get("message", "")
    if "exceeded quota" in message:
        return Problem(
            reasons.QUOTA_EXCEEDED,
            f"a ResourceQuota of the namespace leaves no room ({message}); raise it",
        )
    return Problem(
        reasons.PODS_REFUSED,
        f"the pods are refused ({message}); change the policy or spec.podTemplate",
    )


def _deadline_exceeded(status: Body) -> bool:
    return _condition(status, "Progressing").get("reason") == "ProgressDeadlineExceeded"


def _condition(status: Body, name: str) -> Body:
    for condition in status.get("conditions") or ():
        if condition["type"] == name:
            return dict(condition)
    return {}


def _template_version(deployment: Body) -> str:
    labels = deployment["spec"]["template"]["metadata"].get("labels") or {}
    return str(labels.get(api.LABEL_MODEL_VERSION, ""))
