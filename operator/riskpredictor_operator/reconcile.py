"""The spine: one level-triggered pass over one RiskPredictor.

It does not ask what happened. It compares what is declared with what is there, writes the
difference, looks again and says what it saw.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.core.api import Body, Key
from riskpredictor_operator.core.errors import (
    SLOW_RETRY_SECONDS,
    ApiError,
    Problem,
    SpecError,
    Verdict,
    classify,
    problem_of,
)
from riskpredictor_operator.core.induced import is_induced
from riskpredictor_operator.core.manifests import Desired, render
from riskpredictor_operator.core.names import selector_of
from riskpredictor_operator.core.observed import Child, Observed
from riskpredictor_operator.core.observed import classify as ownership_of
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.core.plan import Plan, make_plan
from riskpredictor_operator.core.rollout import is_settled
from riskpredictor_operator.core.spec import RiskPredictor, parse
from riskpredictor_operator.core.status import Look, build_status, invalid_status, is_doubtful
from riskpredictor_operator.execute import execute
from riskpredictor_operator.rollout_limiter import Rolls
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Cluster
from riskpredictor_operator.status_writer import Reporter

POD_LOOK_SECONDS = (2.0, 15.0)
"""Bounds of the time between two looks at pods that are not up yet. They grow with the wait."""
PATIENCE_SECONDS = 5.0
"""How long writes of children may fail before the status tells: most failures are over by then, and
a server in trouble is not helped by more writes."""


def now_utc() -> datetime.datetime:
    """The wall clock, for transition times."""
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Reconciler:
    """Reconciles one key at a time; of the passes before, it knows only since when they fail."""

    cluster: Cluster
    cache: Cache
    options: RenderOptions
    rolls: Rolls
    clock: Callable[[], datetime.datetime] = field(default=now_utc)
    monotonic: Callable[[], float] = field(default=time.monotonic)
    _reporter: Reporter = field(init=False)
    _failing: dict[Key, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._reporter = Reporter(self.cluster, self.cache, self.clock)

    async def reconcile(self, key: Key) -> float | None:
        """One pass.

        Returns:
            Seconds until the next look where time alone may bring news, else None.

        Raises:
            ApiError: try again after a back-off.
        """
        body = self.cache.get(api.RISKPREDICTOR, key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            # Nothing to do: garbage collection takes the children.
            self._reporter.forget(key)
            self.rolls.done(key)
            self._failing.pop(key, None)
            return None
        try:
            rp = parse(body)
        except SpecError as error:
            return await self._report_invalid(key, body, error)

        desired = render(rp, self.options)
        try:
            observed = await self._observe(rp)
            plan = make_plan(rp, desired, observed)
            if self._must_wait(rp, body, desired, observed):
                plan = plan.without(api.DEPLOYMENT)
            look = Look(problems=_strangers(plan, key), waiting=_leftovers(plan, key))
            if plan.stages and not rp.suspend:
                if plan.creates and not await self._still_there(rp):
                    # At once, in the light of what was found: no event will ask for it.
                    return 0.0
                refused = await execute(self.cluster, self.cache, rp, plan)
                look = replace(look, problems=look.problems + refused)
        except ApiError as error:
            if classify(error) is not Verdict.REPORT:
                await self._report_failure(body, rp, error)
                raise
            look = Look(problems=(problem_of(error, f"the children of {key}"),))
        self._failing.pop(key, None)
        look = await self._look(rp, look)
        if not self.rolls.waits(key) and (rp.suspend or _is_at_rest(rp, look)):
            self.rolls.done(key)
        put_off = await self._report(body, rp, look)
        return _earlier(put_off, self._next_look(rp, look))

    def _must_wait(
        self, rp: RiskPredictor, body: Body, desired: Desired, observed: Observed
    ) -> bool:
        """Whether its pods are to be replaced by the operator's own doing, and others come first.

        The queue brings it back when it is its turn, not the clock."""
        status, live = body.get("status") or {}, observed.deployment.ours
        if rp.suspend or not is_induced(rp, status, desired.deployment, live):
            self.rolls.withdraw(rp.key)
            return False
        return not self.rolls.admit(rp.key)

    async def _observe(self, rp: RiskPredictor) -> Observed:
        """The children as cached; those missing there are asked for, because an object of somebody
        else has no label that would bring it into the cache."""
        wanted = [api.DEPLOYMENT, api.SERVICE, *([api.AUTOSCALER] if rp.autoscaled else [])]
        missing = [resource for resource in wanted if not self.cache.knows(resource, rp.key)]
        found = await asyncio.gather(*(self.cluster.get(resource, rp.key) for resource in missing))
        children = {
            resource: _child(rp, self.cache.get(resource, rp.key)) for resource in api.CHILDREN
        }
        for resource, body in zip(missing, found, strict=True):
            children[resource] = _child(rp, body)
            if body is not None and children[resource].ours is not None:
                self.cache.put(resource, body)
        return Observed(children[api.DEPLOYMENT], children[api.SERVICE], children[api.AUTOSCALER])

    async def _still_there(self, rp: RiskPredictor) -> bool:
        """Before a child is made: is this RiskPredictor still there?

        If a watch missed its deletion, making children would race with the garbage collector for
        ever."""
        live = await self.cluster.get(api.RISKPREDICTOR, rp.key)
        if live is None:
            self.cache.drop(api.RISKPREDICTOR, {"metadata": _identity(rp)})
            return False
        if live["metadata"]["uid"] != rp.uid or "deletionTimestamp" in live["metadata"]:
            self.cache.put(api.RISKPREDICTOR, live)
            return False
        return True

    async def _look(self, rp: RiskPredictor, look: Look) -> Look:
        """What is there now. Pods are listed only while the Deployment has not settled."""
        deployment = _child(rp, self.cache.get(api.DEPLOYMENT, rp.key)).ours
        autoscaler = _child(rp, self.cache.get(api.AUTOSCALER, rp.key)).ours
        pods: list[Body] = []
        if deployment is not None and not is_settled(rp, deployment):
            try:
                pods = await self._pods(rp)
            except ApiError as error:
                if classify(error) is not Verdict.REPORT:
                    raise
                problem = problem_of(error, f"the pods of {rp.key}")
                look = replace(look, problems=(*look.problems, problem))
        return replace(look, deployment=deployment, autoscaler=autoscaler, pods=pods)

    async def _pods(self, rp: RiskPredictor) -> list[Body]:
        selector = selector_of(rp.key)
        return await self.cluster.list(api.POD, rp.key.namespace, selector, cached=True)

    async def _report(self, body: Body, rp: RiskPredictor, look: Look) -> float | None:
        previous = body.get("status") or {}
        status = build_status(rp, self.options, look, previous, self._timestamp())
        return await self._reporter.report(rp.key, rp.uid, previous, status)

    async def _report_failure(self, body: Body, rp: RiskPredictor, error: ApiError) -> None:
        """Ready must not stay True over children that cannot be written, however passing it is."""
        now = self.monotonic()
        passed = now - self._failing.setdefault(rp.key, now)
        # No answer at all may be a webhook that hangs: then the status can be written all the same.
        # A server that asks to write less is heeded.
        if (error.status >= 500 or error.status == 0) and passed >= PATIENCE_SECONDS:
            why = Problem(reasons.APPLY_FAILED, f"writing the children fails: {error}; trying on")
            with suppress(ApiError):
                await self._report(body, rp, await self._look(rp, Look(waiting=why)))

    async def _report_invalid(self, key: Key, body: Body, error: SpecError) -> float:
        self.rolls.done(key)
        problem = Problem(reasons.INVALID_SPEC, str(error))
        previous = body.get("status") or {}
        generation = body["metadata"]["generation"]
        status = invalid_status(key, generation, problem, previous, self._timestamp())
        await self._reporter.report(key, body["metadata"]["uid"], previous, status)
        return 0.0 if self._overtaken(key, generation) else SLOW_RETRY_SECONDS

    def _overtaken(self, key: Key, generation: int) -> bool:
        """Whether the spec changed while this pass ran. The answer to a write may have brought the
        new one into the cache, and then its event finds nothing new and queues nothing."""
        known = self.cache.get(api.RISKPREDICTOR, key)
        return known is not None and known["metadata"]["generation"] != generation

    def _next_look(self, rp: RiskPredictor, look: Look) -> float | None:
        if self._overtaken(rp.key, rp.generation):
            return 0.0
        if look.problems or look.waiting is not None:
            return SLOW_RETRY_SECONDS
        if look.deployment is None or rp.suspend:
            return None
        if is_settled(rp, look.deployment):
            return SLOW_RETRY_SECONDS if is_doubtful(rp, look.autoscaler) else None
        least, most = POD_LOOK_SECONDS
        status = (self.cache.get(api.RISKPREDICTOR, rp.key) or {}).get("status") or {}
        ready = conditions.find(status.get("conditions") or (), conditions.READY)
        if ready is None:
            return least
        since = datetime.datetime.fromisoformat(ready["lastTransitionTime"])
        return min(max(least, (self.clock() - since).total_seconds() / 4), most)

    def _timestamp(self) -> str:
        return self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")


def _earlier(first: float | None, second: float | None) -> float | None:
    return min((each for each in (first, second) if each is not None), default=None)


def _is_at_rest(rp: RiskPredictor, look: Look) -> bool:
    return look.deployment is not None and is_settled(rp, look.deployment)


def _child(rp: RiskPredictor, body: Body | None) -> Child:
    return Child(body, ownership_of(body, rp.key, rp.uid))


def _strangers(plan: Plan, key: Key) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            reasons.NOT_OWNED,
            f"{resource.kind} {key} exists and belongs to somebody else; delete or rename it, or "
            "rename the RiskPredictor",
        )
        for resource in plan.foreign
    )


def _leftovers(plan: Plan, key: Key) -> Problem | None:
    if not plan.leftover:
        return None
    kinds = " and ".join(resource.kind for resource in plan.leftover)
    return Problem(reasons.WAITING_FOR_DELETION, f"{kinds} {key} is still being deleted")


def _identity(rp: RiskPredictor) -> dict[str, Any]:
    return {"namespace": rp.key.namespace, "name": rp.key.name, "uid": rp.uid}
