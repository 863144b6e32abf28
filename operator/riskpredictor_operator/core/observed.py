"""The live children: whose they are, and what the operator keeps of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from riskpredictor_operator.core import api
from riskpredictor_operator.core.field_rules import claims_whole
from riskpredictor_operator.kube import Body, Key, Resource


class Ownership(Enum):
    """To whom an object with the name of a child belongs."""

    MISSING = "missing"
    OURS = "ours"
    ORPHAN = "orphan"
    """Made by this operator for a RiskPredictor of this name that was deleted with
    ``--cascade=orphan``; it has no controller now and is taken back."""
    LEFTOVER = "leftover"
    """Belongs to an earlier RiskPredictor of this name; garbage collection will remove it."""
    TERMINATING = "terminating"
    """Ours, and being deleted: wait, then create a new one."""
    FOREIGN = "foreign"
    """Somebody else's: never touched."""


def ownership_of(child: Body | None, key: Key, uid: str) -> Ownership:
    """To whom a child belongs, by its controller owner reference and labels.

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


def applied_fields(child: Body) -> Body:
    """The fields that the operator's own server-side apply owns, as in ``managedFields``.

    Empty if it never applied, or no longer owns any: an object that was restored or re-created.
    """
    for entry in child["metadata"].get("managedFields") or ():
        if _is_own_apply(entry):
            found: Body = entry.get("fieldsV1") or {}
            return found
    return {}


def _is_own_apply(entry: Body) -> bool:
    return bool(entry.get("manager") == api.FIELD_MANAGER and entry.get("operation") == "Apply")


def owns_replicas(child: Body) -> bool:
    """Whether the operator's own apply still owns ``spec.replicas`` of a Deployment.

    While it does, leaving the field out of the next apply would reset it to 1.
    """
    return "f:replicas" in applied_fields(child).get("f:spec", {})


def has_record(child: Body) -> bool:
    """Whether a child carries the annotation that tells what was applied to it."""
    return api.ANNOTATION_LAST_APPLIED in (child["metadata"].get("annotations") or {})


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


class Children(dict[Resource, Child]):
    """The live children of one RiskPredictor by kind, as a plan starts from them."""

    @property
    def deployment(self) -> Child:
        """The Deployment."""
        return self[api.DEPLOYMENT]

    @property
    def autoscaler(self) -> Child:
        """The HorizontalPodAutoscaler."""
        return self[api.AUTOSCALER]


_KEPT_METADATA = (
    "name", "namespace", "uid", "generation", "labels", "annotations",
    "ownerReferences", "deletionTimestamp", "creationTimestamp",
)  # fmt: skip


_READ_ANNOTATIONS = (api.ANNOTATION_ABORT, api.ANNOTATION_CHANGE_REF)
"""Those of a RiskPredictor that the operator reads."""


def manager_of_version(body: Body) -> str:
    """The field manager that declared a RiskPredictor's model version, the latest if there are
    several; empty if nobody claims the field."""
    claims = [
        (str(entry.get("time", "")), str(entry.get("manager", "")))
        for entry in body["metadata"].get("managedFields") or ()
        if _claims_version(entry)
    ]
    return max(claims)[1] if claims else ""


def _claims_version(entry: Body) -> bool:
    return "f:modelVersion" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})


def _of_version(entry: Body) -> dict[str, Any]:
    """An entry of ``managedFields`` that claims the model version, without what else it claims."""
    kept = {name: entry[name] for name in ("manager", "operation", "time") if name in entry}
    return kept | {"fieldsV1": {"f:spec": {"f:modelVersion": {}}}}


def trim(resource: Resource, body: Body) -> Body:
    """The part of an object that the operator reads. The rest is most of its size, and changes.

    ``managedFields`` shrinks to what the operator applied, where it owns a Deployment's replicas or
    a child has no record (of version 0.1.0), and to who claims what is owned as a whole. An
    autoscaler's status shrinks to its conditions and desired replicas: metrics change every few
    seconds. Of a RiskPredictor it stays who declared its model version.
    """
    metadata = {name: body["metadata"][name] for name in _KEPT_METADATA if name in body["metadata"]}
    if resource in api.CHILDREN:
        own = owns_replicas(body) or not has_record(body)
        entries = body["metadata"].get("managedFields") or ()
        kept = [each for each in entries if claims_whole(each) or (own and _is_own_apply(each))]
        if kept:
            metadata["managedFields"] = kept
    if resource == api.RISKPREDICTOR:
        # kubectl keeps a copy of the whole object among them.
        annotations = {
            name: value
            for name, value in (metadata.pop("annotations", None) or {}).items()
            if name in _READ_ANNOTATIONS
        }
        if annotations:
            metadata["annotations"] = annotations
        if claims := [_of_version(e) for e in body["metadata"].get("managedFields") or ()
                      if _claims_version(e)]:  # fmt: skip
            metadata["managedFields"] = claims
    status = body.get("status") or {}
    if resource == api.AUTOSCALER:
        status = {
            "conditions": [_without_time(c) for c in status.get("conditions") or ()],
            "desiredReplicas": status.get("desiredReplicas", 0),
        }
    return {"metadata": metadata, "spec": body.get("spec") or {}, "status": status}


def _without_time(condition: Body) -> dict[str, Any]:
    return {name: condition.get(name) for name in ("type", "status", "reason", "message")}
