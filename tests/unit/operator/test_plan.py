"""Specification of the plan: which writes, in which order, for what is there."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.builders import KEY, NOW, UID, Object, changed, manifests, predictor, rendered
from unit.operator.live_objects import live

from riskpredictor_operator.core import api
from riskpredictor_operator.core.compare import recorded
from riskpredictor_operator.core.observed import Child, Children, Ownership, ownership_of
from riskpredictor_operator.core.plan import (
    Apply,
    Change,
    Delete,
    HandOver,
    Plan,
    Recreate,
    Step,
    make_plan,
)
from riskpredictor_operator.core.spec import parse
from riskpredictor_operator.kube import Resource


def children(body: Object, **replaced: Object | None) -> dict[Resource, Object | None]:
    """Live children of a predictor, some of them (by kind) replaced."""
    found: dict[Resource, Object | None] = {
        resource: live(resource, manifest) for resource, manifest in manifests(body).items()
    }
    return found | {r: replaced[r.kind] for r in api.CHILDREN if r.kind in replaced}


def plan(body: Object, there: dict[Resource, Object | None]) -> Plan:
    def child(resource: Resource) -> Child:
        return Child(there.get(resource), ownership_of(there.get(resource), KEY, UID))

    observed = Children({resource: child(resource) for resource in api.CHILDREN})
    return make_plan(parse(body), rendered(body), observed)


def shape(made: Plan) -> list[list[str]]:
    """The stages as words."""
    return [[describe(step) for step in stage] for stage in made.stages]


def describe(step: Step) -> str:
    match step:
        case Apply(resource, _, uid):
            return f"{'update' if uid else 'create'} {resource.kind}"
        case HandOver(replicas, _, force):
            return f"{'force' if force else 'hand over'} {replicas}"
        case Delete(resource, _):
            return f"delete {resource.kind}"
        case Change(resource):
            return f"change {resource.kind}"
        case Recreate(resource, keep_pods=keep):
            return f"make {resource.kind} anew" + (", with its pods" if keep else "")


ALL = ["Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"]


def with_replicas(body: Object, replicas: int, *, owned: bool = False) -> Object:
    """A live Deployment with that many replicas, owned by the operator's apply or not."""
    manifest = recorded(manifests(body)[api.DEPLOYMENT])
    applied = changed(manifest, replicas, "spec", "replicas")
    found = live(api.DEPLOYMENT, applied if owned else manifest)
    return changed(found, replicas, "spec", "replicas")


def with_args(body: Object) -> Object:
    """A Deployment to whose container somebody gave arguments."""
    return changed(body, ["-v"], "spec", "template", "spec", "containers", 0, "args")


def meta(body: Object | None, **fields: Any) -> Object:
    assert body is not None
    return {**body, "metadata": {**body["metadata"], **fields}}


def test_everything_is_made_in_one_stage_when_nothing_is_there() -> None:
    made = plan(predictor(), {})
    assert shape(made) == [[f"create {kind}" for kind in ALL]]
    assert made.creates


def test_a_new_deployment_starts_at_the_lower_bound() -> None:
    (stage,) = plan(predictor(minReplicas=3), {}).stages
    assert isinstance(stage[0], Apply)
    assert stage[0].manifest["spec"]["replicas"] == 3
    wanted = manifests(predictor(minReplicas=3))[api.DEPLOYMENT]
    assert stage[0].manifest["metadata"] == recorded(wanted)["metadata"]


@pytest.mark.parametrize(("wish", "start"), [(4, 4), (9, 5), (1, 2), (0, 2)])
def test_a_deployment_deleted_under_load_comes_back_as_large(wish: int, start: int) -> None:
    there = children(predictor(), Deployment=None)
    autoscaler = there[api.AUTOSCALER]
    assert autoscaler is not None
    autoscaler["status"] = {"desiredReplicas": wish}
    ((apply,),) = plan(predictor(), there).stages
    assert isinstance(apply, Apply)
    assert apply.manifest["spec"]["replicas"] == start


