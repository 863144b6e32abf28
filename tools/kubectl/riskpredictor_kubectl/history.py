"""The revisions of a RiskPredictor, from the ReplicaSets of its Deployment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from riskpredictor_kubectl import model_source, names
from riskpredictor_kubectl.names import Body
from riskpredictor_kubectl.resources import owns

REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True)
class Revision:
    """One pod template that ran, or runs."""

    number: int
    model: str
    candidate: str
    """The version on trial beside it; empty if there is none."""
    digest: str
    """Of the model; empty if it is in the image."""
    source: str
    """The store that it comes from, for people; empty if it is in the image."""
    image: str
    ready: int
    pods: int
    created: str
    declared: bool
    """Whether it is the Deployment's present template."""
    template: Body

    @property
    def state(self) -> str:
        """What it does now, in words."""
        words = ["declared"] if self.declared else []
        words += ["serving"] if self.ready else ["starting"] if self.pods else []
        return ", ".join(words)

    def is_of(self, version: str, digest: str) -> bool:
        """Whether it serves this model; the digest is empty where it is not declared."""
        return self.model == version and digest in ("", self.digest)


def revisions(deployment: Body, replica_sets: Iterable[Body]) -> list[Revision]:
    """The revisions of a Deployment, oldest first."""
    mine = [
        each
        for each in replica_sets
        if owns(deployment, each)
        and (each["metadata"].get("annotations") or {}).get(REVISION, "").isdigit()
    ]
    newest = max((_number(each) for each in mine), default=0)
    return sorted((_revision(each, newest) for each in mine), key=lambda one: one.number)


def _number(replica_set: Body) -> int:
    return int(replica_set["metadata"]["annotations"][REVISION])


def _revision(replica_set: Body, newest: int) -> Revision:
    template, status = replica_set["spec"]["template"], replica_set.get("status") or {}
    return Revision(
        number=_number(replica_set),
        model=names.model_version(template),
        candidate=names.candidate_version(template),
        digest=model_source.digest(template),
        source=model_source.place(model_source.declared(template).get("source", {})),
        image=names.image(template["spec"]),
        ready=status.get("readyReplicas", 0),
        pods=status.get("replicas", 0),
        created=replica_set["metadata"]["creationTimestamp"],
        declared=_number(replica_set) == newest,
        template=template,
    )
