"""Carries out a plan: the only place that writes children."""

from __future__ import annotations

import asyncio
import logging

from riskpredictor_operator import metrics
from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Body
from riskpredictor_operator.core.errors import ApiError, Problem, Verdict, classify, problem_of
from riskpredictor_operator.core.observed import Ownership
from riskpredictor_operator.core.observed import classify as classify_owner
from riskpredictor_operator.core.plan import Apply, Delete, HandOver, Plan, Replace, Step
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Cluster

logger = logging.getLogger(__name__)


async def execute(
    cluster: Cluster, cache: Cache, rp: RiskPredictor, plan: Plan
) -> tuple[Problem, ...]:
    """Do the steps; returns what a person must mend, raises what passes by itself."""
    for stage in plan.stages:
        results = await asyncio.gather(
            *(_do(cluster, cache, rp, step) for step in stage), return_exceptions=True
        )
        problems = []
        for step, result in zip(stage, results, strict=True):
            if isinstance(result, ApiError) and classify(result) is Verdict.REPORT:
                kind = api.DEPLOYMENT if isinstance(step, HandOver) else step.resource
                problems.append(problem_of(result, f"{kind.kind} {rp.key}"))
            elif isinstance(result, BaseException):
                if isinstance(result, ApiError) and result.status == 409:
                    await _read_again(cluster, cache, rp, step)
                raise result
        if problems:
            return tuple(problems)
    return ()


async def _do(cluster: Cluster, cache: Cache, rp: RiskPredictor, step: Step) -> None:
    match step:
        case Apply(resource, manifest, uid):
            body = _with_uid(manifest, uid)
            # Without force where a new object is meant: somebody else's of that name may have
            # appeared since the look, and would be taken over.
            live = await cluster.apply(resource, body, manager=api.FIELD_MANAGER, force=bool(uid))
            cache.put(resource, live)
            metrics.CHILD_WRITES.labels(resource.plural, "apply").inc()
            logger.info("%s: %s %s", rp.key, "updated" if uid else "created", resource.kind)
        case HandOver(replicas, uid, force):
            body = _replicas_only(rp, replicas, uid)
            live = await cluster.apply(
                api.DEPLOYMENT, body, manager=api.HANDOVER_MANAGER, force=force
            )
            cache.put(api.DEPLOYMENT, live)
            metrics.CHILD_WRITES.labels(api.DEPLOYMENT.plural, "hand-over").inc()
        case Replace(resource, pointer, value, uid):
            operations: list[Body] = [
                {"op": "test", "path": "/metadata/uid", "value": uid},
                {"op": "replace", "path": pointer, "value": value},
            ]
            cache.put(resource, await cluster.change(resource, rp.key, operations))
            metrics.CHILD_WRITES.labels(resource.plural, "replace").inc()
        case Delete(resource, uid):
            await cluster.delete(resource, rp.key, uid)
            cache.drop(
                resource,
                {"metadata": {"namespace": rp.key.namespace, "name": rp.key.name, "uid": uid}},
            )
            metrics.CHILD_WRITES.labels(resource.plural, "delete").inc()
            logger.info("%s: deleted %s", rp.key, resource.kind)


async def _read_again(cluster: Cluster, cache: Cache, rp: RiskPredictor, step: Step) -> None:
    """After a conflict the picture of that child is stale: the next pass must not start from it.

    Somebody else's object stays out of the cache, for no watch would tell of its end.
    """
    resource = api.DEPLOYMENT if isinstance(step, HandOver) else step.resource
    live = await cluster.get(resource, rp.key)
    if live is not None and classify_owner(live, rp.key, rp.uid) is Ownership.OURS:
        cache.put(resource, live)
    elif (known := cache.get(resource, rp.key)) is not None:
        cache.drop(resource, known)


def _with_uid(manifest: Body, uid: str) -> Body:
    """The manifest for exactly that object: the API server refuses another of the same name."""
    return {**manifest, "metadata": {**manifest["metadata"], "uid": uid}} if uid else manifest


def _replicas_only(rp: RiskPredictor, replicas: int, uid: str) -> Body:
    return {
        "apiVersion": api.DEPLOYMENT.api_version,
        "kind": api.DEPLOYMENT.kind,
        "metadata": {"name": rp.key.name, "namespace": rp.key.namespace, "uid": uid},
        "spec": {"replicas": replicas},
    }