def test_nothing_is_done_when_nothing_differs() -> None:
    made = plan(predictor(), children(predictor()))
    assert made == Plan(stages=(), foreign=(), leftover=())
    assert not made.creates


@pytest.mark.parametrize("replicas", [2, 3, 5, 9])
def test_the_autoscalers_choice_is_no_drift(replicas: int) -> None:
    body = predictor()
    assert plan(body, children(body, Deployment=with_replicas(body, replicas))).stages == ()


@pytest.mark.parametrize("resource", api.CHILDREN, ids=lambda r: r.kind)
def test_a_child_with_drift_is_applied_and_no_other(resource: Resource) -> None:
    body = predictor()
    there = children(body)
    there[resource] = meta(there[resource], labels={})
    made = plan(body, there)
    assert shape(made) == [[f"update {resource.kind}"]]
    assert not made.creates


@pytest.mark.parametrize("resource", api.CHILDREN, ids=lambda r: r.kind)
def test_a_missing_child_is_made_and_no_other(resource: Resource) -> None:
    made = plan(predictor(), children(predictor()) | {resource: None})
    assert shape(made) == [[f"create {resource.kind}"]]
    assert made.creates


@pytest.mark.parametrize("resource", api.CHILDREN, ids=lambda r: r.kind)
def test_a_foreign_child_is_reported_and_left_alone(resource: Resource) -> None:
    there = children(predictor())
    there[resource] = meta(there[resource], ownerReferences=[], labels={})
    made = plan(predictor(modelVersion="v2"), there)
    assert made.foreign == (resource,)
    assert not [w for stage in shape(made) for w in stage if resource.kind in w]


@pytest.mark.parametrize("resource", [api.SERVICE, api.AUTOSCALER], ids=lambda r: r.kind)
def test_a_foreign_child_does_not_keep_the_others_from_being_made(resource: Resource) -> None:
    foreign = meta(children(predictor())[resource], ownerReferences=[], labels={})
    made = plan(predictor(), {resource: foreign})
    assert shape(made) == [[f"create {kind}" for kind in ALL if kind != resource.kind]]


def test_a_foreign_deployment_is_not_scaled_either() -> None:
    """An autoscaler finds its target by name: ours would change the stranger's number of pods."""
    there = children(predictor())
    foreign = meta(there[api.DEPLOYMENT], ownerReferences=[], labels={})
    made = plan(predictor(), {api.DEPLOYMENT: foreign})
    assert shape(made) == [["create Service", "create PodDisruptionBudget"]]
    there[api.DEPLOYMENT] = foreign
    assert shape(plan(predictor(), there)) == [["delete HorizontalPodAutoscaler"]]


@pytest.mark.parametrize("resource", api.CHILDREN, ids=lambda r: r.kind)
def test_an_orphan_is_taken_back_even_if_nothing_else_differs(resource: Resource) -> None:
    there = children(predictor())
    there[resource] = meta(there[resource], ownerReferences=[])
    made = plan(predictor(), there)
    assert shape(made) == [[f"update {resource.kind}"]]
    assert [restored.path for restored in made.repairs[0].restores] == ["metadata.ownerReferences"]
    assert (made.foreign, made.leftover) == ((), ())


@pytest.mark.parametrize("resource", api.CHILDREN, ids=lambda r: r.kind)
@pytest.mark.parametrize("why", [Ownership.LEFTOVER, Ownership.TERMINATING], ids=lambda o: o.value)
def test_a_child_on_its_way_out_is_waited_for(resource: Resource, why: Ownership) -> None:
    there = children(predictor())
    owner = {**manifests(predictor())[resource]["metadata"]["ownerReferences"][0]}
    there[resource] = (
        meta(there[resource], ownerReferences=[{**owner, "uid": "older"}])
        if why is Ownership.LEFTOVER
        else meta(there[resource], deletionTimestamp=NOW)
    )
    made = plan(predictor(modelVersion="v2"), there)
    assert made.leftover == (resource,)
    assert not [w for stage in shape(made) for w in stage if resource.kind in w]


