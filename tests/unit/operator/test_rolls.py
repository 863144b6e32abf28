"""What the operator itself changes about the pods reaches a few predictors at a time."""

from __future__ import annotations

import pytest
from unit.operator.builders import KEY, Object, changed
from unit.operator.live import deployment_status, pod, waiting
from unit.operator.world import World

from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Key
from riskpredictor_operator.core.induced import is_rolling
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.rollout_limiter import Rolls

OTHER = RenderOptions(image_repository="registry.example/health-predictor")
A, B, C = (Key("shop", name) for name in "abc")
IMAGE = ("spec", "template", "spec", "containers", 0, "image")


def image(world: World) -> str:
    return str(world.live(api.DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]["image"])


class TestPlaces:
    def test_so_many_are_admitted_and_the_next_ones_wait_in_order(self) -> None:
        woken: list[Key] = []
        rolls = Rolls(1, woken.append)
        assert [rolls.admit(key) for key in (A, B, C)] == [True, False, False]
        rolls.done(A)
        assert woken == [B]
        assert rolls.admit(B)
        rolls.done(B)
        assert woken == [B, C]

    def test_who_is_admitted_stays_so(self) -> None:
        rolls = Rolls(1, lambda _: None)
        assert rolls.admit(A)
        assert rolls.admit(A)

    def test_who_never_comes_up_keeps_the_place(self) -> None:
        rolls = Rolls(1, lambda _: None)
        rolls.admit(A)
        assert not any(rolls.admit(B) for _ in range(100))

    def test_those_under_way_at_a_restart_count(self) -> None:
        rolls = Rolls(1, lambda _: None)
        rolls.recover([A])
        assert not rolls.admit(B)
        rolls.done(A)
        assert rolls.admit(B)

    def test_who_is_woken_and_needs_no_place_wakes_the_next(self) -> None:
        """Its spec was changed meanwhile, or it is gone: the free place is the next one's."""
        woken: list[Key] = []
        rolls = Rolls(1, woken.append)
        assert [rolls.admit(key) for key in (A, B, C)] == [True, False, False]
        rolls.done(A)
        rolls.done(B)
        assert woken == [B, C]

    def test_who_need_not_wait_any_more_wakes_the_next(self) -> None:
        woken: list[Key] = []
        rolls = Rolls(1, woken.append)
        for key in (A, B, C):
            rolls.admit(key)
        rolls.done(A)
        rolls.withdraw(B)
        assert woken == [B, C]
        assert not rolls.waits(B)

    def test_who_waits_and_goes_frees_nothing(self) -> None:
        rolls = Rolls(1, lambda _: None)
        rolls.admit(A)
        rolls.admit(B)
        rolls.done(B)
        assert not rolls.admit(C)


class TestPasses:
    @pytest.fixture
    async def world(self) -> World:
        """A settled predictor, and an operator that renders it otherwise; all places are taken."""
        world = World()
        world.declare()
        await world.settle()
        world.options = OTHER
        world.restart()
        await world.sync()
        assert world.rolls.admit(A)
        return world

    async def test_it_waits_and_stays_ready(self, world: World) -> None:
        before = image(world)
        assert await world.reconcile() is None
        assert world.take_writes() == []
        assert image(world) == before
        assert world.reason() == "Ready"

    async def test_what_an_operator_leaves_out_waits_too(self, world: World) -> None:
        """Nothing is missing in the Deployment as it is, and yet its pods would be replaced."""

        def applied_more(body: Object) -> None:
            container = body["spec"]["template"]["spec"]["containers"][0]
            container["env"] = [*container.get("env", []), {"name": "OLD", "value": "1"}]
            body["metadata"]["annotations"][api.ANNOTATION_HASH] = "of-an-older-operator"

        world.options = RenderOptions()
        world.restart()
        world.edit(api.DEPLOYMENT, applied_more)
        world.pods_up(2)
        await world.sync()
        assert world.rolls.admit(A)
        await world.reconcile()
        assert world.take_writes() == []

    async def test_a_predictor_that_scales_waits_too(self, world: World) -> None:
        world.cluster.scale(KEY, 4)
        await world.sync()
        await world.reconcile()
        assert world.reason() != "Ready"
        world.take_writes()
        await world.sync()
        await world.reconcile()
        assert "apply Deployment" not in world.take_writes()

    async def test_pods_that_do_not_come_up_are_given_the_change_at_once(self) -> None:
        world = World()
        world.declare()
        await world.sync()
        await world.reconcile()
        world.cluster.store(api.POD, pod(state=waiting("ImagePullBackOff")))
        world.edit(
            api.DEPLOYMENT, lambda body: body.update(status=deployment_status(2, available=0))
        )
        await world.sync()
        await world.reconcile()
        assert world.reason() == "ImagePullFailed"
        world.options = OTHER
        world.restart()
        await world.sync()
        world.rolls.admit(A)
        await world.reconcile()
        assert image(world).startswith("registry.example/")

    async def test_it_rolls_when_there_is_a_place(self, world: World) -> None:
        await world.reconcile()
        world.queue.add(KEY)
        assert await world.queue.get() == KEY
        world.queue.done(KEY)
        world.rolls.done(A)
        assert await world.queue.get() == KEY, "it is woken"
        await world.reconcile()
        assert image(world).startswith("registry.example/")
        assert not world.rolls.admit(B), "it has the place until it has settled"
        world.pods_up(2)
        await world.sync()
        await world.reconcile()
        assert world.rolls.admit(B)

    async def test_what_the_user_declares_never_waits(self, world: World) -> None:
        world.declare(modelVersion="v2")
        await world.sync()
        await world.reconcile()
        assert image(world) == "registry.example/health-predictor:v2"

    async def test_what_somebody_changed_by_hand_is_repaired_at_once(self) -> None:
        world = World()
        world.declare()
        await world.settle()
        world.rolls.admit(A)
        world.edit(api.DEPLOYMENT, lambda body: body.update(changed(body, "other:1", *IMAGE)))
        await world.sync()
        await world.reconcile()
        assert image(world) == "health-predictor:v1"

    async def test_other_children_do_not_wait(self, world: World) -> None:
        world.edit(api.SERVICE, lambda body: body["metadata"]["labels"].update(app="x"))
        await world.sync()
        await world.reconcile()
        assert world.take_writes() == ["apply Service"]

    async def test_a_suspended_one_takes_no_place(self, world: World) -> None:
        world.rolls.done(A)
        world.declare(suspend=True)
        await world.sync()
        await world.reconcile()
        assert world.rolls.admit(B)

    async def test_a_deleted_one_gives_its_place_back(self, world: World) -> None:
        world.rolls.done(A)
        await world.reconcile()
        assert not world.rolls.admit(B)
        del world.cluster.objects[api.RISKPREDICTOR][KEY]
        await world.sync()
        await world.reconcile()
        assert world.rolls.admit(B)


@pytest.mark.parametrize(
    ("status", "rolling"),
    [
        ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2}, False),
        ({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1}, True),
        ({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}, True),
        ({}, True),
        (
            {
                "observedGeneration": 2, "replicas": 3, "updatedReplicas": 1,
                "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}],
            },
            False,
        ),
    ],
)  # fmt: skip
def test_a_deployment_rolls_while_its_pods_are_being_replaced(
    status: Object, rolling: bool
) -> None:
    assert is_rolling({"metadata": {"generation": 2}, "status": status}) is rolling
    assert not is_rolling(None)
