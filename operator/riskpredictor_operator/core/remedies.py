"""What to change, and in which field, for what the scheduler, admission or the kubelet say.

They word their refusals for whoever wrote the pod. Users of a RiskPredictor wrote a spec, so the
fix names the field of the spec from which that part of the pod comes.
"""

from __future__ import annotations

from collections.abc import Sequence

_VOLUMES = "look at the volumes that somebody added to the pods"
_SCHEDULING = (
    ("Insufficient ", "lower spec.resources.requests, or add nodes with room"),
    ("Too many pods", "add nodes: they run as many pods as they may"),
    ("didn't match Pod's node affinity/selector",
     "correct spec.podTemplate.nodeSelector or spec.podTemplate.affinity, or label a node"),
    ("untolerated taint", "add spec.podTemplate.tolerations"),
    ("taints that the pod didn't tolerate", "add spec.podTemplate.tolerations"),
    ("affinity rules", "loosen spec.podTemplate.affinity"),
    ("topology spread constraints", "loosen spec.podTemplate.topologySpreadConstraints"),
    ("were unschedulable", "uncordon a node"),
    ("free ports", "remove the host port that somebody added to the pods"),
    ("olume", _VOLUMES),
)  # fmt: skip
"""What the scheduler says of nodes (its plug-ins' reasons), and what helps against it."""
_NO_NODE = "add nodes, or lower spec.resources.requests"

_ADMISSION = (
    ("error looking up service account",
     "create it, or correct spec.podTemplate.serviceAccountName"),
    ("no PriorityClass", "create it, or correct spec.podTemplate.priorityClassName"),
    ("violates PodSecurity",
     "change it in spec.podTemplate.securityContext or in what others add to the pods"),
    ("security context constraint",
     "remove user and group from spec.podTemplate.securityContext, or have them allowed"),
    ("must specify", "set what it names in spec.resources"),
    ("usage per ", "change spec.resources: a LimitRange of the namespace bounds them"),
    ("limit to request ratio", "change spec.resources: a LimitRange of the namespace bounds them"),
    ("admission webhook", "change the policy behind that webhook, or what it objects to"),
)  # fmt: skip
"""What admission says of pods, and what helps against it."""
_ANY_POLICY = "change the policy, or what it objects to in spec.podTemplate"


def for_scheduling(message: str, claims: Sequence[str] = (), field: str = "") -> str:
    """What helps a pod that no node can run.

    Args:
        message: the scheduler's, of all nodes; several things may be in the way.
        claims: those that hold the pod's models.
        field: where the spec names the only claim; empty where that is not known.
    """
    fixes = dict.fromkeys(fix for words, fix in _SCHEDULING if words in message)
    if claims and _VOLUMES in fixes:
        ours = f"look at the claim {' and the claim '.join(claims)}"
        ours += f", or correct {field}" if field else ""
        fixes = {ours if fix == _VOLUMES else fix: None for fix in fixes}
    return "; or ".join(fixes) or _NO_NODE


def for_admission(message: str) -> str:
    """What helps against a refusal of pods.

    Args:
        message: the API server's, to whoever creates the pods.
    """
    return next((fix for words, fix in _ADMISSION if words in message), _ANY_POLICY)


def for_start(message: str, image: str, *, ours: bool) -> tuple[str, str]:
    """Why a container cannot be started, in short where it is known, and what helps.

    Args:
        message: the kubelet's or the container runtime's.
        image: the container's image.
        ours: whether it is the predictor; else somebody added the container.

    Returns:
        Both may be used in a sentence; the fix may be empty.
    """
    cause = message.split(" (pod: ")[0]
    if "exec format error" in message:
        cause = "exec format error: it is built for another processor architecture than the node's"
        return cause, (
            f"build {image} for the node's architecture, or choose nodes by kubernetes.io/arch in "
            "spec.podTemplate.nodeSelector"
        )
    if "will run as root" in message or "breaks non-root policy" in message:
        return cause, (
            "build the image with a USER that is a number other than 0, or set "
            f"{_security_context(ours)}.runAsUser"
        )
    if "non-numeric user" in message:
        return cause, (
            "give the image's USER as a number, which can be checked, or set "
            f"{_security_context(ours)}.runAsUser"
        )
    if ours and any(word in message for word in ('secret "', 'configmap "', "couldn't find key")):
        return cause, "create it, or correct spec.podTemplate.env"
    return cause, ""


def _security_context(ours: bool) -> str:
    return "spec.podTemplate.securityContext" if ours else "its securityContext"