def test_writes_are_for_the_object_that_was_looked_at() -> None:
    there = children(predictor())
    stages = plan(predictor(modelVersion="v2"), there).stages
    ((apply,),) = stages
    assert isinstance(apply, Apply)
    assert apply.uid == "uid-of-deployments"
    ((change,),) = plan(NEW_PORT, children(predictor())).stages
    assert isinstance(change, Change)
    version = {"op": "replace", "path": "/metadata/resourceVersion", "value": "200"}
    assert change.operations[0] == version, "the API server refuses it once anything has changed"


AUTOSCALED, FIXED = predictor(), predictor(replicas=3)
NEW_VERSION = predictor(modelVersion="v2")
NEW_PORT = predictor(service={"port": 8080})
AUTOSCALER = live(api.AUTOSCALER, manifests(AUTOSCALED)[api.AUTOSCALER])
ORPHAN: Object = {"ownerReferences": []}
FOREIGN: Object = {"ownerReferences": [], "labels": {}}
RENUMBERED = changed(children(AUTOSCALED)[api.SERVICE] or {}, 81, "spec", "ports", 0, "port")
HEADLESS = changed(children(AUTOSCALED)[api.SERVICE] or {}, "None", "spec", "clusterIP")
OTHER_SELECTOR = changed(with_replicas(AUTOSCALED, 2), {"app": "risk"}, "spec", "selector")
OTHER_PODS = changed(OTHER_SELECTOR, {"app": "risk"}, "spec", "template", "metadata", "labels")
EXTERNAL = predictor(autoscaler="External")
FOREIGN_SERVICE = meta(children(AUTOSCALED)[api.SERVICE], **FOREIGN)
ORPHANED_DEPLOYMENT = meta(with_replicas(AUTOSCALED, 4, owned=True), **ORPHAN)
REMOVE = "delete HorizontalPodAutoscaler"


