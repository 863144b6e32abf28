"""The end of every fault: observed equals desired, no orphan, no storm of Events, honest status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unit.operator.builders import rendered

import kstatus
from riskpredictor_operator.core import api as names
from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.core.observed import Child, Children, ownership_of
from riskpredictor_operator.core.plan import make_plan
from riskpredictor_operator.core.spec import parse
from riskpredictor_operator.kube import Resource
from support.api import RISKPREDICTOR, Api, Body, eventually

EVENT_LIMIT = 12
"""Events about one RiskPredictor that no fault may exceed: a few a transition, never one a try."""


def await_order(
    api: Api,
    namespace: str,
    wanted: Mapping[str, Mapping[str, Any]],
    *,
    events: int = EVENT_LIMIT,
    within: float = 90.0,
) -> None:
    """Wait until a namespace holds exactly these RiskPredictors, and all is as they declare.

    Args:
        api: the administrator's view.
        namespace: where to look.
        wanted: by name, the fields that the spec must have; the names are all that there may be.
        events: how many there may be about one RiskPredictor.
        within: seconds.
    """

    def in_order() -> bool:
        last[:] = disorder(api, namespace, wanted) + _storms(api, namespace, events)
        return not last

    last: list[str] = []
    try:
        eventually(in_order, within=within, every=0.5)
    except AssertionError:
        listed = "\n  ".join(last[:20])
        raise AssertionError(f"not in order within {within} s:\n  {listed}") from None


def disorder(api: Api, namespace: str, wanted: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is not as it should be, as sentences."""
    predictors = {b["metadata"]["name"]: b for b in api.items(RISKPREDICTOR, namespace)}
    children = {
        resource: {
            b["metadata"]["name"]: b for b in api.items(resource, namespace, names.LABEL_PREDICTOR)
        }
        for resource in CHILDREN
    }
    found = [f"{name} should be gone" for name in predictors.keys() - wanted.keys()]
    found += [f"{name} is missing" for name in wanted.keys() - predictors.keys()]
    for resource, bodies in children.items():
        found += [f"orphan: {resource.kind} {name}" for name in bodies.keys() - wanted.keys()]
    for name in wanted.keys() & predictors.keys():
        own = {resource: bodies.get(name) for resource, bodies in children.items()}
        found += [f"{name}: {what}" for what in _of(predictors[name], own, wanted[name])]
    return found


def _of(
    body: Body, children: Mapping[Resource, Body | None], wanted: Mapping[str, Any]
) -> list[str]:
    spec, status = body["spec"], body.get("status") or {}
    found = [f"spec.{k} is {spec.get(k)}, not {v}" for k, v in wanted.items() if spec.get(k) != v]
    found += kstatus.violations(body)
    if (health := kstatus.health(body)) != "Current":
        deployment = (children[names.DEPLOYMENT] or {}).get("status")
        said = [(c["type"], c["reason"], c["message"]) for c in status.get("conditions") or ()]
        found.append(f"health is {health}: {said}; its Deployment says {deployment}")
    if status.get("servingVersion") != spec["modelVersion"]:
        found.append(f"serving {status.get('servingVersion')}, not {spec['modelVersion']}")
    rp = parse(body)
    observed = Children(
        {r: Child(children[r], ownership_of(children[r], rp.key, rp.uid)) for r in CHILDREN}
    )
    plan = make_plan(rp, rendered(body), observed)
    found += [f"still to do: {step}" for stage in plan.stages for step in stage]
    found += [f"{resource.kind} belongs to somebody else" for resource in plan.foreign]
    return found


def _storms(api: Api, namespace: str, limit: int) -> list[str]:
    """RiskPredictors about which the operator said too much."""
    said: dict[str, int] = {}
    for event in api.items(names.EVENT, namespace):
        about = event["involvedObject"]
        if about["kind"] == names.KIND:
            said[about["name"]] = said.get(about["name"], 0) + int(event.get("count") or 1)
    return [f"{name}: a storm of {count} Events" for name, count in said.items() if count > limit]
