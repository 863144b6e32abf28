"""Which pods count, which of them answer, and why others do not come up.

The reason of Ready is chosen later, from this and more: ``rollout.rollout_of`` puts the reason of a
roll-out together, and ``status.build_status`` prefers problems of the children to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from riskpredictor_operator.core import api, conditions, containers, reasons, remedies, slots
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.observed import controller_of
from riskpredictor_operator.core.slots import CANDIDATE, STABLE, Slot
from riskpredictor_operator.kube import Body

_ENDED = frozenset({"Succeeded", "Failed"})
"""Phases of pods that will not run again: evicted ones, or those of a node that was shut down."""


def counted(pods: Iterable[Body], deployment: Body) -> list[Body]:
    """The pods of a Deployment that matter: not ended, not being deleted, made by its ReplicaSets.

    Others may carry the same labels: somebody's trial pod, or a Job's.
    """
    name = deployment["metadata"]["name"]
    return [pod for pod in running(pods, name) if "deletionTimestamp" not in pod["metadata"]]


def running(pods: Iterable[Body], deployment: str) -> list[Body]:
    """The pods of a Deployment that have not ended; those being deleted may still answer."""
    return [
        pod for pod in pods if _status(pod).get("phase") not in _ENDED and _is_of(pod, deployment)
    ]


def _is_of(pod: Body, deployment: str) -> bool:
    """Whether a ReplicaSet of the Deployment controls the pod. The operator may not read
    ReplicaSets, but the Deployment's controller names them by the template's hash."""
    owner = controller_of(pod) or {}
    template = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
    return owner.get("kind") == "ReplicaSet" and owner["name"] == f"{deployment}-{template}"


def is_ready(pod: Body) -> bool:
    """Whether a pod answers requests."""
    return conditions.in_status(_status(pod), "Ready").get("status") == "True"


def version_of(pod: Body) -> str:
    """The model version that a pod serves."""
    return _label(pod, STABLE.version_label)


def serving_versions(pods: Iterable[Body]) -> str:
    """The versions that answer, sorted and comma-separated; empty if none does."""
    return ",".join(sorted({version_of(pod) for pod in pods if is_ready(pod)} - {""}))


def digest_of(pod: Body) -> str:
    """The digest of the model that a pod serves, or its template's; empty where it is in the
    image."""
    return _annotation(pod, STABLE.digest_annotation)


def digests_of(pod: Body) -> dict[str, Slot]:
    """The digests of the models from stores that a pod has, or its template, and where it has
    them."""
    found = {_annotation(pod, slot.digest_annotation): slot for slot in reversed(slots.SLOTS)}
    return {digest: slot for digest, slot in found.items() if digest}


def _label(pod: Body, name: str) -> str:
    return str((pod["metadata"].get("labels") or {}).get(name, ""))


def _annotation(pod: Body, name: str) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(name, ""))


def serving_model(pods: Iterable[Body], declared: str) -> tuple[str, str]:
    """Version and digest of the model that answers; the digest is empty where the model is in the
    image, both are where none answers.

    Args:
        pods: pods that count.
        declared: the digest of the template. While pods of another one answer, too, it is that one.
    """
    answering = {(version_of(pod), digest_of(pod)) for pod in pods if is_ready(pod)}
    former = {model for model in answering if model[1] != declared}
    return min(former or answering, default=("", ""))


def worst_problem(
    pods: Iterable[Body], version: str, now: str = ""
) -> tuple[Explanation, Sequence[str]] | None:
    """The most severe problem of the pods that are not ready, by the order of ``_SEVERITY``, and
    the names of the pods that have one of that reason.

    Only pods of the declared version are looked at or, if none of them is unready, those of every
    version. The order of the pods does not matter, so that the status is stable.

    Args:
        pods: pods that count.
        version: the declared model version.
        now: RFC 3339 time; a container that has only just started is given time to become ready.
            If empty, it is given none.
    """
    unready = [pod for pod in pods if not is_ready(pod)]
    declared = [pod for pod in unready if version_of(pod) == version]
    problems = [
        (problem, str(pod["metadata"]["name"]))
        for pod in (declared or unready)
        if (problem := problem_of(pod, now)) is not None
    ]
    if not problems:
        return None
    worst = min((problem for problem, _ in problems), key=lambda p: (_severity(p), p.message))
    return worst, sorted(name for problem, name in problems if problem.reason == worst.reason)


_SEVERITY = (  # the most severe first
    reasons.IMAGE_PULL_FAILED,
    reasons.MODEL_SIGNATURE_INVALID,
    reasons.MODEL_DIGEST_MISMATCH,
    reasons.MODEL_REJECTED,
    reasons.MODEL_NOT_FOUND,
    reasons.MODEL_FETCH_FAILED,
    reasons.OUT_OF_MEMORY,
    reasons.CRASH_LOOPING,
    reasons.CONTAINER_START_FAILED,
    reasons.UNSCHEDULABLE,
    reasons.PODS_NOT_READY,
    reasons.PODS_BLOCKED,
    reasons.NODE_NOT_READY,
)


def _severity(problem: Explanation) -> int:
    return _SEVERITY.index(problem.reason)


def problem_of(pod: Body, now: str = "") -> Explanation | None:
    """What keeps one pod from being ready; None while it is merely starting."""
    return (
        _not_scheduled(pod)
        or _of_containers(pod, now)
        or _without_sandbox(pod, now)
        or _of_the_pod(pod, now)
    )


def _not_scheduled(pod: Body) -> Explanation | None:
    scheduled = conditions.in_status(_status(pod), "PodScheduled")
    if scheduled.get("status") != "False":
        return None
    if scheduled.get("reason") == "SchedulingGated":
        gates = ", ".join(gate["name"] for gate in _spec(pod).get("schedulingGates") or ())
        return Explanation(
            reasons.UNSCHEDULABLE,
            f"the pod is held back by scheduling gates ({gates}); whatever set them has to remove "
            "them",
        )
    message = str(scheduled.get("message", ""))
    # The first sentence tells of nodes. Others, of preemption, change with the cluster's load.
    nodes = message.partition(". ")[0].rstrip(".")
    return Explanation(
        reasons.UNSCHEDULABLE,
        f"no node can run the pod ({nodes}); {remedies.for_scheduling(nodes, *_claims(pod))}",
    )


def _of_containers(pod: Body, now: str) -> Explanation | None:
    """What is wrong with a container; the first init container that has not ended hides others."""
    sidecars = {
        container["name"]
        for container in _spec(pod).get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    for container in _status(pod).get("initContainerStatuses") or ():
        if container["name"] in sidecars:
            if not container.get("started"):
                return containers.problem_of(container, containers.SIDECAR, now)
        elif not _has_succeeded(container):
            return _of_init_container(pod, container, now)
    found = (
        problem
        for container, role in _running(pod, sidecars)
        if not container.get("ready")
        and (problem := containers.problem_of(container, role, now)) is not None
    )
    return min(found, key=_severity, default=None)


def _running(pod: Body, sidecars: Iterable[str]) -> Iterator[tuple[Body, str]]:
    """The statuses of the containers that run while the pod does, the predictor's first."""
    status = _status(pod)
    its_containers = status.get("containerStatuses") or ()
    for container in its_containers:
        if container["name"] == api.CONTAINER:
            yield container, containers.PREDICTOR
    for container in its_containers:
        if container["name"] != api.CONTAINER:
            yield container, containers.CONTAINER
    for container in status.get("initContainerStatuses") or ():
        if container["name"] in sidecars:
            yield container, containers.SIDECAR


