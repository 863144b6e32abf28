"""Plans the writes that turn the observed children into the desired ones, in stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from riskpredictor_operator.core import api
from riskpredictor_operator.core.compare import (
    Difference,
    beyond_update,
    compare,
    operations,
    recorded,
)
from riskpredictor_operator.core.manifests import Desired
from riskpredictor_operator.core.observed import Child, Children, Ownership, owns_replicas
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body, Resource


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of a whole child, taking over fields that others changed."""

    resource: Resource
    manifest: Body
    uid: str
    """The live object that is meant; empty to create."""
    restores: tuple[Difference, ...] = ()
    """What it puts right in the live object."""


@dataclass(frozen=True, slots=True)
class Change:
    """JSON patch of a child, where an apply would not remove what has to go."""

    resource: Resource
    manifest: Body
    operations: Sequence[Body]
    restores: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Recreate:
    """Delete a child and make it anew, where no update can make it what it should be."""

    resource: Resource
    manifest: Body
    uid: str
    keep_pods: bool
    """Whether the pods of a Deployment go on; the new one adopts them."""
    restores: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class HandOver:
    """Apply ``spec.replicas`` alone under the hand-over manager, so that the main manager can let
    go of it without a reset to 1.

    ``force`` takes the field from whoever owns it; otherwise a concurrent change by the autoscaler
    is a conflict, and the next pass starts from the new number.
    """

    replicas: int
    uid: str
    force: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a child, provided that it is still the object that was observed."""

    resource: Resource
    uid: str


Repair: TypeAlias = Apply | Change | Recreate
Step: TypeAlias = Repair | HandOver | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write, and which children cannot be written.

    The steps of a stage may run side by side; a stage starts when the one before has succeeded.
    """

    stages: tuple[tuple[Step, ...], ...]
    foreign: tuple[Resource, ...]
    """Kinds of children whose name is taken by somebody else's object."""
    leftover: tuple[Resource, ...]
    """Kinds of children of which an old object is still being deleted."""

    def without(self, resource: Resource) -> Plan:
        """The same plan without the writes to one child."""
        stages = tuple(
            tuple(step for step in stage if target_of(step) != resource) for stage in self.stages
        )
        return replace(self, stages=tuple(stage for stage in stages if stage))

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """The steps that put something right in a live child."""
        steps = (step for stage in self.stages for step in stage)
        return tuple(s for s in steps if isinstance(s, Repair) and s.restores)

    @property
    def creates(self) -> bool:
        """Whether a child would be created."""
        return any(
            isinstance(step, Recreate) or (isinstance(step, Apply) and not step.uid)
            for stage in self.stages
            for step in stage
        )


def target_of(step: Step) -> Resource:
    """The kind of child that a step writes."""
    return api.DEPLOYMENT if isinstance(step, HandOver) else step.resource


def make_plan(rp: RiskPredictor, desired: Desired, observed: Children) -> Plan:
    """The writes that turn observed into desired; none if nothing differs.

    Objects of others, and children that are being deleted, are reported and left alone.
    """
    manifests = desired.by_kind()
    if observed.deployment.ownership is Ownership.FOREIGN:
        # An autoscaler finds its target by name, and would scale a foreign Deployment.
        manifests.pop(api.AUTOSCALER, None)
    wanted = [(kind, manifest, observed[kind]) for kind, manifest in manifests.items()]
    writes = [
        step
        for resource, manifest, child in wanted
        if (step := _write(rp, resource, recorded(manifest), child, observed.autoscaler))
    ]
    stages = (
        _removals(manifests, observed),
        _hand_over(rp, writes, observed),
        tuple(writes),
    )
    return Plan(
        stages=tuple(stage for stage in stages if stage),
        foreign=tuple(r for r, _, child in wanted if child.ownership is Ownership.FOREIGN),
        leftover=tuple(
            r
            for r, _, child in wanted
            if child.ownership in (Ownership.LEFTOVER, Ownership.TERMINATING)
        ),
    )


def _write(
    rp: RiskPredictor, resource: Resource, manifest: Body, child: Child, autoscaler: Child
) -> Repair | None:
    if child.ownership is Ownership.MISSING:
        return Apply(resource, _manifest_to_create(rp, resource, manifest, autoscaler), uid="")
    if child.body is None or child.ownership not in (Ownership.OURS, Ownership.ORPHAN):
        return None
    if lost := beyond_update(resource, manifest, child.body):
        return recreation(resource, manifest, child.body, lost)
    comparison = compare(resource, manifest, child.body)
    if not comparison.differences:
        return None
    if comparison.apply_suffices:
        return Apply(resource, manifest, child.uid, comparison.differences)
    changes = operations(child.body, comparison)
    return Change(resource, manifest, changes, comparison.differences)


def recreation(
    resource: Resource, manifest: Body, live: Body, lost: tuple[Difference, ...]
) -> Recreate:
    """Make a live child anew; its pods go on if the new Deployment will select them."""
    keep = False
    if resource == api.DEPLOYMENT:
        labels = live["spec"]["template"]["metadata"].get("labels") or {}
        keep = manifest["spec"]["selector"]["matchLabels"].items() <= labels.items()
    return Recreate(resource, manifest, live["metadata"]["uid"], keep, lost)


def _manifest_to_create(
    rp: RiskPredictor, resource: Resource, manifest: Body, autoscaler: Child
) -> Body:
    """The manifest with which a child is created.

    A new Deployment starts at ``minReplicas`` instead of 1 or, if it was deleted under load, at
    what its autoscaler last wanted. From then on the number is the autoscaler's.
    """
    if resource != api.DEPLOYMENT or not rp.autoscaled:
        return manifest
    status = (autoscaler.ours or {}).get("status") or {}
    replicas = rp.within_bounds(status.get("desiredReplicas") or rp.min_replicas)
    spec: dict[str, Any] = {**manifest["spec"], "replicas": replicas}
    return {**manifest, "spec": spec}


def _removals(wanted: Mapping[Resource, Body], observed: Children) -> tuple[Step, ...]:
    """Delete the children of which none is wanted, such as the autoscaler of a fixed size."""
    return tuple(
        Delete(kind, child.uid)
        for kind, child in observed.items()
        if kind not in wanted and child.ownership in (Ownership.OURS, Ownership.ORPHAN)
    )


def _hand_over(rp: RiskPredictor, writes: Sequence[Repair], observed: Children) -> tuple[Step, ...]:
    deployment = observed.deployment
    if not rp.autoscaled or deployment.ownership not in (Ownership.OURS, Ownership.ORPHAN):
        return ()
    live = deployment.body or {}
    current = live["spec"].get("replicas", 1)
    if current == 0 and rp.has_own_autoscaler:
        # A HorizontalPodAutoscaler treats 0 as "switched off" and would leave it there.
        return (HandOver(rp.min_replicas, deployment.uid, force=True),)
    # A patch leaves the number as it is; an apply lets go of it.
    rewritten = any(isinstance(s, Apply) and s.resource == api.DEPLOYMENT for s in writes)
    if rewritten and owns_replicas(live):
        return (HandOver(current, deployment.uid, force=False),)
    return ()
