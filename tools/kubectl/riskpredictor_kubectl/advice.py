"""What each reason of the operator's means, and what to do about it.

A test holds the list to the operator's own: a reason cannot come without words here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from riskpredictor_kubectl.names import Body, condition


@dataclass(frozen=True)
class Advice:
    """In commands, ``{name}`` and ``{namespace}`` stand for the RiskPredictor's."""

    meaning: str
    steps: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


_UNDO = "kubectl riskpredictor rollout undo {name} -n {namespace}"
_PODS = "kubectl describe pods -n {namespace} -l healthtech.dev/riskpredictor={name}"
_LOGS = "kubectl logs -n {namespace} -l healthtech.dev/riskpredictor={name} --tail=20"
_WATCH = "kubectl riskpredictor status {name} -n {namespace} -w"
_OPERATOR = "kubectl logs -A -l app.kubernetes.io/name=riskpredictor-operator --tail=20"

REASONS: Final = {
    "Ready": Advice("The declared version is served by as many pods as wanted."),
    "RollingOut": Advice(
        "Pods of the declared version are starting or replacing older ones.",
        ("Wait; a roll-out without progress is called stalled after five minutes.",),
        (_WATCH,),
    ),
    "Scaling": Advice(
        "The number of pods is changing, or pods of a finished roll-out are not available now.",
        ("Wait; if it lasts, look at the pods.",),
        (_WATCH, _PODS),
    ),
    "Suspended": Advice(
        "spec.suspend is true: the children keep running as they are, nobody looks after them.",
        ("Set spec.suspend to false, in Git if it came from there.",),
    ),
    "RolloutPaused": Advice(
        "Somebody paused the Deployment: its pods stay as they are until it is resumed.",
        ("Resume it when its pods may change.",),
        ("kubectl rollout resume deployment/{name} -n {namespace}",),
    ),
    "WaitingForDeletion": Advice(
        "A child of an earlier RiskPredictor of this name is still being deleted.",
        ("Wait; if it lasts, something holds that child with a finalizer: look for it.",),
        ("kubectl get deployment,service,hpa {name} -n {namespace} -o yaml",),
    ),
    "ApplyFailed": Advice(
        "The API server keeps failing at a child's write; the operator tries again.",
        ("Look for an admission webhook that does not answer.",),
        ("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations", _OPERATOR),
    ),
    "RolloutStalled": Advice(
        "The new pods did not come up in time, for a reason that they do not tell.",
        ("Look at the pods and their log, or go back to the version before.",),
        (_PODS, _LOGS, _UNDO),
    ),
    "ImagePullFailed": Advice(
        "A node cannot get the image: wrong version or name, not pushed, or no credentials.",
        (
            "Push the image, or correct spec.modelVersion or spec.image and its pullSecrets.",
            "Or go back to the version before:",
        ),
        (_UNDO,),
    ),
    "CrashLooping": Advice(
        "The predictor container keeps exiting.",
        ("Read what it said last; go back to the version before if it is the model's fault.",),
        (_LOGS + " --previous", _UNDO),
    ),
    "OutOfMemory": Advice(
        "The predictor container was killed for exceeding its memory limit.",
        ("Raise spec.resources.limits.memory, or go back to the version before.",),
        (_UNDO,),
    ),
    "ContainerStartFailed": Advice(
        "The container cannot be created from its configuration.",
        ("Look at the pod's last Events; check the image and spec.podTemplate.",),
        (_PODS,),
    ),
    "Unschedulable": Advice(
        "No node has room for a pod, or may run it.",
        ("Add a node, or lower spec.resources.requests or what spec.podTemplate asks of nodes.",),
        ("kubectl describe nodes",),
    ),
    "PodsNotReady": Advice(
        "The containers run, but the model failed its own checks.",
        ("The log says which check; train and push the model again, or go back.",),
        (_LOGS, _UNDO),
    ),
    "QuotaExceeded": Advice(
        "A ResourceQuota of the namespace leaves no room for a pod or child.",
        ("Raise the quota, or lower spec.maxReplicas or spec.resources.",),
        ("kubectl describe resourcequota -n {namespace}",),
    ),
    "PodsRefused": Advice(
        "Admission (Pod Security or a policy) refuses the pods.",
        ("Change the policy, or spec.podTemplate.",),
    ),
    "NotOwned": Advice(
        "An object with the name of a child exists and belongs to somebody else: not touched.",
        ("Delete or rename that object if nobody needs it, or rename the RiskPredictor.",),
    ),
    "InvalidSpec": Advice(
        "The spec cannot be used although the API server accepted it.",
        ("Correct the field that the message names; install the operator's own CRD.",),
        ("kubectl apply -k crds",),
    ),
    "ApplyRefused": Advice(
        "The API server refuses a child as invalid or by policy.",
        ("Correct what the message names.",),
    ),
    "Forbidden": Advice(
        "The operator's role lacks a permission in this namespace.",
        ("Apply the operator's manifests again, or, if namespaced, add this namespace.",),
        ("kubectl apply -k deploy/operator",),
    ),
    "PodsAvailable": Advice("At least one pod answers predictions."),
    "NoPodsAvailable": Advice("No pod answers predictions."),
    "ScalingActive": Advice("The autoscaler reads metrics and can change the number of pods."),
    "AwaitingAutoscaler": Advice("The autoscaler has not reported yet; it looks every 15 seconds."),
    "MetricsUnavailable": Advice(
        "The autoscaler gets no CPU metrics: the number of pods does not follow the load.",
        ("Install metrics-server, or see why it does not answer.",),
        ("kubectl get apiservice v1beta1.metrics.k8s.io",),
    ),
    "AutoscalingFailed": Advice(
        "The autoscaler cannot read or change the Deployment's scale.",
        ("Read the autoscaler's own words.",),
        ("kubectl describe hpa {name} -n {namespace}",),
    ),
    "FixedSize": Advice("spec.replicas is set, so there is no autoscaler."),
}