def _has_succeeded(container: Body) -> bool:
    ended = (container.get("state") or {}).get("terminated")
    return ended is not None and ended.get("exitCode") == 0


def _of_init_container(pod: Body, container: Body, now: str) -> Explanation | None:
    role = _OWN_INIT.get(container["name"], containers.INIT)
    if problem := containers.problem_of(container, role, now):
        if problem.reason not in reasons.OF_THE_STORE:
            return problem
        return Explanation(problem.reason, f"{problem.message} (pod {pod['metadata']['name']})")
    since = ((container.get("state") or {}).get("running") or {}).get("startedAt", "")
    if not since or containers.is_recent(since, now, containers.SLOW_SECONDS):
        return None
    name = container["name"]
    return Explanation(
        reasons.PODS_BLOCKED,
        f"init container {name} has been running since {since}, and the predictor starts when it "
        f"ends; see kubectl logs -c {name}",
    )


_OWN_INIT = {
    STABLE.fetch_container: containers.FETCH,
    STABLE.copy_container: containers.COPY,
    CANDIDATE.fetch_container: containers.FETCH_CANDIDATE,
    CANDIDATE.copy_container: containers.COPY_CANDIDATE,
}
"""Roles of the init containers that the operator renders, by name."""


def _without_sandbox(pod: Body, now: str) -> Explanation | None:
    """A volume that cannot be mounted and a broken pod network are told by Events only; this
    condition (Kubernetes 1.29) says that one of them is in the way."""
    status = _status(pod)
    since = status.get("startTime", "")
    started = conditions.in_status(status, "PodReadyToStartContainers")
    if started.get("status") != "False" or not since:
        return None
    if containers.is_recent(since, now, containers.SLOW_SECONDS):
        return None
    needed = _needed_volumes(pod)
    check = f"check that there is {needed}, or " if needed else ""
    return Explanation(
        reasons.PODS_BLOCKED,
        f"the pod's volumes or network are not ready since {since}; {check}see the Events of "
        "kubectl describe pod",
    )


