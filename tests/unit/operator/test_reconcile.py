"""Specification of a pass: what is written, what is said, and when to look again."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from unit.operator.builders import KEY, NOW, Object, changed, manifests, predictor, without
from unit.operator.fake_cluster import Call
from unit.operator.live import deployment_status, live, pod, waiting
from unit.operator.world import World

from kstatus import health, violations
from riskpredictor_operator.core import api, reasons
from riskpredictor_operator.core.api import Resource
from riskpredictor_operator.status_writer import PROGRESS_SECONDS

CREATE = ["apply Deployment", "apply Service", "apply HorizontalPodAutoscaler"]
STATUS = "patch_status RiskPredictor"

each_child = pytest.mark.parametrize("resource", api.CHILDREN, ids=lambda r: r.kind)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_new_predictor_costs_three_applies_and_one_status(world: World) -> None:
    world.declare()
    await world.sync()
    await world.reconcile()
    assert world.take_writes() == [*CREATE, STATUS]
    assert world.reason() == reasons.ROLLING_OUT
    assert world.live(api.DEPLOYMENT)["spec"]["replicas"] == 2


async def test_the_second_pass_writes_nothing(world: World) -> None:
    world.declare()
    await world.sync()
    await world.reconcile()
    world.take_writes()
    await world.reconcile()
    assert world.take_writes() == []


async def test_a_settled_predictor_is_ready_and_asks_for_no_further_look(world: World) -> None:
    world.declare()
    await world.settle()
    assert await world.reconcile() is None
    assert world.take_writes() == []
    body = world.live(api.RISKPREDICTOR)
    assert (health(body), violations(body)) == ("Current", [])
    assert world.status["servingVersion"] == "v1"


@pytest.mark.parametrize("spec", [{}, {"replicas": 3}, {"suspend": True}], ids=repr)
async def test_a_restart_of_a_settled_cluster_writes_nothing(world: World, spec: Object) -> None:
    world.declare()
    await world.settle()
    world.declare(**spec)
    await world.settle(spec.get("replicas", 2))
    world.restart()
    await world.sync()
    assert await world.reconcile() is None
    assert world.take_writes() == []


async def test_spec_and_metadata_of_a_predictor_are_never_written(world: World) -> None:
    declared = world.declare()
    await world.settle()
    stored = world.live(api.RISKPREDICTOR)
    assert without(stored, "status") == without(
        changed(declared, stored["metadata"]["resourceVersion"], "metadata", "resourceVersion"),
        "status",
    )


@each_child
async def test_a_deleted_child_is_made_again(world: World, resource: Resource) -> None:
    world.declare()
    await world.settle()
    world.cluster.remove(resource, KEY)
    await world.sync()
    await world.reconcile()
    assert f"apply {resource.kind}" in world.take_writes()
    assert KEY in world.cluster.objects[resource]


@each_child
async def test_a_changed_child_is_repaired_by_one_write(world: World, resource: Resource) -> None:
    world.declare()
    await world.settle()
    world.cluster.scale(KEY, 3)
    world.pods_up(3)
    await world.sync()
    await world.reconcile()
    world.take_writes()
    world.edit(resource, lambda body: body["metadata"]["labels"].clear())
    await world.sync()
    await world.reconcile()
    assert [word for word in world.take_writes() if word != STATUS] == [f"apply {resource.kind}"]
    assert world.live(resource)["metadata"]["labels"]


async def test_a_new_version_rolls_out_and_keeps_the_autoscalers_number(world: World) -> None:
    world.declare()
    await world.settle()
    world.cluster.scale(KEY, 5)
    world.declare(modelVersion="v2")
    await world.sync()
    await world.reconcile()
    assert world.take_writes() == ["apply Deployment", STATUS]
    assert world.live(api.DEPLOYMENT)["spec"]["replicas"] == 5
    assert world.reason() == reasons.ROLLING_OUT


async def test_a_port_that_somebody_renumbered_is_mended(world: World) -> None:
    world.declare()
    await world.settle()
    world.edit(api.SERVICE, lambda body: body["spec"]["ports"][0].update(port=81))
    await world.sync()
    await world.reconcile()
    assert world.take_writes() == ["change Service", "apply Service"]
    assert [port["port"] for port in world.live(api.SERVICE)["spec"]["ports"]] == [80]


class TestSwitchBetweenFixedAndAutoscaled:
    async def test_to_the_autoscaler(self, world: World) -> None:
        world.declare(replicas=4)
        await world.settle(4)
        world.declare()
        await world.sync()
        await world.reconcile()
        assert world.take_writes() == [
            "apply Deployment for hand-over",
            "apply Deployment",
            "apply HorizontalPodAutoscaler",
            STATUS,
        ]
        assert world.live(api.DEPLOYMENT)["spec"]["replicas"] == 4

    async def test_to_a_fixed_number(self, world: World) -> None:
        world.declare()
        await world.settle()
        world.cluster.scale(KEY, 5)
        world.declare(replicas=3)
        await world.sync()
        await world.reconcile()
        assert world.take_writes()[:2] == ["delete HorizontalPodAutoscaler", "apply Deployment"]
        assert world.live(api.DEPLOYMENT)["spec"]["replicas"] == 3
        assert KEY not in world.cluster.objects[api.AUTOSCALER]

    async def test_the_number_never_falls_on_the_way(self, world: World) -> None:
        world.declare(replicas=4)
        await world.settle(4)
        seen: list[int] = []
        world.cluster.on_call = lambda _: seen.append(
            world.live(api.DEPLOYMENT)["spec"]["replicas"]
        )
        for version in ("v2", "v3"):
            world.declare(modelVersion=version)
            await world.sync()
            await world.reconcile()
        assert set(seen) == {4}

    async def test_the_autoscaler_scales_in_mid_switch(self, world: World) -> None:
        """Its number wins: the hand-over conflicts, and the next pass starts from it."""
        world.declare()
        await world.settle()
        world.declare(modelVersion="v2")
        await world.sync()

        def scale(call: Call) -> None:
            if call.manager == api.HANDOVER_MANAGER:
                world.cluster.on_call = lambda _: None
                world.cluster.scale(KEY, 5)

        world.cluster.on_call = scale
        with pytest.raises(Exception, match="Conflict"):
            await world.reconcile()
        await world.reconcile()
        assert world.live(api.DEPLOYMENT)["spec"]["replicas"] == 5

    async def test_zero_pods_are_repaired(self, world: World) -> None:
        world.declare(minReplicas=3)
        await world.settle(3)
        world.cluster.scale(KEY, 0)
        await world.sync()
        await world.reconcile()
        assert "apply Deployment for hand-over" in world.take_writes()
        assert world.live(api.DEPLOYMENT)["spec"]["replicas"] == 3


class TestGone:
    async def test_an_unknown_predictor_is_nothing_to_do(self, world: World) -> None:
        assert await world.reconcile() is None
        assert world.cluster.calls == []

    async def test_a_predictor_in_deletion_gets_no_writes(self, world: World) -> None:
        world.declare()
        world.edit(api.RISKPREDICTOR, lambda b: b["metadata"].update(deletionTimestamp=NOW))
        await world.sync()
        assert await world.reconcile() is None
        assert world.take_writes() == []

    async def test_no_child_is_made_for_one_that_was_deleted_unseen(self, world: World) -> None:
        world.declare()
        await world.sync()
        world.cluster.remove(api.RISKPREDICTOR, KEY)
        await world.reconcile()
        assert world.take_writes() == []
        assert world.cache.get(api.RISKPREDICTOR, KEY) is None

    async def test_nor_for_one_whose_deletion_has_begun_unseen(self, world: World) -> None:
        world.declare()
        await world.sync()
        world.edit(api.RISKPREDICTOR, lambda b: b["metadata"].update(deletionTimestamp=NOW))
        await world.reconcile()
        assert world.take_writes() == []

    async def test_a_namesake_made_meanwhile_is_looked_at_at_once(self, world: World) -> None:
        """Its own event finds the cache up to date already, so nothing else would queue it."""
        world.declare()
        await world.sync()
        world.cluster.remove(api.RISKPREDICTOR, KEY)
        world.cluster.store(api.RISKPREDICTOR, predictor(uid="another"))
        assert await world.reconcile() == 0.0
        assert world.take_writes() == []
        await world.reconcile()
        assert world.take_writes() == [*CREATE, STATUS]
        owner = world.live(api.SERVICE)["metadata"]["ownerReferences"][0]
        assert owner["uid"] == "another"


class TestChangedInMidPass:
    @pytest.mark.parametrize("spec", [{}, {"replicas": "three"}], ids=["usable", "unusable"])
    async def test_a_spec_that_arrives_with_the_answer_to_a_write_is_not_lost(
        self, world: World, spec: Object
    ) -> None:
        """The answer makes the cache as new as the event, so the event queues nothing."""
        world.cluster.store(api.RISKPREDICTOR, predictor())
        world.edit(api.RISKPREDICTOR, lambda b: b["spec"].update(spec))
        await world.sync()

        def edit(call: Call) -> None:
            if call.verb == "patch_status":
                world.cluster.on_call = lambda _: None
                world.declare(modelVersion="v2")

        world.cluster.on_call = edit
        assert await world.reconcile() == 0.0
        await world.reconcile()
        assert world.status["observedGeneration"] == world.live(api.RISKPREDICTOR)["metadata"][
            "generation"
        ]  # fmt: skip
        assert world.status["image"] == "health-predictor:v2"


class TestNotOwned:
    @each_child
    async def test_a_foreign_child_is_not_touched(self, world: World, resource: Resource) -> None:
        foreign = live(resource, manifests(predictor())[resource])
        foreign["metadata"] |= {"labels": {}, "ownerReferences": []}
        kept = world.cluster.store(resource, foreign)
        world.declare()
        await world.sync()
        assert await world.reconcile() == 30.0
        assert world.live(resource) == kept
        assert world.reason() == reasons.NOT_OWNED
        ready = next(c for c in world.status["conditions"] if c["type"] == "Ready")
        assert f"{resource.kind} shop/risk" in ready["message"]
        # An autoscaler of ours would scale a foreign Deployment: it finds its target by name.
        others = {"apply Service"} if resource == api.DEPLOYMENT else set(CREATE)
        made = [word for word in CREATE if word in others and resource.kind not in word]
        assert sorted(world.take_writes()) == sorted([*made, STATUS])

    async def test_once_it_is_out_of_the_way_the_child_is_made(self, world: World) -> None:
        foreign = live(api.SERVICE, manifests(predictor())[api.SERVICE])
        foreign["metadata"] |= {"labels": {}, "ownerReferences": []}
        world.cluster.store(api.SERVICE, foreign)
        world.declare()
        await world.settle()
        assert world.reason() == reasons.NOT_OWNED
        world.cluster.remove(api.SERVICE, KEY)
        await world.reconcile()
        assert world.take_writes() == ["apply Service", STATUS]
        assert world.reason() == reasons.READY

    async def test_an_earlier_namesakes_child_is_waited_for(self, world: World) -> None:
        world.declare()
        await world.settle()
        world.set_owner(api.DEPLOYMENT, "earlier")
        await world.sync()
        assert await world.reconcile() == 30.0, "its deletion may go unseen if it lost its label"
        assert world.take_writes() == [STATUS]
        assert world.reason() == reasons.WAITING_FOR_DELETION


class TestSuspend:
    async def test_children_are_left_alone_and_the_status_says_so(self, world: World) -> None:
        world.declare()
        await world.settle()
        world.declare(suspend=True, modelVersion="v2")
        world.edit(api.SERVICE, lambda body: body["metadata"]["labels"].clear())
        world.cluster.remove(api.AUTOSCALER, KEY)
        await world.sync()
        assert await world.reconcile() is None
        assert world.take_writes() == [STATUS]
        assert world.reason() == reasons.SUSPENDED

    async def test_afterwards_everything_is_made_up_for(self, world: World) -> None:
        world.declare(suspend=True)
        await world.sync()
        await world.reconcile()
        world.declare()
        await world.sync()
        world.take_writes()
        await world.reconcile()
        assert world.take_writes() == [*CREATE, STATUS]


class TestInvalidSpec:
    async def test_it_is_told_and_no_child_is_touched(self, world: World) -> None:
        world.declare()
        await world.settle()
        world.edit(api.RISKPREDICTOR, lambda body: body["spec"].pop("maxReplicas"))
        await world.sync()
        assert await world.reconcile() == 30.0
        assert world.take_writes() == [STATUS]
        assert world.reason() == reasons.INVALID_SPEC
        assert world.status["servingVersion"] == "v1"
        await world.reconcile()
        assert world.take_writes() == []

    async def test_mended_it_is_ready_again(self, world: World) -> None:
        world.declare()
        await world.settle()
        world.edit(api.RISKPREDICTOR, lambda body: body["spec"].pop("maxReplicas"))
        await world.sync()
        await world.reconcile()
        world.declare()
        await world.settle()
        assert world.reason() == reasons.READY


class TestEvents:
    def told(self, world: World) -> list[str]:
        return [f"{event['type']} {event['reason']}" for event in world.cluster.events]

    async def test_one_for_each_change_of_readys_reason(self, world: World) -> None:
        world.declare()
        await world.settle()
        for _ in range(3):
            await world.reconcile()
        assert self.told(world) == ["Normal RollingOut", "Normal Ready"]
        world.declare(modelVersion="v2")
        await world.settle()
        assert self.told(world)[2:] == ["Normal RollingOut", "Normal Ready"]

    async def test_it_names_the_predictor(self, world: World) -> None:
        world.declare()
        await world.settle()
        about = world.cluster.events[0]["involvedObject"]
        assert about == {
            "apiVersion": "healthtech.dev/v1alpha1", "kind": "RiskPredictor", "name": "risk",
            "namespace": "shop", "uid": "uid-of-risk",
        }  # fmt: skip

    async def test_a_restart_tells_nothing_twice(self, world: World) -> None:
        world.declare()
        await world.settle()
        world.restart()
        await world.settle()
        assert self.told(world) == ["Normal RollingOut", "Normal Ready"]


class TestNextLook:
    async def look(self, world: World, its_pod: Object, waited: int) -> float | None:
        world.declare()
        await world.sync()
        await world.reconcile()
        world.cluster.store(api.POD, its_pod)
        status = deployment_status(1, available=0)
        world.edit(api.DEPLOYMENT, lambda body: body.update(status=status))
        world.time += datetime.timedelta(seconds=waited)
        await world.sync()
        return await world.reconcile()

    @pytest.mark.parametrize(
        ("waited", "pause"), [(2, 2.0), (4, 2.0), (20, 5.0), (60, 15.0), (9999, 15.0)]
    )
    async def test_pods_that_are_not_up_are_looked_at_again_less_and_less_often(
        self, world: World, waited: int, pause: float
    ) -> None:
        assert await self.look(world, pod(), waited) == pause

    async def test_mere_progress_is_written_at_most_once_a_second(self, world: World) -> None:
        again = await self.look(world, pod(), 0)
        writes = world.cluster.calls.count(Call("patch_status", "RiskPredictor"))
        assert again == PROGRESS_SECONDS
        world.time += datetime.timedelta(seconds=PROGRESS_SECONDS)
        await world.reconcile()
        assert world.cluster.calls.count(Call("patch_status", "RiskPredictor")) == writes + 1
        assert world.status["replicas"] == 1

    async def test_the_pods_trouble_is_told(self, world: World) -> None:
        await self.look(world, pod(state=waiting("ErrImagePull")), 0)
        assert world.reason() == reasons.IMAGE_PULL_FAILED

    async def test_pods_of_other_predictors_are_not_looked_at(self, world: World) -> None:
        other = pod(state=waiting("ErrImagePull"))
        other["metadata"]["labels"][api.LABEL_PREDICTOR] = "other"
        await self.look(world, other, 0)
        assert world.reason() == reasons.ROLLING_OUT

    async def test_pods_of_a_settled_predictor_are_not_listed(self, world: World) -> None:
        world.declare()
        await world.settle()
        await world.reconcile()
        assert Call("list", "Pod") not in world.cluster.calls


async def test_a_status_field_that_no_longer_holds_is_removed(world: World) -> None:
    world.declare()
    await world.settle()

    def down(body: Any) -> None:
        body["status"] = deployment_status(2, available=0)

    world.edit(api.DEPLOYMENT, down)
    await world.sync()
    await world.reconcile()
    assert "servingVersion" not in world.status
