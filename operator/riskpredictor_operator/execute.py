"""Executes a plan: the only place that writes children."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from riskpredictor_operator import metrics
from riskpredictor_operator.core import api
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.observed import Ownership, ownership_of
from riskpredictor_operator.core.plan import (
    Apply,
    Change,
    Delete,
    HandOver,
    Plan,
    Recreate,
    Repair,
    Step,
    recreation,
    target_of,
)
from riskpredictor_operator.core.refusals import (
    explain_refusal,
    is_about_present_state,
    says_valid,
)
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import ApiError, Body, Resource, Verdict, verdict_of
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Client

logger = logging.getLogger(__name__)

OnWritten: TypeAlias = Callable[[Repair, Body | None], None]
"""Called with a step that wrote a child and with the child in the API server's answer, if any."""


async def execute(
    client: Client, cache: Cache, rp: RiskPredictor, plan: Plan, on_written: OnWritten
) -> tuple[Explanation, ...]:
    """Execute a plan, stage by stage, until a write fails.

    Returns:
        The permanent errors of a stage (verdict REPORT), explained.

    Raises:
        Exception: any other error of a write; the first one, if several of a stage failed.
    """
    for stage in plan.stages:
        results = await asyncio.gather(
            *(_write_child(client, cache, rp, step, on_written) for step in stage),
            return_exceptions=True,
        )
        refused = []
        for step, result in zip(stage, results, strict=True):
            if isinstance(result, ApiError) and verdict_of(result) is Verdict.REPORT:
                refused.append(explain_refusal(result, f"{target_of(step).kind} {rp.key}"))
            elif isinstance(result, BaseException):
                if isinstance(result, ApiError) and result.status == 409:
                    await _read_again(client, cache, rp, step)
                raise result
        if refused:
            return tuple(refused)
    return ()


async def _write_child(
    client: Client, cache: Cache, rp: RiskPredictor, step: Step, on_written: OnWritten
) -> None:
    resource, live = target_of(step), None
    match step:
        case Apply(_, manifest, uid):
            action = "apply"
            # No force to create: a foreign object of that name may have appeared since it was
            # looked for, and would be taken over.
            write = client.apply(
                resource, _with_uid(manifest, uid), manager=api.FIELD_MANAGER, force=bool(uid)
            )
            live = await _or_recreate(client, cache, rp, step, write)
            logger.info("%s: %s %s", rp.key, "updated" if uid else "created", resource.kind)
        case Change(_, _, operations):
            action = "change"
            write = client.change(resource, rp.key, operations)
            live = await _or_recreate(client, cache, rp, step, write)
            logger.info("%s: repaired %s", rp.key, resource.kind)
        case Recreate():
            action = "recreate"
            await _recreate(client, cache, rp, step)
        case HandOver(replicas, uid, force):
            action = "hand-over"
            body = _replicas_only(rp, replicas, uid)
            live = await client.apply(resource, body, manager=api.HANDOVER_MANAGER, force=force)
        case Delete(_, uid):
            action = "delete"
            await _delete(client, cache, rp, resource, uid)
            logger.info("%s: deleted %s", rp.key, resource.kind)
    if live is not None:
        cache.put(resource, live)
    if isinstance(step, Repair):
        on_written(step, live)
    metrics.CHILD_WRITES.labels(resource.plural, action).inc()


async def _or_recreate(
    client: Client, cache: Cache, rp: RiskPredictor, step: Apply | Change, write: Awaitable[Body]
) -> Body | None:
    """The answer to a write; where the API server refuses the update because of a field, the child
    is made anew, for then its present state is in the way."""
    try:
        return await write
    except ApiError as error:
        live = cache.get(step.resource, rp.key)
        if live is None or not step.restores or not is_about_present_state(error):
            raise
        again = recreation(step.resource, step.manifest, live, step.restores)
        await _recreate(client, cache, rp, again)
        return None


async def _recreate(client: Client, cache: Cache, rp: RiskPredictor, step: Recreate) -> None:
    """Delete a child, if the API server would accept the manifest that comes in its place.

    The event about its end queues the RiskPredictor, and the next pass creates it.
    """
    resource = step.resource
    wanted = _without_held_ports(step.manifest, cache.get(resource, rp.key))
    try:
        await client.create(resource, wanted, dry_run=True)
    except ApiError as error:
        if not says_valid(error):
            raise
    await _delete(client, cache, rp, resource, step.uid, orphan=step.keep_pods)
    logger.warning("%s: %s is made anew, for no update restores it", rp.key, resource.kind)


async def _delete(
    client: Client, cache: Cache, rp: RiskPredictor, resource: Resource, uid: str,
    *, orphan: bool = False,
) -> None:  # fmt: skip
    await client.delete(resource, rp.key, uid, orphan=orphan)
    identity = {"namespace": rp.key.namespace, "name": rp.key.name, "uid": uid}
    cache.drop(resource, {"metadata": identity})


def _without_held_ports(manifest: Body, live: Body | None) -> Body:
    """A manifest for a dry run, without node ports that the live Service itself keeps from it."""
    ports = manifest["spec"].get("ports")
    if ports is None or live is None:
        return manifest
    held = {port.get("nodePort") for port in live["spec"].get("ports", ())}
    free = [
        {name: value for name, value in port.items() if name != "nodePort" or value not in held}
        for port in ports
    ]
    return {**manifest, "spec": {**manifest["spec"], "ports": free}}


async def _read_again(client: Client, cache: Cache, rp: RiskPredictor, step: Step) -> None:
    """Refresh the cached child after a conflict, so that the next pass does not start from it.

    A foreign object is not put into the cache: no watch would report its deletion.
    """
    resource = target_of(step)
    live = await client.get(resource, rp.key)
    if live is not None and ownership_of(live, rp.key, rp.uid) is Ownership.OURS:
        cache.put(resource, live)
    elif (known := cache.get(resource, rp.key)) is not None:
        cache.drop(resource, known)


def _with_uid(manifest: Body, uid: str) -> Body:
    """The manifest with the live object's uid, so that the API server refuses to apply it to a new
    object of the same name."""
    return {**manifest, "metadata": {**manifest["metadata"], "uid": uid}} if uid else manifest


def _replicas_only(rp: RiskPredictor, replicas: int, uid: str) -> Body:
    return {
        "apiVersion": api.DEPLOYMENT.api_version,
        "kind": api.DEPLOYMENT.kind,
        "metadata": {"name": rp.key.name, "namespace": rp.key.namespace, "uid": uid},
        "spec": {"replicas": replicas},
    }
