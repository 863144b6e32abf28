"""Plans the writes that turn the observed children into the desired ones, in stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from riskpredictor_operator.core import api
from riskpredictor_operator.core.compare import is_applied, renumbered_ports
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


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace one list in a child, where an apply would only add to it."""

    resource: Resource
    pointer: str
    """JSON pointer of the list."""
    value: list[Any]
    uid: str


Step: TypeAlias = Apply | HandOver | Delete | Replace


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
    def creates(self) -> bool:
        """Whether a child would be created."""
        return any(
            isinstance(step, Apply) and not step.uid for stage in self.stages for step in stage
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
    applies = [
        step
        for resource, manifest, child in wanted
        if (step := _apply(rp, resource, manifest, child, observed.autoscaler)) is not None
    ]
    stages = (
        _removals(manifests, observed),
        (*_hand_over(rp, applies, observed), *_replacements(wanted, applies)),
        tuple(applies),
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


def _apply(
    rp: RiskPredictor, resource: Resource, manifest: Body, child: Child, autoscaler: Child
) -> Apply | None:
    if child.ownership is Ownership.MISSING:
        return Apply(resource, _manifest_to_create(rp, resource, manifest, autoscaler), uid="")
    if child.ownership is Ownership.ORPHAN:
        return Apply(resource, manifest, child.uid)
    if child.ours is None or is_applied(manifest, child.ours):
        return None
    return Apply(resource, manifest, child.uid)


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


def _replacements(
    wanted: list[tuple[Resource, dict[str, Any], Child]], applies: list[Apply]
) -> tuple[Step, ...]:
    rewritten = {step.resource for step in applies if step.uid}
    return tuple(
        Replace(resource, *found, child.uid)
        for resource, manifest, child in wanted
        if resource in rewritten
        and (found := renumbered_ports(resource, manifest, child.body or {})) is not None
    )


def _hand_over(rp: RiskPredictor, applies: list[Apply], observed: Children) -> tuple[Step, ...]:
    deployment = observed.deployment
    if not rp.autoscaled or deployment.ownership not in (Ownership.OURS, Ownership.ORPHAN):
        return ()
    live = deployment.body or {}
    current = live["spec"].get("replicas", 1)
    if current == 0 and rp.has_own_autoscaler:
        # A HorizontalPodAutoscaler treats 0 as "switched off" and would leave it there.
        return (HandOver(rp.min_replicas, deployment.uid, force=True),)
    rewritten = any(step.resource == api.DEPLOYMENT for step in applies)
    if rewritten and owns_replicas(live):
        return (HandOver(current, deployment.uid, force=False),)
    return ()
