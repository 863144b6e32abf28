"""Executes a plan: the only place that writes children."""

from __future__ import annotations

import asyncio
import logging

from riskpredictor_operator import metrics
from riskpredictor_operator.core import api
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.observed import Ownership, ownership_of
from riskpredictor_operator.core.plan import Apply, Delete, HandOver, Plan, Replace, Step, target_of
from riskpredictor_operator.core.refusals import explain_refusal
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import ApiError, Body, Verdict, verdict_of
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Client

logger = logging.getLogger(__name__)


async def execute(
    client: Client, cache: Cache, rp: RiskPredictor, plan: Plan
) -> tuple[Explanation, ...]:
    """Execute a plan, stage by stage, until a write fails.

    Returns:
        The permanent errors of a stage (verdict REPORT), explained.

    Raises:
        Exception: any other error of a write; the first one, if several of a stage failed.
    """
    for stage in plan.stages:
        results = await asyncio.gather(
            *(_write_child(client, cache, rp, step) for step in stage), return_exceptions=True
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


async def _write_child(client: Client, cache: Cache, rp: RiskPredictor, step: Step) -> None:
    resource, live = target_of(step), None
    match step:
        case Apply(_, manifest, uid):
            action = "apply"
            # No force to create: a foreign object of that name may have appeared since it was
            # looked for, and would be taken over.
            live = await client.apply(
                resource, _with_uid(manifest, uid), manager=api.FIELD_MANAGER, force=bool(uid)
            )
            logger.info("%s: %s %s", rp.key, "updated" if uid else "created", resource.kind)
        case HandOver(replicas, uid, force):
            action = "hand-over"
            body = _replicas_only(rp, replicas, uid)
            live = await client.apply(resource, body, manager=api.HANDOVER_MANAGER, force=force)
        case Replace(_, pointer, value, uid):
            action = "replace"
            operations: list[Body] = [
                {"op": "test", "path": "/metadata/uid", "value": uid},
                {"op": "replace", "path": pointer, "value": value},
            ]
            live = await client.change(resource, rp.key, operations)
        case Delete(_, uid):
            action = "delete"
            await client.delete(resource, rp.key, uid)
            identity = {"namespace": rp.key.namespace, "name": rp.key.name, "uid": uid}
            cache.drop(resource, {"metadata": identity})
            logger.info("%s: deleted %s", rp.key, resource.kind)
    if live is not None:
        cache.put(resource, live)
    metrics.CHILD_WRITES.labels(resource.plural, action).inc()


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
