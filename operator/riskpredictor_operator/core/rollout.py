"""How far the roll-out of a Deployment is, and whether an apply would start one.

Read from the Deployment, and from its pods where it is not settled, in the order of questions that
kstatus and ``kubectl rollout status`` ask.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from riskpredictor_operator.core import api, conditions, names, pods, reasons, remedies
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.model_copy import Wanted, wanted_of
from riskpredictor_operator.core.release import Serving
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body


@dataclass(frozen=True, slots=True)
class Rollout:
    """State of the predictor pods. Counts are pods."""

    replicas: int
    ready: int
    wanted: int
    as_declared: bool
    """The declared version is served by all pods, and by enough of them: Ready."""
    stalled: bool
    """No progress within the deadline, and nothing that comes by itself is waited for; or what no
    waiting helps."""
    why: Explanation
    """Reason and message of Ready."""
    shortage: Explanation | None
    """Why an autoscaler does not get the pods that it wants beyond its minimum."""
    serving_version: str
    serving_model: tuple[str, str]
    """Version and digest of the model from a store that answers; as ``pods.serving_model``."""


def wanted_replicas(rp: RiskPredictor, deployment: Body) -> int:
    """Pods that should run: the fixed number, or the autoscaler's, ours held to its bounds."""
    if rp.replicas is not None:
        return rp.replicas
    chosen: int = deployment["spec"].get("replicas", 1)
    return rp.within_bounds(chosen)


def _least_replicas(rp: RiskPredictor, deployment: Body) -> int:
    """Pods without which what is declared is not true. What an autoscaler wants beyond its minimum
    depends on the load, which nobody declared."""
    wanted = wanted_replicas(rp, deployment)
    return wanted if rp.replicas is not None else min(rp.min_replicas, wanted)


def is_as_declared(rp: RiskPredictor, deployment: Body, *, template_seen: bool = False) -> bool:
    """Whether all pods run the declared template, and enough of them are available.

    Args:
        rp: what is declared.
        deployment: the live Deployment.
        template_seen: whether its controller is known to have seen this template, though perhaps
            not yet the number of pods.
    """
    status = deployment.get("status") or {}
    wanted = wanted_replicas(rp, deployment)
    return bool(
        (template_seen or is_observed(deployment))
        and _all_are_new(status)
        and deployment["spec"].get("replicas", 1) == wanted
        and status.get("availableReplicas", 0) >= _least_replicas(rp, deployment)
        and (rp.replicas is None or status.get("replicas", 0) == wanted)
    )


def _all_are_new(status: Body) -> bool:
    """Whether there is no pod of an older template."""
    return bool(status.get("updatedReplicas", 0) == status.get("replicas", 0))


def is_settled(rp: RiskPredictor, deployment: Body) -> bool:
    """Whether the pods are as declared, and as many as an autoscaler wants: nothing is to come."""
    status = deployment.get("status") or {}
    counts = {status.get("replicas", 0), status.get("availableReplicas", 0)}
    return (
        is_observed(deployment)
        and is_as_declared(rp, deployment)
        and counts == {wanted_replicas(rp, deployment)}
    )


def is_observed(deployment: Body) -> bool:
    """Whether the Deployment's controller has seen the present spec."""
    observed: int = (deployment.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= deployment["metadata"]["generation"])


def unsettled_since(deployment: Body, ready: Body | None) -> str:
    """When the Deployment became short of pods: RFC 3339 time, empty if it is unknown.

    Args:
        deployment: the live Deployment, which is not settled.
        ready: the stored condition Ready.
    """
    short = conditions.in_status(deployment.get("status"), "Available")
    since = [] if short.get("status") != "False" else [str(short.get("lastTransitionTime") or "")]
    return max([str(ready["lastTransitionTime"]) if ready else "", *since])


def rollout_of(
    rp: RiskPredictor,
    deployment: Body,
    labelled: Sequence[Body],
    now: str = "",
    *,
    template_seen: bool = False,
) -> Rollout:
    """The state of a Deployment that is ours.

    Args:
        rp: what is declared.
        deployment: the live Deployment.
        labelled: the pods that carry its label; may be empty where ``is_settled`` holds.
        now: RFC 3339 time, for ``pods.worst_problem``.
        template_seen: as in ``is_as_declared``.
    """
    status = deployment.get("status") or {}
    as_declared = is_as_declared(rp, deployment, template_seen=template_seen)
    wanted = wanted_replicas(rp, deployment)
    its_pods = pods.counted(labelled, deployment)
    version, digest = _template_version(deployment), pods.digest_of(deployment["spec"]["template"])
    # Until it is observed, conditions and counts are those of the previous template.
    observed = template_seen or is_observed(deployment)
    cause, concerned = _cause(status, its_pods, version, now) if observed else (None, ())
    of_template = {p["metadata"]["name"] for p in its_pods if pods.version_of(p) == version}
    stalled = (
        observed
        and not as_declared
        and (
            (_deadline_exceeded(status) and not _is(cause, reasons.PASSES_BY_ITSELF))
            or (_is(cause, reasons.STALLED_AT_ONCE) and of_template.issuperset(concerned))
        )
    )
    available = status.get("availableReplicas", 0)
    shortage = None
    if cause and _all_are_new(status) and wanted > max(available, _least_replicas(rp, deployment)):
        shortage = _shortage(cause, concerned, available, wanted)
    if as_declared:
        serving = version if available else ""
        model = (version, digest) if available else ("", "")
        why = Explanation(reasons.READY, _serving(rp, version, available, wanted))
    else:
        serving = pods.serving_versions(its_pods)
        model = pods.serving_model(its_pods, digest)
        why = _progress(rp, deployment, serving, stalled, observed, cause)
    return Rollout(
        replicas=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        wanted=wanted,
        as_declared=as_declared,
        stalled=stalled,
        why=why,
        shortage=shortage,
        serving_version=serving,
        serving_model=model,
    )