@pytest.mark.parametrize(
    ("body", "there", "stages"),
    [
        pytest.param(
            AUTOSCALED, children(predictor(replicas=4)),
            [["hand over 4"], ["update Deployment", "create HorizontalPodAutoscaler"]],
            id="from fixed to autoscaled: the number is handed over before the operator lets go",
        ),
        pytest.param(
            AUTOSCALED,
            children(AUTOSCALED, Deployment=ORPHANED_DEPLOYMENT),
            [["hand over 4"], ["update Deployment"]], id="an orphan's number is handed over too",
        ),
        pytest.param(
            FIXED, children(AUTOSCALED, Deployment=with_replicas(AUTOSCALED, 4)),
            [[REMOVE], ["update Deployment"]],
            id="from autoscaled to fixed: the autoscaler goes first",
        ),
        pytest.param(
            FIXED, children(FIXED) | {api.AUTOSCALER: AUTOSCALER}, [[REMOVE]],
            id="an autoscaler that is not wanted",
        ),
        pytest.param(
            FIXED, children(FIXED) | {api.AUTOSCALER: meta(AUTOSCALER, **ORPHAN)}, [[REMOVE]],
            id="an orphaned one",
        ),
        pytest.param(
            FIXED, children(FIXED) | {api.AUTOSCALER: meta(AUTOSCALER, **FOREIGN)}, [],
            id="a stranger's stays",
        ),
        pytest.param(
            FIXED, children(FIXED) | {api.AUTOSCALER: meta(AUTOSCALER, deletionTimestamp=NOW)}, [],
            id="one that is being deleted",
        ),
        pytest.param(
            FIXED, children(FIXED, Deployment=with_replicas(FIXED, 8)), [["update Deployment"]],
            id="a fixed number that somebody changed is repaired",
        ),
        pytest.param(
            AUTOSCALED, children(AUTOSCALED, Deployment=with_replicas(AUTOSCALED, 0)),
            [["force 2"]], id="zero replicas switch the autoscaler off, so they are repaired",
        ),
        pytest.param(
            predictor(replicas=0), children(predictor(replicas=0)), [],
            id="zero replicas are a choice where the size is fixed",
        ),
        pytest.param(
            NEW_VERSION,
            children(AUTOSCALED, Deployment=with_replicas(AUTOSCALED, 2, owned=True)),
            [["hand over 2"], ["update Deployment"]],
            id="a new version keeps the number that was never scaled since the creation",
        ),
        pytest.param(
            NEW_VERSION, children(AUTOSCALED, Deployment=with_replicas(AUTOSCALED, 2)),
            [["update Deployment"]], id="and the one that the autoscaler chose",
        ),
        pytest.param(
            AUTOSCALED, children(AUTOSCALED, Deployment=with_replicas(AUTOSCALED, 2, owned=True)),
            [], id="owning replicas alone needs no write",
        ),
        pytest.param(
            AUTOSCALED, children(AUTOSCALED, Service=RENUMBERED),
            [["change Service"]], id="a port that was renumbered is not joined by another",
        ),
        pytest.param(
            NEW_PORT, children(AUTOSCALED),
            [["change Service"]], id="nor one that the user renumbers",
        ),
        pytest.param(
            AUTOSCALED, children(AUTOSCALED, Service=HEADLESS), [["make Service anew"]],
            id="no update gives a headless Service an address",
        ),
        pytest.param(
            AUTOSCALED, children(AUTOSCALED, Deployment=OTHER_SELECTOR),
            [["make Deployment anew, with its pods"]],
            id="no update changes a selector; the new one adopts pods that carry its label",
        ),
        pytest.param(
            AUTOSCALED, children(AUTOSCALED, Deployment=OTHER_PODS), [["make Deployment anew"]],
            id="pods without the label go",
        ),
        pytest.param(
            AUTOSCALED,
            children(
                AUTOSCALED, Deployment=with_args(with_replicas(AUTOSCALED, 4, owned=True))
            ),
            [["change Deployment"]], id="a patch leaves the number alone, so none is handed over",
        ),
        pytest.param(
            EXTERNAL, children(EXTERNAL, Deployment=with_replicas(EXTERNAL, 0)), [],
            id="zero replicas are another autoscaler's choice",
        ),
        pytest.param(
            NEW_PORT, children(AUTOSCALED, Service=FOREIGN_SERVICE), [],
            id="a foreign Service keeps its ports",
        ),
    ],
)  # fmt: skip
def test_stages(
    body: Object, there: dict[Resource, Object | None], stages: list[list[str]]
) -> None:
    made = plan(body, there)
    assert shape(made) == stages
    foreign = [r for r in (api.SERVICE,) if there[r] is FOREIGN_SERVICE]
    assert (list(made.foreign), made.leftover) == (foreign, ())


EXTERNAL = predictor(autoscaler="External")
FIXED = predictor(replicas=2)


@pytest.mark.parametrize(
    ("body", "there", "stages"),
    [
        pytest.param(
            EXTERNAL, children(AUTOSCALED), [["delete HorizontalPodAutoscaler"]],
            id="the operator's autoscaler goes, the number stays",
        ),
        pytest.param(
            EXTERNAL, children(EXTERNAL, Deployment=with_replicas(EXTERNAL, 0)), [],
            id="zero is a number that somebody else chose",
        ),
        pytest.param(
            EXTERNAL, children(EXTERNAL, Deployment=with_replicas(EXTERNAL, 9)), [],
            id="and so is one beyond the bounds",
        ),
        pytest.param(
            EXTERNAL,
            children(FIXED, Deployment=with_replicas(FIXED, 2, owned=True)),
            [["hand over 2"], ["update Deployment"]],
            id="from a fixed size: the number is handed over",
        ),
    ],
)  # fmt: skip
def test_an_external_autoscaler_has_the_number_of_pods(
    body: Object, there: dict[Resource, Object | None], stages: list[list[str]]
) -> None:
    assert shape(plan(body, there)) == stages


def test_pods_for_an_external_autoscaler_start_at_the_minimum() -> None:
    created = plan(EXTERNAL, children(EXTERNAL, Deployment=None))
    (step,) = (step for stage in created.stages for step in stage)
    assert isinstance(step, Apply)
    assert step.manifest["spec"]["replicas"] == 2
