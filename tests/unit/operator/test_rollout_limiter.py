"""What the operator itself changes about the pods reaches a few predictors at a time."""

from __future__ import annotations

import pytest
from unit.operator.builders import KEY, Object, changed
from unit.operator.harness import Harness
from unit.operator.live_objects import deployment_status, pod, waiting

from riskpredictor_operator.core import api
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.kube import Key
from riskpredictor_operator.rollout_limiter import RolloutLimiter

OTHER = RenderOptions(image_repository="registry.example/health-predictor")
A, B, C = (Key("shop", name) for name in "abc")
IMAGE = ("spec", "template", "spec", "containers", 0, "image")


def image(harness: Harness) -> str:
    return str(harness.live(api.DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]["image"])


class TestSlots:
    @pytest.fixture
    def woken(self) -> list[Key]:
        return []

    @pytest.fixture
    def limiter(self, woken: list[Key]) -> RolloutLimiter:
        return RolloutLimiter(1, woken.append)

    def test_so_many_are_admitted_and_the_next_ones_wait_in_order(
        self, limiter: RolloutLimiter, woken: list[Key]
    ) -> None:
        assert [limiter.admit(key) for key in (A, B, C)] == [True, False, False]
        assert limiter.admit(A), "it stays admitted"
        assert not any(limiter.admit(B) for _ in range(100)), "the slot is kept"
        limiter.done(A)
        assert woken == [B]
        assert limiter.admit(B)
        limiter.done(B)
        assert woken == [B, C]

    def test_those_under_way_at_a_restart_count(self, limiter: RolloutLimiter) -> None:
        limiter.recover([A])
        assert not limiter.admit(B)
        limiter.done(A)
        assert limiter.admit(B)

    @pytest.mark.parametrize("how", ["done", "withdraw"])
    def test_one_that_is_woken_and_needs_no_slot_wakes_the_next(
        self, limiter: RolloutLimiter, woken: list[Key], how: str
    ) -> None:
        """Its spec was changed meanwhile, or it is gone: the free slot is the next one's."""
        for key in (A, B, C):
            limiter.admit(key)
        limiter.done(A)
        getattr(limiter, how)(B)
        assert woken == [B, C]
        assert not limiter.waits(B)

    def test_one_that_goes_while_it_waits_frees_nothing(self, limiter: RolloutLimiter) -> None:
        limiter.admit(A)
        limiter.admit(B)
        limiter.done(B)
        assert not limiter.admit(C)


class TestPasses:
    @pytest.fixture
    async def harness(self) -> Harness:
        """A settled predictor, and an operator that renders it otherwise; all slots are taken."""
        harness = Harness()
        harness.declare()
        await harness.settle()
        harness.options = OTHER
        harness.restart()
        await harness.sync()
        assert harness.limiter.admit(A)
        return harness

    async def test_it_waits_and_stays_ready(self, harness: Harness) -> None:
        before = image(harness)
        assert await harness.reconcile() is None
        assert harness.take_writes() == []
        assert image(harness) == before
        assert harness.reason() == "Ready"

    async def test_what_an_operator_leaves_out_waits_too(self, harness: Harness) -> None:
        """Nothing is missing in the Deployment as it is, and yet its pods would be replaced."""

        def applied_more(body: Object) -> None:
            container = body["spec"]["template"]["spec"]["containers"][0]
            container["env"] = [*container.get("env", []), {"name": "OLD", "value": "1"}]
            body["metadata"]["annotations"][api.ANNOTATION_HASH] = "of-an-older-operator"

        harness.options = RenderOptions()
        harness.restart()
        harness.edit(api.DEPLOYMENT, applied_more)
        harness.pods_up(2)
        await harness.sync()
        assert harness.limiter.admit(A)
        await harness.reconcile()
        assert harness.take_writes() == []

    async def test_a_predictor_that_scales_waits_too(self, harness: Harness) -> None:
        harness.cluster.scale(KEY, 4)
        await harness.synced_pass()
        assert harness.reason() != "Ready"
        harness.take_writes()
        await harness.synced_pass()
        assert "apply Deployment" not in harness.take_writes()

    async def test_pods_that_do_not_come_up_are_given_the_change_at_once(self) -> None:
        harness = Harness()
        harness.declare()
        await harness.synced_pass()
        harness.cluster.store(api.POD, pod(state=waiting("ImagePullBackOff")))
        harness.edit(
            api.DEPLOYMENT, lambda body: body.update(status=deployment_status(2, available=0))
        )
        await harness.synced_pass()
        assert harness.reason() == "ImagePullFailed"
        harness.options = OTHER
        harness.restart()
        await harness.sync()
        harness.limiter.admit(A)
        await harness.reconcile()
        assert image(harness).startswith("registry.example/")

    async def test_it_rolls_when_a_slot_is_free(self, harness: Harness) -> None:
        await harness.reconcile()
        harness.queue.add(KEY)
        assert await harness.queue.get() == KEY
        harness.queue.done(KEY)
        harness.limiter.done(A)
        assert await harness.queue.get() == KEY, "it is woken"
        await harness.reconcile()
        assert image(harness).startswith("registry.example/")
        assert not harness.limiter.admit(B), "it has the slot until it has settled"
        harness.pods_up(2)
        await harness.synced_pass()
        assert harness.limiter.admit(B)

    async def test_what_the_user_declares_never_waits(self, harness: Harness) -> None:
        harness.declare(modelVersion="v2")
        await harness.synced_pass()
        assert image(harness) == "registry.example/health-predictor:v2"

    async def test_what_somebody_changed_by_hand_is_repaired_at_once(self) -> None:
        harness = Harness()
        harness.declare()
        await harness.settle()
        harness.limiter.admit(A)
        harness.edit(api.DEPLOYMENT, lambda body: body.update(changed(body, "other:1", *IMAGE)))
        await harness.synced_pass()
        assert image(harness) == "health-predictor:v1"

    async def test_other_children_do_not_wait(self, harness: Harness) -> None:
        harness.edit(api.SERVICE, lambda body: body["metadata"]["labels"].update(app="x"))
        await harness.synced_pass()
        assert harness.take_writes() == ["apply Service"]

    @pytest.mark.parametrize("suspended", [True, False], ids=["suspended", "deleted"])
    async def test_one_that_is_suspended_or_deleted_gives_its_slot_back(
        self, harness: Harness, suspended: bool
    ) -> None:
        harness.limiter.done(A)
        await harness.reconcile()
        assert not harness.limiter.admit(B)
        if suspended:
            harness.declare(suspend=True)
        else:
            harness.cluster.remove(api.RISKPREDICTOR, KEY)
        await harness.synced_pass()
        assert harness.limiter.admit(B)