def _is(cause: Explanation | None, group: Collection[str]) -> bool:
    return cause is not None and cause.reason in group


def _cause(
    status: Body, its_pods: Sequence[Body], version: str, now: str
) -> tuple[Explanation | None, Sequence[str]]:
    """Why there are not more pods that answer, and which pods do not."""
    if (refused := _pods_refused(status)) is not None:
        return refused, ()
    return pods.worst_problem(its_pods, version, now) or (None, ())


def _serving(rp: RiskPredictor, version: str, available: int, wanted: int) -> str:
    if wanted:
        return f"{version} is served by {available} of {wanted} pods"
    if rp.replicas is not None:
        return f"spec.replicas is 0: no pod serves {version}"
    return f"scaled to zero by its autoscaler: no pod serves {version} at the moment"


def _shortage(
    cause: Explanation, concerned: Sequence[str], available: int, wanted: int
) -> Explanation:
    """What is told of pods that an autoscaler wants and does not get."""
    room = cause.reason in (reasons.UNSCHEDULABLE, reasons.QUOTA_EXCEEDED)
    which = f"{conditions.some(concerned, _NAMED_PODS)}: " if concerned else ""
    return Explanation(
        reasons.AT_CAPACITY if room else reasons.PODS_MISSING,
        f"{available} of {wanted} wanted pods are available; {which}{cause.message}",
    )


_NAMED_PODS = 3
"""How many pods a message names."""


def _progress(
    rp: RiskPredictor, deployment: Body, serving: str, stalled: bool, observed: bool,
    cause: Explanation | None,
) -> Explanation:  # fmt: skip
    """Why the pods are not as declared."""
    status, spec = deployment.get("status") or {}, deployment["spec"]
    wanted = wanted_replicas(rp, deployment)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    version = _template_version(deployment)
    meanwhile = _meanwhile(serving)
    if cause is not None:
        return Explanation(cause.reason, f"{version}: {cause.message}; {meanwhile}")
    if stalled:
        see = f"kubectl describe pods -l {names.selector_of(rp.key)}"
        message = (
            f"{version} has made no progress for {spec.get('progressDeadlineSeconds')} s "
            f"(spec.podTemplate.progressDeadlineSeconds); see {see}; {meanwhile}"
        )
        return Explanation(reasons.ROLLOUT_STALLED, message)
    if spec.get("paused"):
        resume = f"kubectl -n {rp.key.namespace} rollout resume deployment/{rp.key.name}"
        message = f"the Deployment is paused; resume it: {resume}; {meanwhile}"
        return Explanation(reasons.ROLLOUT_PAUSED, message)
    if not observed:
        return Explanation(reasons.ROLLING_OUT, f"rolling out {version}")
    complete = conditions.in_status(status, "Progressing").get("reason") == _COMPLETE
    if complete and _all_are_new(status):
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
    failure = conditions.in_status(status, "ReplicaFailure")
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
        f"the pods are refused ({message}); {remedies.for_admission(message)}",
    )


def _deadline_exceeded(status: Body) -> bool:
    return conditions.in_status(status, "Progressing").get("reason") == "ProgressDeadlineExceeded"


def _template_version(deployment: Body) -> str:
    labels = deployment["spec"]["template"]["metadata"].get("labels") or {}
    return str(labels.get(api.LABEL_MODEL_VERSION, ""))


def models_at_hand(
    rp: RiskPredictor, serving: Serving, deployment: Body | None, labelled: Sequence[Body]
) -> tuple[Wanted, ...]:
    """The models from stores that a ready pod has, so that they can be copied.

    Args:
        rp: what is declared.
        serving: what pods should be made of.
        deployment: the live Deployment, if it is ours.
        labelled: as in ``rollout_of``.
    """
    if deployment is None:
        return ()
    having: Sequence[Body] = (deployment["spec"]["template"],)
    if not is_as_declared(rp, deployment):
        having = [pod for pod in pods.counted(labelled, deployment) if pods.is_ready(pod)]
    digests = {digest for each in having for digest in pods.digests_of(each)}
    return tuple(model for model in wanted_of(serving) if model.digest in digests)


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
    return not is_observed(deployment) or not (_all_are_new(status) or _deadline_exceeded(status))