def _needed_volumes(pod: Body) -> str:
    """What the volumes of a model from a store have to exist for, with the fields of the spec that
    name it; empty for a pod whose model is in its image. Of a candidate it is its claim alone: the
    pod starts without its other volumes."""
    told = []
    if digest_of(pod):
        volumes = {volume["name"]: volume for volume in _spec(pod).get("volumes") or ()}
        if secret := (volumes.get(STABLE.volume(slots.CREDENTIALS)) or {}).get("secret"):
            told.append((f"Secret {secret['secretName']}", "credentialsSecret"))
        for part, field in ((slots.CA, "caBundle"), (slots.KEY, "signature.publicKey")):
            if config_map := (volumes.get(STABLE.volume(part)) or {}).get("configMap"):
                keys = ", ".join(item["key"] for item in config_map.get("items") or ())
                told.append((f"ConfigMap {config_map['name']} with key {keys}", field))
    claims, _ = _claims(pod)
    told += [(f"a volume behind PersistentVolumeClaim {name}", "source.pvc") for name in claims]
    shown = _stands_in_spec(pod)
    return " and ".join(f"{what} (spec.model.{field})" if shown else what for what, field in told)


def _claims(pod: Body) -> tuple[tuple[str, ...], str]:
    """The claims that hold the models of a pod, and the field that names the only one."""
    digests = digests_of(pod).values()
    volumes = {slot.volume(slots.SOURCE) for slot in digests}
    claims = tuple(
        str((volume.get("persistentVolumeClaim") or {}).get("claimName", ""))
        for volume in _spec(pod).get("volumes") or ()
        if volume["name"] in volumes
    )
    return claims, "spec.model.source.pvc.claimName" if _stands_in_spec(pod) else ""


def _stands_in_spec(pod: Body) -> bool:
    """Whether the stable model of a pod is that of ``spec.model``: beside a candidate it is that of
    a former spec."""
    return not _label(pod, CANDIDATE.version_label)


def _of_the_pod(pod: Body, now: str) -> Explanation | None:
    """What keeps a pod from being ready although all its containers are."""
    ready, of_containers = (
        conditions.in_status(_status(pod), "Ready"),
        conditions.in_status(_status(pod), "ContainersReady"),
    )
    if ready.get("status") != "False" or of_containers.get("status") != "True":
        return None
    since = max(c.get("lastTransitionTime") or "" for c in (ready, of_containers))
    if containers.is_recent(since, now, containers.READY_SECONDS):
        return None
    for gate in _spec(pod).get("readinessGates") or ():
        name = gate["conditionType"]
        found = conditions.in_status(_status(pod), name)
        if found.get("status") != "True":
            return Explanation(reasons.PODS_BLOCKED, _of_gate(name, found))
    return Explanation(
        reasons.NODE_NOT_READY,
        f"node {_spec(pod).get('nodeName', '')} does not report, so its pods get no requests; it "
        "comes back, or its pods are replaced after some minutes",
    )


def _of_gate(name: str, found: Body) -> str:
    if not found:
        return f"readiness gate {name} has not been set; look at the controller that sets it"
    told = ": ".join(word for word in (found.get("reason"), found.get("message")) if word)
    why = f" ({told})" if told else ""
    return f"readiness gate {name} is {found['status']}{why}; look at the controller that sets it"


def _status(pod: Body) -> Body:
    status: Body = pod.get("status") or {}
    return status


def _spec(pod: Body) -> Body:
    spec: Body = pod.get("spec") or {}
    return spec