_NOT_SEEN: Final = "NotSeen"
"""Our word, in place of a reason of the operator's."""
_UNSEEN: Final = Advice(
    "The operator has not looked at it yet.",
    ("If it lasts, see whether the operator runs and watches this namespace.",),
    ("kubectl get pods -A -l app.kubernetes.io/name=riskpredictor-operator", _OPERATOR),
)
_STALE: Final = Advice(
    "The operator has not yet looked at the present spec; what is shown is about an older one.",
    _UNSEEN.steps,
    _UNSEEN.commands,
)


def is_current(predictor: Body) -> bool:
    """Whether the status is about the present spec."""
    status = predictor.get("status") or {}
    return bool(status.get("observedGeneration", -1) == predictor["metadata"]["generation"])


def verdict(predictor: Body) -> tuple[str, str, str]:
    """Ready's status, reason and message. Unknown while the operator has not seen the spec."""
    ready = condition(predictor, "Ready")
    if not ready:
        return "Unknown", _NOT_SEEN, _UNSEEN.meaning
    if not is_current(predictor):
        return "Unknown", _NOT_SEEN, _STALE.meaning
    return ready["status"], ready["reason"], ready["message"]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be."""

    title: str
    reason: str
    message: str
    """What the operator says."""
    meaning: str
    steps: tuple[str, ...]
    commands: tuple[str, ...]


def findings(predictor: Body) -> list[Finding]:
    """Why it is not ready, and why it does not scale; empty where all is well."""
    found = []
    status, reason, message = verdict(predictor)
    if status != "True":
        title = "Not ready" if status == "False" else "Not known to be ready"
        found.append(_finding(predictor, title, reason, message))
    scaling = condition(predictor, "Autoscaling")
    # That it is not meant to scale needs no advice.
    if scaling.get("status") == "False" and scaling["reason"] not in ("FixedSize", reason):
        found.append(_finding(predictor, "Not scaling", scaling["reason"], scaling["message"]))
    return found


def _finding(predictor: Body, title: str, reason: str, message: str) -> Finding:
    # An unknown reason is a newer operator's.
    advice = REASONS.get(reason, Advice("", ("Update the plug-in: it does not know this reason.",)))
    if reason == _NOT_SEEN:
        advice = _STALE if condition(predictor, "Ready") else _UNSEEN
    metadata = predictor["metadata"]
    commands = (c.format(name=metadata["name"], namespace=metadata["namespace"])
                for c in advice.commands)  # fmt: skip
    return Finding(title, reason, message, advice.meaning, advice.steps, tuple(commands))
