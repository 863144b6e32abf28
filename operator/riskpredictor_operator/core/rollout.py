"""How far the roll-out of a Deployment is, and whether an apply would start one.

Read from the Deployment, and from its pods where it is not settled, in the order of questions that
kstatus and ``kubectl rollout status`` ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from riskpredictor_operator.core import api, conditions, names, pods, reasons
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body


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
    why: Explanation
    """Reason and message of Ready, settled or not."""
    serving_version: str


def wanted_replicas(rp: RiskPredictor, deployment: Body) -> int:
    """Pods that should run: the fixed number, or the autoscaler's choice held to its bounds."""
    if rp.replicas is not None:
        return rp.replicas
    return rp.within_bounds(deployment["spec"].get("replicas", 1))


def is_settled(rp: RiskPredictor, deployment: Body) -> bool:
    """Whether all wanted pods, and no others, run the declared template and are available."""
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
    """The state of a Deployment that is ours.

    Args:
        rp: what is declared.
        deployment: the live Deployment.
        its_pods: its pods; may be empty where ``is_settled`` holds.
        now: RFC 3339 time, for ``pods.worst_problem``.
    """
    status = deployment.get("status") or {}
    settled = is_settled(rp, deployment)
    wanted = wanted_replicas(rp, deployment)
    template_version = _template_version(deployment)
    # Until it is observed, conditions and counts are those of the previous template.
    observed = _is_observed(deployment)
    stalled = observed and not settled and _deadline_exceeded(status)
    if settled:
        serving = template_version if wanted else ""
        message = f"{template_version} is served by {wanted} of {wanted} pods"
        why = Explanation(reasons.READY, message)
    else:
        serving = pods.serving_versions(its_pods)
        cause = None
        if observed:
            problem = pods.worst_problem(its_pods, template_version, now)
            cause = _pods_refused(status) or problem
        why = _progress(rp, deployment, serving, stalled, cause)
    return Rollout(
        replicas=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        wanted=wanted,
        settled=settled,
        stalled=stalled,
        why=why,
        serving_version=serving,
    )


def _progress(
    rp: RiskPredictor, deployment: Body, serving: str, stalled: bool, cause: Explanation | None
) -> Explanation:
    """Why a Deployment is not settled."""
    status = deployment.get("status") or {}
    wanted = wanted_replicas(rp, deployment)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    version = _template_version(deployment)
    meanwhile = _meanwhile(serving)
    if cause is not None:
        return Explanation(cause.reason, f"{version}: {cause.message}; {meanwhile}")
    if stalled:
        see = f"kubectl describe pods -l {names.selector_of(rp.key)}"
        message = f"{version} makes no progress; see {see}; {meanwhile}"
        return Explanation(reasons.ROLLOUT_STALLED, message)
    if deployment["spec"].get("paused"):
        resume = f"kubectl -n {rp.key.namespace} rollout resume deployment/{rp.key.name}"
        message = f"the Deployment is paused; resume it: {resume}; {meanwhile}"
        return Explanation(reasons.ROLLOUT_PAUSED, message)
    if not _is_observed(deployment):
        return Explanation(reasons.ROLLING_OUT, f"rolling out {version}")
    complete = _condition(status, "Progressing").get("reason") == _COMPLETE
    if complete and updated == status.get("replicas", 0):
        message = f"{available} of {wanted} pods of {version} are available, {updated} exist"
        return Explanation(reasons.SCALING, message)
    message = f"rolling out {version}: {updated} of {wanted} pods are new, {available} available"
    return Explanation(reasons.ROLLING_OUT, message)


def _meanwhile(serving: str) -> str:
    """What answers requests until the roll-out is done."""
    if not serving:
        return "meanwhile nothing answers yet"
    versions = serving.split(",")
    verb = "answers" if len(versions) == 1 else "answer"
    return f"meanwhile {' and '.join(versions)} still {verb}"


_COMPLETE = "NewReplicaSetAvailable"
"""Reason of the Deployment's Progressing condition once a roll-out has finished."""


def _pods_refused(status: Body) -> Explanation | None:
    """Why admission refuses the pods, by the Deployment's ReplicaFailure condition."""
    failure = _condition(status, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    message = failure.get("message", "")
    if "exceeded quota" in message:
        return Explanation(
            reasons.QUOTA_EXCEEDED,
            f"a ResourceQuota of the namespace leaves no room ({message}); raise it",
        )
    return Explanation(
        reasons.PODS_REFUSED,
        f"the pods are refused ({message}); change the policy or spec.podTemplate",
    )


def _deadline_exceeded(status: Body) -> bool:
    return _condition(status, "Progressing").get("reason") == "ProgressDeadlineExceeded"


def _condition(status: Body, name: str) -> Body:
    return conditions.find(status.get("conditions") or (), name) or {}


def _template_version(deployment: Body) -> str:
    labels = deployment["spec"]["template"]["metadata"].get("labels") or {}
    return str(labels.get(api.LABEL_MODEL_VERSION, ""))


def starts_unrequested(rp: RiskPredictor, status: Body, desired: Body, live: Body | None) -> bool:
    """Whether applying ``desired`` may start a roll-out that nobody asked for.

    That is so when this operator renders the same spec otherwise than the one before it: another
    version of the operator, or another operator-wide default. A predictor whose pods do not come up
    is no such case: the change may be what repairs it.

    Args:
        rp: the RiskPredictor.
        status: its status before this pass.
        desired: the Deployment as rendered.
        live: the Deployment as it is, if it is the RiskPredictor's.
    """
    if live is None or status.get("observedGeneration") != rp.generation:
        return False
    ready = conditions.find(status.get("conditions") or (), conditions.READY)
    if ready is None or ready["reason"] in reasons.PODS_DO_NOT_COME_UP:
        return False
    # With the same hash, what differs was changed by hand.
    applied = (live["metadata"].get("annotations") or {}).get(api.ANNOTATION_HASH)
    return bool(applied != desired["metadata"]["annotations"][api.ANNOTATION_HASH])


def is_rolling(deployment: Body | None) -> bool:
    """Whether pods of a Deployment are being replaced, within its progress deadline."""
    if deployment is None:
        return False
    status = deployment.get("status") or {}
    replaced = status.get("updatedReplicas", 0) == status.get("replicas", 0)
    return not _is_observed(deployment) or not (replaced or _deadline_exceeded(status))
