"""Specification of the plan: which writes, in which order, for what is there."""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.builders import KEY, NOW, UID, Object, changed, manifests, predictor, rendered
from unit.operator.live_objects import live

from riskpredictor_operator.core import api
from riskpredictor_operator.core.observed import Child, Observed, Ownership, ownership_of
from riskpredictor_operator.core.plan import Apply, Delete, HandOver, Plan, Replace, Step, make_plan
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

    observed = Observed(child(api.DEPLOYMENT), child(api.SERVICE), child(api.AUTOSCALER))
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
        case Replace(resource, pointer, _, _):
            return f"replace {pointer} of {resource.kind}"


ALL = ["Deployment", "Service", "HorizontalPodAutoscaler"]


def with_replicas(body: Object, replicas: int, *, owned: bool = False) -> Object:
    """A live Deployment with that many replicas, owned by the operator's apply or not."""
    manifest = manifests(body)[api.DEPLOYMENT]
    applied = changed(manifest, replicas, "spec", "replicas")
    found = live(api.DEPLOYMENT, applied if owned else manifest)
    return changed(found, replicas, "spec", "replicas")


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
    assert stage[0].manifest["metadata"] == wanted["metadata"]


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
    assert shape(plan(predictor(), {api.DEPLOYMENT: foreign})) == [["create Service"]]
    there[api.DEPLOYMENT] = foreign
    assert shape(plan(predictor(), there)) == [["delete HorizontalPodAutoscaler"]]


@pytest.mark.parametrize("resource", api.CHILDREN, ids=lambda r: r.kind)
def test_an_orphan_is_taken_back_even_if_nothing_else_differs(resource: Resource) -> None:
    there = children(predictor())
    there[resource] = meta(there[resource], ownerReferences=[])
    made = plan(predictor(), there)
    assert shape(made) == [[f"update {resource.kind}"]]
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
    assert [step.uid for stage in stages for step in stage] == ["uid-of-deployments"]


def test_from_fixed_to_autoscaled_the_number_is_handed_over_before_the_operator_lets_go() -> None:
    there = children(predictor(replicas=4))
    assert shape(plan(predictor(), there)) == [
        ["hand over 4"],
        ["update Deployment", "create HorizontalPodAutoscaler"],
    ]


def test_from_autoscaled_to_fixed_the_autoscaler_goes_first() -> None:
    there = children(predictor(), Deployment=with_replicas(predictor(), 4))
    assert shape(plan(predictor(replicas=3), there)) == [
        ["delete HorizontalPodAutoscaler"],
        ["update Deployment"],
    ]


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        pytest.param({}, [["delete HorizontalPodAutoscaler"]], id="ours"),
        pytest.param(
            {"ownerReferences": []}, [["delete HorizontalPodAutoscaler"]], id="an orphan of ours"
        ),
        pytest.param({"ownerReferences": [], "labels": {}}, [], id="a stranger stays"),
        pytest.param({"deletionTimestamp": NOW}, [], id="already going"),
    ],
)
def test_an_autoscaler_that_is_not_wanted(change: Object, stages: list[list[str]]) -> None:
    fixed = predictor(replicas=3)
    autoscaler = live(api.AUTOSCALER, manifests(predictor())[api.AUTOSCALER])
    there = children(fixed) | {api.AUTOSCALER: meta(autoscaler, **change)}
    made = plan(fixed, there)
    assert shape(made) == stages
    assert (made.foreign, made.leftover) == ((), ())


def test_a_fixed_number_that_somebody_changed_is_repaired() -> None:
    fixed = predictor(replicas=3)
    there = children(fixed, Deployment=with_replicas(fixed, 8))
    assert shape(plan(fixed, there)) == [["update Deployment"]]


def test_zero_replicas_switch_the_autoscaler_off_so_they_are_repaired() -> None:
    body = predictor(minReplicas=3)
    there = children(body, Deployment=with_replicas(body, 0))
    assert shape(plan(body, there)) == [["force 3"]]


def test_zero_replicas_are_a_choice_where_the_size_is_fixed() -> None:
    fixed = predictor(replicas=0)
    assert plan(fixed, children(fixed)).stages == ()


@pytest.mark.parametrize(
    ("owned", "stages"),
    [
        pytest.param(
            True, [["hand over 2"], ["update Deployment"]], id="never scaled since it was made"
        ),
        pytest.param(False, [["update Deployment"]], id="the autoscaler scaled meanwhile"),
    ],
)
def test_a_new_version_never_resets_the_number_of_pods(
    owned: bool, stages: list[list[str]]
) -> None:
    body = predictor()
    there = children(body, Deployment=with_replicas(body, 2, owned=owned))
    assert shape(plan(predictor(modelVersion="v2"), there)) == stages


def test_owning_replicas_alone_asks_for_no_write() -> None:
    body = predictor()
    there = children(body, Deployment=with_replicas(body, 2, owned=True))
    assert plan(body, there).stages == ()


def test_an_orphans_number_is_handed_over_too() -> None:
    fixed = meta(live(api.DEPLOYMENT, manifests(predictor(replicas=4))[api.DEPLOYMENT]),
                 ownerReferences=[])  # fmt: skip
    there = children(predictor(), Deployment=fixed)
    assert shape(plan(predictor(), there)) == [["hand over 4"], ["update Deployment"]]


def test_a_port_that_was_renumbered_under_our_name_goes_before_the_apply() -> None:
    service = live(api.SERVICE, manifests(predictor())[api.SERVICE])
    renumbered = changed(service, 81, "spec", "ports", 0, "port")
    assert shape(plan(predictor(), children(predictor(), Service=renumbered))) == [
        ["replace /spec/ports of Service"],
        ["update Service"],
    ]


def test_a_users_own_change_of_the_port_is_the_same_case() -> None:
    assert shape(plan(predictor(service={"port": 8080}), children(predictor()))) == [
        ["replace /spec/ports of Service"],
        ["update Service"],
    ]


def test_a_foreign_service_keeps_its_ports() -> None:
    there = children(predictor())
    there[api.SERVICE] = meta(there[api.SERVICE], ownerReferences=[], labels={})
    assert shape(plan(predictor(service={"port": 8080}), there)) == []
