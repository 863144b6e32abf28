"""What is there: the live children and whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Body, Key


class Ownership(Enum):
    """Whose an object with the name of a child is."""

    MISSING = "missing"
    OURS = "ours"
    ORPHAN = "orphan"
    """Made by this operator for a RiskPredictor of this name that was deleted with
    ``--cascade=orphan``; it has no controller now and is taken back."""
    LEFTOVER = "leftover"
    """Belongs to an earlier RiskPredictor of this name; garbage collection will remove it."""
    TERMINATING = "terminating"
    """Ours, and being deleted: wait, then make a new one."""
    FOREIGN = "foreign"
    """Somebody else's: never touched."""


def classify(child: Body | None, key: Key, uid: str) -> Ownership:
    """Whose a child is, from its controller owner reference and labels.

    Args:
        child: the live object, or None.
        key: name and namespace of the RiskPredictor.
        uid: uid of the RiskPredictor that exists now.
    """
    if child is None:
        return Ownership.MISSING
    metadata = child["metadata"]
    owner = controller_of(child)
    if owner is None:
        labels = metadata.get("labels") or {}
        made_here = (
            labels.get(api.LABEL_PREDICTOR) == key.name
            and labels.get(api.LABEL_MANAGED_BY) == api.FIELD_MANAGER
        )
        return Ownership.ORPHAN if made_here else Ownership.FOREIGN
    if owner["kind"] != api.KIND or not owner["apiVersion"].startswith(f"{api.GROUP}/"):
        return Ownership.FOREIGN
    if owner["uid"] != uid:
        return Ownership.LEFTOVER if owner["name"] == key.name else Ownership.FOREIGN
    return Ownership.TERMINATING if "deletionTimestamp" in metadata else Ownership.OURS


def controller_of(child: Body) -> Body | None:
    """The owner reference with ``controller: true``, of which there is at most one."""
    for owner in child["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None


def owns_replicas(child: Body) -> bool:
    """Whether the operator's own apply still owns ``spec.replicas`` of a Deployment.

    While it does, leaving the field out of the next apply would reset it to 1.
    """
    for entry in child["metadata"].get("managedFields") or ():
        if entry.get("manager") == api.FIELD_MANAGER and entry.get("operation") == "Apply":
            return "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
    return False


@dataclass(frozen=True, slots=True)
class Child:
    """A live child, or its absence."""

    body: Body | None
    ownership: Ownership

    @property
    def uid(self) -> str:
        """The live object's uid; empty when there is none."""
        return "" if self.body is None else str(self.body["metadata"]["uid"])

    @property
    def ours(self) -> Body | None:
        """The live object if it is this RiskPredictor's."""
        return self.body if self.ownership is Ownership.OURS else None


@dataclass(frozen=True, slots=True)
class Observed:
    """The live children of one RiskPredictor."""

    deployment: Child
    service: Child
    autoscaler: Child

    def named(self) -> tuple[tuple[api.Resource, Child], ...]:
        """The children with their kinds."""
        return (
            (api.DEPLOYMENT, self.deployment),
            (api.SERVICE, self.service),
            (api.AUTOSCALER, self.autoscaler),
        )
