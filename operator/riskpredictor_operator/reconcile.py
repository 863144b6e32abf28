"""One level-triggered pass over one RiskPredictor: observe, plan, apply, observe again, report.

A pass does not depend on which event queued the key. It compares the declared state with the
observed one, writes the difference and reports the result.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.core.autoscaling import autoscaler_fails
from riskpredictor_operator.core.change.advance import Advanced
from riskpredictor_operator.core.change.resolve import Resolved
from riskpredictor_operator.core.compare import compare
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.managers import manager_of
from riskpredictor_operator.core.manifests import Desired, kinds_of, render
from riskpredictor_operator.core.metadata import digest
from riskpredictor_operator.core.names import selector_of
from riskpredictor_operator.core.observed import Child, Children, ownership_of
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.core.plan import Plan, Repair, make_plan
from riskpredictor_operator.core.reading import SpecError
from riskpredictor_operator.core.refusals import explain_overruled, explain_refusal
from riskpredictor_operator.core.rollout import (
    is_as_declared,
    is_observed,
    is_settled,
    models_at_hand,
    starts_unrequested,
    unsettled_since,
)
from riskpredictor_operator.core.spec import RiskPredictor, parse
from riskpredictor_operator.core.status import Observation, build_status, invalid_status
from riskpredictor_operator.execute import execute
from riskpredictor_operator.kube import ApiError, Body, Key, Verdict, verdict_of
from riskpredictor_operator.model_change import ModelChanges
from riskpredictor_operator.model_copier import ModelCopier
from riskpredictor_operator.repair_limiter import RepairLimiter
from riskpredictor_operator.rollout_limiter import RolloutLimiter
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Client
from riskpredictor_operator.runtime.workers import SLOW_RETRY_SECONDS
from riskpredictor_operator.status_writer import StatusWriter

POD_LOOK_SECONDS = (2.0, 15.0)
"""Bounds of the time between two passes while pods are not up yet. It grows with the wait."""
REPORT_FAILURE_AFTER_SECONDS = 5.0
"""How long writes of children may fail before the status says so: most failures end before."""


def now_utc() -> datetime.datetime:
    """The wall clock, for transition times."""
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Reconciler:
    """Reconciles RiskPredictors; each call of ``reconcile`` is one pass over one of them.

    Between passes it keeps, by key, since when writes fail, and which pod template the Deployment's
    controller has seen. The limiters keep which predictors roll out or wait for it, and which
    fields were repaired lately; the status writer keeps when it last wrote. A restart may lose all
    of it.
    """

    client: Client
    cache: Cache
    options: RenderOptions
    limiter: RolloutLimiter
    copier: ModelCopier
    changes: ModelChanges
    clock: Callable[[], datetime.datetime] = field(default=now_utc)
    monotonic: Callable[[], float] = field(default=time.monotonic)
    _status_writer: StatusWriter = field(init=False)
    _repairs: RepairLimiter = field(init=False)
    _failing_since: dict[Key, float] = field(default_factory=dict, init=False)
    _template_seen: dict[Key, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._status_writer = StatusWriter(self.client, self.cache, self.clock)
        self._repairs = RepairLimiter(self.monotonic)

    async def reconcile(self, key: Key) -> float | None:
        """Do one pass.

        Returns:
            Seconds until the next pass, if one is due without an event, else None.

        Raises:
            ApiError: try again after a back-off.
        """
        body = self.cache.get(api.RISKPREDICTOR, key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            # Garbage collection deletes the children.
            self._forget(key)
            return None
        try:
            rp = parse(body)
        except SpecError as error:
            return await self._report_invalid(key, body, error)
        resolved: Resolved | None = None
        try:
            observed = await self._observe(rp)
            resolved = self.changes.resolve(rp, body, observed.deployment.ours, self._timestamp())
            seen = await self._write_children(rp, body, observed, resolved)
        except ApiError as error:
            if verdict_of(error) is not Verdict.REPORT:
                await self._report_failure(body, rp, error, resolved)
                raise
            seen = Observation(problems=(explain_refusal(error, f"the children of {key}"),))
        if seen is None:
            # Start over with what the cache holds now. The watch event about it may come later,
            # change nothing in the cache and queue nothing.
            return 0.0
        self._failing_since.pop(key, None)
        seen = await self._observe_result(rp, seen)
        if not self.limiter.waits(key) and (rp.suspend or _rolled_out(rp, seen)):
            self.limiter.done(key)
        change = self._advance(rp, body, resolved, seen)
        status_due = await self._report(body, rp, seen, resolved, change)
        if change and change.moved:
            # It is on record; now the pods follow.
            return 0.0
        again = change.look_again if change else None
        return _earlier(status_due, self._next_pass(rp, seen), again)

    def _advance(
        self, rp: RiskPredictor, body: Body, resolved: Resolved | None, seen: Observation
    ) -> Advanced | None:
        """The next step of a change of the model; None where nothing is decided in this pass."""
        if resolved is None or rp.suspend:
            return None
        return self.changes.advance(rp, body, resolved, seen, self._timestamp())

    def _forget(self, key: Key) -> None:
        self._status_writer.forget(key)
        self._repairs.forget(key)
        self.limiter.done(key)
        self._failing_since.pop(key, None)
        self._template_seen.pop(key, None)
        self.copier.forget(key)
        self.changes.forget(key)

    async def _write_children(
        self, rp: RiskPredictor, body: Body, observed: Children, resolved: Resolved
    ) -> Observation | None:
        """Write the children that differ; returns the problems that prevented a write, or None if
        the RiskPredictor is gone or being deleted."""
        desired = render(rp, resolved.serving)
        self._note_template(rp.key, observed.deployment.ours)
        plan = make_plan(rp, desired, observed)
        if not resolved.moves and self._must_wait(rp, body, desired, observed):
            plan = plan.without(api.DEPLOYMENT)
        seen = Observation(problems=_foreign(plan, rp.key), waiting=_leftovers(plan, rp.key))
        if rp.suspend:
            return seen
        for repair in plan.repairs:
            if not self._repairs.admit(rp.key, repair):
                plan = plan.without(repair.resource)
        if plan.creates and not await self._still_exists(rp):
            return None
        refused = await execute(self.client, self.cache, rp, plan, partial(self._count, rp.key))
        overruled = await self._overruled(rp.key)
        return replace(seen, problems=seen.problems + refused + overruled)

    def _count(self, key: Key, repair: Repair, answer: Body | None) -> None:
        """Count a repair, and see whether admission let it pass."""
        left = compare(repair.resource, repair.manifest, answer).differences if answer else ()
        self._repairs.written(key, repair, left)

    async def _overruled(self, key: Key) -> tuple[Explanation, ...]:
        """The field that somebody changes after every repair, if there is one."""
        found = self._repairs.overruled(key)
        if not found:
            return ()
        first = found[0]
        if not first.by and (live := await self.client.get(first.resource, key)) is not None:
            first.by = manager_of(live, first.difference)
        what = f"{first.resource.kind} {key}"
        return (explain_overruled(what, first.difference, first.by, len(found) - 1),)

    def _must_wait(
        self, rp: RiskPredictor, body: Body, desired: Desired, observed: Children
    ) -> bool:
        """Whether the Deployment has to wait for a slot; the limiter queues the key then."""
        status, live = body.get("status") or {}, observed.deployment.ours
        if rp.suspend or not starts_unrequested(rp, status, desired.deployment, live):
            self.limiter.withdraw(rp.key)
            return False
        return not self.limiter.admit(rp.key)

    async def _observe(self, rp: RiskPredictor) -> Children:
        """The children, from the cache or, where it has none, from the API server: a foreign object
        has no label that would bring it into the cache."""
        missing = [kind for kind in kinds_of(rp) if not self.cache.knows(kind, rp.key)]
        found = await asyncio.gather(*(self.client.get(resource, rp.key) for resource in missing))
        children = Children(
            {kind: _child(rp, self.cache.get(kind, rp.key)) for kind in api.CHILDREN}
        )
        for resource, body in zip(missing, found, strict=True):
            children[resource] = _child(rp, body)
            if body is not None and children[resource].ours is not None:
                self.cache.put(resource, body)
        return children

    async def _still_exists(self, rp: RiskPredictor) -> bool:
        """Whether the RiskPredictor is still there, asked before a child is created.

        If a watch missed its deletion, the operator would create children and the garbage collector
        would delete them, over and over.
        """
        live = await self.client.get(api.RISKPREDICTOR, rp.key)
        if live is None:
            identity = {"namespace": rp.key.namespace, "name": rp.key.name, "uid": rp.uid}
            self.cache.drop(api.RISKPREDICTOR, {"metadata": identity})
            return False
        if live["metadata"]["uid"] != rp.uid or "deletionTimestamp" in live["metadata"]:
            self.cache.put(api.RISKPREDICTOR, live)
            return False
        return True

    async def _observe_result(self, rp: RiskPredictor, seen: Observation) -> Observation:
        """Add the children as they are after the writes, and pods of an unsettled Deployment."""
        deployment, autoscaler, service = (
            _child(rp, self.cache.get(resource, rp.key)).ours
            for resource in (api.DEPLOYMENT, api.AUTOSCALER, api.SERVICE)
        )
        seen = replace(
            seen, deployment=deployment, autoscaler=autoscaler, service=service,
            template_seen=self._note_template(rp.key, deployment),
        )  # fmt: skip
        if deployment is None or is_settled(rp, deployment):
            return seen
        selector = selector_of(rp.key)
        try:
            pods = await self.client.list(api.POD, rp.key.namespace, selector, cached=True)
        except ApiError as error:
            if verdict_of(error) is not Verdict.REPORT:
                raise
            problem = explain_refusal(error, f"the pods of {rp.key}")
            return replace(seen, problems=(*seen.problems, problem))
        return replace(seen, pods=pods)

    def _note_template(self, key: Key, deployment: Body | None) -> bool:
        """Whether the Deployment's controller has seen the pod template as it is.

        The generation does not say that: an autoscaler that changes the number of pods moves it,
        too, and until the controller has seen the number a roll-out would seem to begin.
        """
        if deployment is None:
            return False
        template = digest(deployment["spec"]["template"])
        if is_observed(deployment):
            self._template_seen[key] = template
        return self._template_seen.get(key) == template

    async def _report(
        self,
        body: Body,
        rp: RiskPredictor,
        seen: Observation,
        resolved: Resolved | None = None,
        change: Advanced | None = None,
    ) -> float | None:
        previous = body.get("status") or {}
        if resolved is not None and not rp.suspend:
            at_hand = models_at_hand(rp, resolved.serving, seen.deployment, seen.pods)
            if at_hand:
                self.copier.ask(rp, at_hand)
        seen = replace(seen, copies=self.copier.outcome(rp))
        status = build_status(rp, self.options, seen, previous, self._timestamp(), change)
        return await self._status_writer.write(rp.key, rp.uid, previous, status)

    async def _report_failure(
        self, body: Body, rp: RiskPredictor, error: ApiError, resolved: Resolved | None
    ) -> None:
        """Report ApplyFailed once writes have failed for a while. Without it, Ready would stay True
        although the children cannot be written. An abort waits for nothing: it is put on record,
        for it is other children that may fail to be written."""
        now = self.monotonic()
        passed = now - self._failing_since.setdefault(rp.key, now)
        # No answer (0) may mean that an admission webhook hangs: a status can still be written.
        # After 429 it is not written: the server asks for fewer requests.
        concerned = error.status >= 500 or error.status == 0
        is_told = concerned and passed >= REPORT_FAILURE_AFTER_SECONDS
        if not is_told and (resolved is None or resolved.record.state is None):
            return
        message = f"cannot write the children: {error}; retrying"
        why = Explanation(reasons.APPLY_FAILED, message)
        with suppress(ApiError):
            seen = await self._observe_result(rp, Observation(waiting=why))
            change = self._advance(rp, body, resolved, seen)
            if change is not None and change.aborts:
                await self._report(body, rp, seen, resolved, change)
            elif is_told:
                await self._report(body, rp, seen)

    async def _report_invalid(self, key: Key, body: Body, error: SpecError) -> float:
        self.limiter.done(key)
        problem = Explanation(reasons.INVALID_SPEC, str(error))
        previous = body.get("status") or {}
        generation = body["metadata"]["generation"]
        status = invalid_status(key, generation, problem, previous, self._timestamp())
        await self._status_writer.write(key, body["metadata"]["uid"], previous, status)
        return 0.0 if self._spec_changed(key, generation) else SLOW_RETRY_SECONDS

    def _spec_changed(self, key: Key, generation: int) -> bool:
        """Whether the spec changed during this pass.

        Its watch event may not queue the key: it changes nothing in the cache if the answer to a
        write has already brought the new spec there.
        """
        known = self.cache.get(api.RISKPREDICTOR, key)
        return known is not None and known["metadata"]["generation"] != generation

    def _next_pass(self, rp: RiskPredictor, seen: Observation) -> float | None:
        if self._spec_changed(rp.key, rp.generation):
            return 0.0
        if seen.problems or seen.waiting is not None:
            now = self.monotonic()
            due = [each.due - now for each in self._repairs.overruled(rp.key) if each.due > now]
            return min([SLOW_RETRY_SECONDS, *due])
        if seen.deployment is None or rp.suspend:
            return None
        if is_settled(rp, seen.deployment):
            return SLOW_RETRY_SECONDS if autoscaler_fails(rp, seen.autoscaler) else None
        least, most = POD_LOOK_SECONDS
        status = (self.cache.get(api.RISKPREDICTOR, rp.key) or {}).get("status") or {}
        ready = conditions.find(status.get("conditions") or (), conditions.READY)
        since = unsettled_since(seen.deployment, ready)
        if not since:
            return least
        passed = self.clock() - datetime.datetime.fromisoformat(since)
        return min(max(least, passed.total_seconds() / 4), most)

    def _timestamp(self) -> str:
        return self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")


def _earlier(*times: float | None) -> float | None:
    return min((each for each in times if each is not None), default=None)


def _rolled_out(rp: RiskPredictor, seen: Observation) -> bool:
    return seen.deployment is not None and is_as_declared(rp, seen.deployment)


def _child(rp: RiskPredictor, body: Body | None) -> Child:
    return Child(body, ownership_of(body, rp.key, rp.uid))


def _foreign(plan: Plan, key: Key) -> tuple[Explanation, ...]:
    return tuple(
        Explanation(
            reasons.NOT_OWNED,
            f"{resource.kind} {key} exists and belongs to somebody else; delete or rename it, or "
            "rename the RiskPredictor",
        )
        for resource in plan.foreign
    )


def _leftovers(plan: Plan, key: Key) -> Explanation | None:
    if not plan.leftover:
        return None
    kinds = " and ".join(resource.kind for resource in plan.leftover)
    return Explanation(reasons.WAITING_FOR_DELETION, f"{kinds} {key} is still being deleted")
