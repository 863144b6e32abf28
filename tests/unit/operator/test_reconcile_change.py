"""Specification of the passes of a model change: what is written, in which order, and how seldom.

``test_change.py`` says which step follows when. Here the pods are objects that answer, and the
status is what the API server keeps of it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY
from unit.operator.builders import KEY, Object, manifests, predictor
from unit.operator.harness import Harness
from unit.operator.live_objects import live
from unit.operator.live_objects import pod as live_pod
from unit.operator.reports import report
from unit.operator.trial import AGREES, FAST, UNDER_TRIAGE, digest, model, times

from kstatus import health, violations
from riskpredictor_operator.core import api, reasons
from riskpredictor_operator.kube import ApiError, Key

STATUS = "patch_status RiskPredictor"
PODS = "pods"
"""A change of the pod template, by an apply or, where something has to go, by a patch."""
HAND_OVER = "apply Deployment for hand-over"
ENOUGH = times(AGREES, 15)
BAD = times(UNDER_TRIAGE, 15)
NOTHING = times(AGREES, 0)
WEBHOOK_DOWN = ApiError(500, "InternalError", "failed calling webhook: connection refused")


class Ward:
    """One RiskPredictor whose pods answer, and whose operator does a pass every ten seconds."""

    def __init__(self) -> None:
        self.harness = Harness()
        self.matrix = NOTHING
        """What each of the two pods has counted."""
        self.written: list[str] = []
        """All writes of children and status since ``forget``."""
        self.phases: list[str] = []
        self.broken: list[str] = []
        """Rules of kstatus that a status broke."""

    async def serve(self, **spec: Any) -> None:
        """Serve v1, settled."""
        self.harness.declare(**{**model("v1"), "rollout": FAST, **spec})
        await self.turns(3)
        self.forget()

    def declare(self, version: str, **spec: Any) -> None:
        """Another model in Git."""
        self.harness.declare(**{**model(version), "rollout": FAST, **spec})

    def forget(self) -> None:
        """Count the writes from now on."""
        self.written, self.phases = [], []

    @property
    def status(self) -> Object:
        return self.harness.status

    @property
    def rollout(self) -> Object:
        """What the status says of the change; empty if nothing is under way."""
        found: Object = self.status.get("rollout") or {}
        return found

    @property
    def template(self) -> Object:
        found: Object = self.harness.live(api.DEPLOYMENT)["spec"]["template"]
        return {**found, "metadata": {k: v for k, v in found["metadata"].items() if v}}

    @property
    def stage(self) -> str:
        """The stage of the pod template; empty without a candidate."""
        annotations = self.template["metadata"].get("annotations") or {}
        return str(annotations.get(api.ANNOTATION_STAGE, ""))

    @property
    def answering(self) -> str:
        """The version whose pods these are."""
        return str(self.template["metadata"]["labels"][api.LABEL_MODEL_VERSION])

    async def turn(self, seconds: float = 10.0) -> None:
        """Controllers make the pods, the pods are asked, and the operator does what is due."""
        harness = self.harness
        harness.time += datetime.timedelta(seconds=seconds)
        if KEY in harness.cluster.objects[api.DEPLOYMENT]:
            self._make_pods()
        await harness.poll()
        await harness.sync()
        try:
            for _ in range(5):
                if await harness.reconcile() != 0.0:
                    break
        finally:
            # The first change of the pods lets go of their number: a matter of test_reconcile.py.
            self.written += [
                PODS if each in ("apply Deployment", "change Deployment") else each
                for each in harness.take_writes()
                if each != HAND_OVER
            ]
            await harness.poll()
        self.phases.append(str(self.rollout.get("phase", "")))
        self.broken += violations(harness.live(api.RISKPREDICTOR))

    async def restart(self) -> None:
        """A new operator process."""
        await self.harness.evidence.close()
        self.harness.restart()

    async def turns(self, count: int, seconds: float = 10.0) -> None:
        for _ in range(count):
            await self.turn(seconds)

    def _make_pods(self) -> None:
        harness = self.harness
        harness.pods_up(2)
        annotations = self.template["metadata"].get("annotations") or {}
        harness.cluster.objects[api.POD].clear()
        harness.pods.pages.clear()
        for number in (1, 2):
            body = live_pod(
                f"risk-{self.stage or self.answering}-{number}".lower(), version=self.answering,
                ready=True, podIP=f"10.0.0.{number}",
            )  # fmt: skip
            body["metadata"] |= {
                "uid": f"uid-{body['metadata']['name']}", "annotations": annotations,
            }  # fmt: skip
            harness.cluster.store(api.POD, body)
            self._let_answer(number, annotations)

    def _let_answer(self, number: int, annotations: Object) -> None:
        if api.ANNOTATION_ROLLOUT_ID not in annotations:
            return
        candidate = annotations[api.ANNOTATION_CANDIDATE_DIGEST]
        version = self.template["metadata"]["labels"][api.LABEL_CANDIDATE_VERSION]
        told = report(
            f"pod-{number}", rollout_id=annotations[api.ANNOTATION_ROLLOUT_ID], matrix=self.matrix,
            stable={"version": self.answering, "digest": digest(self.answering)},
            candidate={"version": version, "digest": candidate, "state": "Comparing", "reason": "",
                       "message": ""},
            errors={"raised": 0, "invalid": 0, "slow": 0},
            brier={"stable": 0.12, "candidate": 0.12},
        )  # fmt: skip
        self.harness.pods.pages[f"10.0.0.{number}"] = {"rollout": json.dumps(told).encode()}

    def statuses(self) -> int:
        """How often the status was written."""
        return self.written.count(STATUS)

    def deployments(self) -> int:
        """How often the pods were changed."""
        return self.written.count(PODS)


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    made = Ward()
    yield made
    await made.harness.evidence.close()


async def at(ward: Ward, step: str) -> None:
    """Let a good v2 come to a step, and the pods of that step up."""
    ward.declare("v2")
    await ward.turn()
    ward.matrix = AGREES
    for count in range(1, 60):
        if ward.rollout.get("step") == step:
            ward.forget()
            return
        ward.matrix = times(AGREES, count)
        await ward.turn()
    raise AssertionError(f"it has not come to {step}: {ward.rollout}")


class TestSteps:
    async def test_a_change_begins_with_one_write_of_the_pods_and_one_of_the_status(
        self, ward: Ward
    ) -> None:
        await ward.serve()
        ward.declare("v2")
        await ward.turn()
        assert ward.written == [PODS, STATUS]
        assert (ward.stage, ward.answering) == ("Shadow", "v1")
        assert (ward.rollout["phase"], ward.rollout["candidate"]["version"]) == ("Shadow", "v2")

    async def test_a_step_is_written_into_the_status_before_the_pods_follow(
        self, ward: Ward
    ) -> None:
        await ward.serve()
        ward.declare("v2")
        await ward.turns(2)
        ward.forget()
        ward.matrix = ENOUGH
        await ward.turn()
        assert ward.written == [STATUS, PODS, STATUS]
        assert (ward.stage, ward.rollout["step"]) == ("Canary-10", "Canary 10%")

    async def test_a_good_model_is_promoted_and_costs_a_write_of_the_pods_a_stage(
        self, ward: Ward
    ) -> None:
        await ward.serve()
        ward.declare("v2")
        for count in range(60):
            ward.matrix = times(AGREES, count)
            await ward.turn()
        assert list(dict.fromkeys(ward.phases)) == ["Shadow", "Canary", "Promoting", ""]
        assert ward.deployments() == 4, "Shadow, 10 %, 50 %, promotion"
        assert ward.status["servingVersion"] == "v2"
        assert ward.harness.reason() == reasons.READY
        assert "rollout" not in ward.status
        assert ward.broken == []

    async def test_an_abort_is_on_record_before_the_pods_follow(self, ward: Ward) -> None:
        await ward.serve()
        before = ward.template
        await at(ward, "Canary 10%")
        ward.matrix = BAD
        await ward.turn()
        assert ward.written[:2] == [STATUS, PODS]
        assert (ward.rollout["phase"], ward.template) == ("Aborted", before)
        annotations = ward.harness.live(api.DEPLOYMENT)["metadata"]["annotations"]
        assert annotations[api.ANNOTATION_ABORTED] == ward.status["aborted"][0]["key"]

    async def test_the_metric_says_that_a_person_has_to_act(self, ward: Ward) -> None:
        def stalled() -> float | None:
            return REGISTRY.get_sample_value(
                "riskpredictor_operator_riskpredictor_stalled",
                {"namespace": KEY.namespace, "name": KEY.name},
            )

        await ward.serve()
        await at(ward, "Shadow")
        assert stalled() == 0
        ward.matrix = BAD
        await ward.turn()
        assert stalled() == 1

    async def test_a_revert_puts_the_pods_back_at_once(self, ward: Ward) -> None:
        await ward.serve()
        before = ward.template
        await at(ward, "Canary 50%")
        ward.declare("v1")
        await ward.turn()
        assert ward.template == before
        assert "rollout" not in ward.status
        assert ward.status["history"][0]["outcome"] == "Reverted"
        await ward.turn()
        assert ward.harness.reason() == reasons.READY

    async def test_an_abort_by_hand_names_the_change_and_no_other(self, ward: Ward) -> None:
        await ward.serve()
        await at(ward, "Canary 10%")

        def annotate(value: str) -> None:
            note = {api.ANNOTATION_ABORT: value}
            ward.harness.edit(api.RISKPREDICTOR, lambda b: b["metadata"].update(annotations=note))

        annotate("0123456789ab")
        await ward.turn()
        assert ward.rollout["phase"] == "Canary"
        annotate(ward.rollout["id"])
        await ward.turn()
        assert (ward.rollout["phase"], ward.stage) == ("Aborted", "")
        ward.declare("v2", rollout={**FAST, "retry": "again"})
        ward.matrix = AGREES
        await ward.turns(2)
        assert ward.rollout["phase"] == "Shadow", "the annotation says nothing about the retry"

    async def test_a_comparison_without_end_leaves_ready_true(self, ward: Ward) -> None:
        shadow = {"modelVersion": "v3", "model": model("v3")["model"]}
        await ward.serve(rollout={}, shadow=shadow)
        ward.matrix = ENOUGH
        await ward.turns(8)
        assert (ward.rollout["phase"], ward.stage, ward.answering) == ("Observing", "Shadow", "v1")
        assert ward.rollout["evidence"]["pairs"] == 3000
        body = ward.harness.live(api.RISKPREDICTOR)
        assert (health(body), ward.broken) == ("Current", [])


class TestHealth:
    """A change under way is InProgress, an aborted one Failed, and no status breaks a rule."""

    async def test_of_each_phase(self, ward: Ward) -> None:
        await ward.serve()

        def now() -> str:
            return health(ward.harness.live(api.RISKPREDICTOR))

        for step in ("Shadow", "Canary 10%", "Canary 50%"):
            await at(ward, step)
            assert now() == "InProgress"
        ward.matrix = BAD
        await ward.turns(3)
        assert (now(), ward.harness.reason()) == ("Failed", reasons.ROLLOUT_ABORTED)
        ward.declare("v1")
        await ward.turns(2)
        assert now() == "Current"
        assert ward.broken == []

    async def test_of_one_that_waits_for_an_approval(self, ward: Ward) -> None:
        await ward.serve()
        rollout = {**FAST, "approval": {"required": True}}
        ward.declare("v2", rollout=rollout)
        for count in range(50):
            ward.matrix = times(AGREES, count)
            await ward.turn()
        assert ward.rollout["phase"] == "AwaitingApproval"
        assert ward.harness.reason() == reasons.AWAITING_APPROVAL
        assert health(ward.harness.live(api.RISKPREDICTOR)) == "InProgress"
        approval = {"required": True, "digest": digest("v2")}
        ward.declare("v2", rollout={**FAST, "approval": approval})
        await ward.turns(3)
        assert (ward.answering, ward.status["history"][0]["approval"]) == ("v2", digest("v2"))
        assert ward.broken == []


class TestNothingStandsInTheWay:
    async def test_a_step_waits_for_no_slot(self, ward: Ward) -> None:
        """The limiter is for roll-outs that nobody asked for."""
        await ward.serve()
        ward.declare("v2")
        await ward.turns(2)
        assert ward.harness.limiter.admit(Key("elsewhere", "risk")), "the only slot is taken"
        ward.matrix = ENOUGH
        await ward.turn()
        assert ward.stage == "Canary-10"

    async def test_another_default_of_the_operator_waits_for_a_slot_all_the_same(
        self, ward: Ward
    ) -> None:
        await ward.serve()
        ward.declare("v2")
        await ward.turns(2)
        assert ward.harness.limiter.admit(Key("elsewhere", "risk"))
        ward.harness.options = type(ward.harness.options)("elsewhere/health-predictor")
        limiter = ward.harness.limiter
        await ward.restart()
        ward.harness.reconciler.limiter = limiter
        before = ward.template
        await ward.turns(2)
        assert ward.template == before

    async def test_a_foreign_child_does_not_hold_up_an_abort(self, ward: Ward) -> None:
        await ward.serve()
        await at(ward, "Canary 10%")
        foreign = live(api.SERVICE, manifests(predictor())[api.SERVICE])
        foreign["metadata"] |= {"labels": {}, "ownerReferences": []}
        ward.harness.cluster.store(api.SERVICE, foreign)
        ward.matrix = BAD
        await ward.turn()
        assert (ward.rollout["phase"], ward.stage) == ("Aborted", "")
        assert ward.harness.reason() == reasons.NOT_OWNED, "who must act on what, comes first"

    @pytest.mark.parametrize(
        "error",
        [ApiError(403, "Forbidden", "exceeded quota: full"), WEBHOOK_DOWN],
        ids=["a quota", "a webhook that is down"],
    )
    async def test_a_child_that_cannot_be_written_does_not_hold_up_an_abort(
        self, ward: Ward, error: ApiError
    ) -> None:
        await ward.serve()
        await at(ward, "Canary 10%")
        ward.harness.cluster.remove(api.SERVICE, KEY)
        ward.harness.cluster.fail("apply", api.SERVICE, error, times=1000)
        ward.matrix = BAD
        for _ in range(3):
            with contextlib.suppress(ApiError):
                await ward.turn()
        assert (ward.rollout["phase"], ward.stage) == ("Aborted", "")

    async def test_the_pods_that_cannot_be_changed_are_tried_again(self, ward: Ward) -> None:
        await ward.serve()
        await at(ward, "Canary 10%")
        ward.harness.cluster.fail("change", api.DEPLOYMENT, WEBHOOK_DOWN)
        ward.matrix = BAD
        with pytest.raises(ApiError):
            await ward.turn()
        assert (ward.rollout["phase"], ward.stage) == ("Aborted", "Canary-10")
        await ward.turn()
        assert ward.stage == ""

    async def test_a_status_that_cannot_be_written_holds_the_pods(self, ward: Ward) -> None:
        """What is not on record is not done."""
        await ward.serve()
        await at(ward, "Canary 10%")
        ward.harness.cluster.fail("patch_status", api.RISKPREDICTOR, WEBHOOK_DOWN)
        ward.matrix = BAD
        with pytest.raises(ApiError):
            await ward.turn()
        assert ward.stage == "Canary-10"
        await ward.turn()
        assert (ward.rollout["phase"], ward.stage) == ("Aborted", "")


class TestSuspended:
    async def test_nothing_moves_until_it_ends(self, ward: Ward) -> None:
        await ward.serve()
        await at(ward, "Canary 10%")
        ward.declare("v2", suspend=True)
        ward.matrix = BAD
        await ward.turns(5)
        assert ward.deployments() == 0
        assert (ward.rollout["phase"], ward.stage) == ("Canary", "Canary-10")
        ward.declare("v2")
        await ward.turns(2)
        assert (ward.rollout["phase"], ward.stage) == ("Aborted", "")

    async def test_a_change_declared_meanwhile_begins_afterwards(self, ward: Ward) -> None:
        await ward.serve(suspend=True)
        ward.declare("v2", suspend=True)
        await ward.turns(3)
        assert KEY not in ward.harness.cluster.objects[api.DEPLOYMENT]
        assert ward.rollout == {}


class TestWritesOfCounts:
    """What the pods count is written seldom, and not at all where nothing changes."""

    async def test_an_aborted_change_writes_nothing(self, ward: Ward) -> None:
        await ward.serve()
        await at(ward, "Canary 10%")
        ward.matrix = BAD
        await ward.turns(3)
        ward.forget()
        await ward.turns(60, 600)
        await ward.restart()
        await ward.turns(3)
        assert ward.written == []

    async def test_a_change_that_waits_writes_its_counts_once_in_six_polls(
        self, ward: Ward
    ) -> None:
        rollout = {**FAST, "shadow": {"minPairs": 500, "minDuration": "2h"}}
        await ward.serve(rollout=rollout)
        ward.declare("v2", rollout=rollout)
        ward.matrix = AGREES
        await ward.turns(10)
        ward.forget()
        for count in range(61, 121):
            ward.matrix = times(AGREES, count)
            await ward.turn()
        assert ward.statuses() == 10
        assert ward.deployments() == 0

    async def test_a_comparison_without_end_writes_its_counts_every_ten_minutes(
        self, ward: Ward
    ) -> None:
        shadow = {"modelVersion": "v3", "model": model("v3")["model"]}
        await ward.serve(rollout={}, shadow=shadow)
        ward.matrix = ENOUGH
        await ward.turns(10)
        ward.forget()
        for count in range(180):
            ward.matrix = times(AGREES, 100 + count)
            await ward.turn()
        assert 2 <= ward.statuses() <= 4

    async def test_a_restart_writes_no_more_than_that(self, ward: Ward) -> None:
        rollout = {**FAST, "shadow": {"minPairs": 500, "minDuration": "2h"}}
        await ward.serve(rollout=rollout)
        ward.declare("v2", rollout=rollout)
        ward.matrix = ENOUGH
        await ward.turns(10)
        ward.forget()
        for _ in range(12):
            await ward.restart()
            await ward.turn()
        assert ward.deployments() == 0
        assert ward.statuses() <= 3
        assert ward.rollout["evidence"]["pairs"] == 3000


class TestWithoutAPolicy:
    async def test_a_change_costs_what_it_cost_and_no_pod_is_asked(self, ward: Ward) -> None:
        await ward.serve(rollout={})
        ward.declare("v2", rollout={})
        await ward.turns(4)
        assert ward.harness.pods.polls == 0
        assert ward.written == [PODS, STATUS, STATUS]
        assert (ward.answering, ward.harness.reason()) == ("v2", reasons.READY)
        assert not {"rollout", "aborted", "history"} & ward.status.keys()
        await ward.harness.sync()
        await ward.harness.reconcile()
        assert ward.harness.cluster.calls == []
