"""Specification of copies while a model changes step by step: of the stable model and of the
candidate, whatever the spec declares, so that no step and no way back needs the store."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from unit.operator.builders import Object, declared
from unit.operator.eventually import eventually
from unit.operator.harness import Harness
from unit.operator.live_objects import deployment_status, live, pod
from unit.operator.models import digest_of, model
from unit.operator.test_candidate_manifests import IN_IMAGE, from_store, trial
from unit.operator.test_model_copier import config_map, name_of

from riskpredictor_operator.core import api, pods, slots
from riskpredictor_operator.core.manifests import render
from riskpredictor_operator.core.model_copy import SIZE_LIMIT, Wanted, is_intact, wanted_of
from riskpredictor_operator.core.release import Release, Serving
from riskpredictor_operator.core.rollout import models_at_hand

V1, V2 = model("v1"), model("v2")
D1, D2 = digest_of(V1), digest_of(V2)
STABLE, CANDIDATE = from_store("v1", D1), from_store("v2", D2)
ADDRESS = "10.0.0.1"
BOTH = Serving(STABLE, trial(CANDIDATE))
SIGNATURE = {"publicKey": {"configMap": "keys", "key": "release.pub"}}


class Trial(Harness):
    """A predictor with a ready pod; the spec declares the candidate, or something else yet."""

    async def serve(
        self, serving: Serving, files: Object | None = None, candidate: Object | None = None,
        **spec: Any,
    ) -> None:  # fmt: skip
        """Have a pod made of this that hands out these files, and copies asked for."""
        self.declare(modelVersion="v2", **spec)
        body = live(api.DEPLOYMENT, render(declared(), serving).deployment)
        self.deployment = {**body, "status": deployment_status(2)}
        self.cluster.store(api.DEPLOYMENT, self.deployment)
        tried = serving.candidate.release if serving.candidate else Release("", "", None)
        its_pod = pod(
            ready=True, podIP=ADDRESS, version=serving.stable.version,
            digest=serving.stable.digest, candidate=tried.version, candidate_digest=tried.digest,
        )  # fmt: skip
        self.cluster.store(api.POD, {**its_pod, "metadata": {**its_pod["metadata"], "uid": "x"}})
        self.pods.files = {ADDRESS: files} if files else {}
        self.pods.candidates = {ADDRESS: candidate} if candidate else {}
        await self.sync()
        await self.ask(*wanted_of(serving))

    async def ask(self, *models: Wanted) -> None:
        rp = declared(modelVersion="v2")
        self.copier.ask(rp, models)
        await eventually(lambda: not self.copier._tasks)
        self.outcome = self.copier.outcome(rp)

    def later(self, seconds: float) -> None:
        self.time += datetime.timedelta(seconds=seconds)

    @property
    def copies(self) -> dict[str, Object]:
        """The ConfigMaps, by name."""
        return {key.name: body for key, body in self.cluster.objects[api.CONFIG_MAP].items()}


async def test_both_models_of_a_pod_are_copied() -> None:
    scene = Trial()
    await scene.serve(BOTH, V1, V2)
    assert set(scene.copies) == {name_of(D1), name_of(D2)}
    assert all(is_intact(scene.copies[name_of(digest)], digest) for digest in (D1, D2))
    assert scene.outcome is not None
    assert scene.outcome.states == {D1: "Kept", D2: "Kept"}
    assert scene.outcome.copies == (D1, D2)


async def test_a_candidate_is_not_taken_from_where_the_stable_model_is() -> None:
    scene = Trial()
    await scene.serve(BOTH, V2, V1)
    assert scene.copies == {}


async def test_a_candidate_beside_a_model_in_an_image_is_copied_alone() -> None:
    scene = Trial()
    await scene.serve(Serving(IN_IMAGE, trial(CANDIDATE)), None, V2)
    assert set(scene.copies) == {name_of(D2)}


async def test_the_stable_model_is_copied_while_the_candidate_is_not_there_yet() -> None:
    """It is tried again, and until then the stable one is not copied anew."""
    scene = Trial()
    await scene.serve(BOTH, V1)
    assert set(scene.copies) == {name_of(D1)}
    assert scene.outcome is not None
    assert scene.outcome.states == {D1: "Kept", D2: ""}
    assert scene.outcome.copies == (D1,)
    uid = scene.copies[name_of(D1)]["metadata"]["uid"]
    scene.pods.candidates = {ADDRESS: V2}
    await scene.ask(*wanted_of(BOTH))
    assert set(scene.copies) == {name_of(D1)}, "not at every pass"
    scene.later(10)
    await scene.ask(*wanted_of(BOTH))
    assert set(scene.copies) == {name_of(D1), name_of(D2)}
    assert scene.copies[name_of(D1)]["metadata"]["uid"] == uid


async def test_a_candidate_that_hands_out_no_card_is_tried_again() -> None:
    """404: its folder holds an error, or the server is of an older image."""
    scene = Trial()
    await scene.serve(BOTH, V1, {"other": b""})
    assert set(scene.copies) == {name_of(D1)}
    scene.pods.candidates = {ADDRESS: V2}
    scene.later(10)
    await scene.ask(*wanted_of(BOTH))
    assert set(scene.copies) == {name_of(D1), name_of(D2)}


async def test_a_promotion_needs_no_new_copy() -> None:
    scene = Trial()
    await scene.serve(BOTH, V1, V2)
    uids = {name: body["metadata"]["uid"] for name, body in scene.copies.items()}
    await scene.serve(Serving(CANDIDATE))
    assert scene.outcome is not None
    assert scene.outcome.states == {D2: "Kept"}
    assert scene.outcome.copies == (D2, D1)
    assert {name: body["metadata"]["uid"] for name, body in scene.copies.items()} == uids


async def test_an_abort_keeps_the_stable_models_copy_though_another_is_declared() -> None:
    scene = Trial()
    source = {"pvc": {"claimName": "models"}}
    await scene.serve(BOTH, V1, V2)
    await scene.serve(Serving(STABLE, aborted=("00c0ffee0001",)),
                      model={"digest": D2, "source": source})  # fmt: skip
    assert scene.outcome is not None
    assert scene.outcome.states == {D1: "Kept"}
    assert scene.outcome.copies == (D1, D2)
    scene.cluster.remove(api.CONFIG_MAP, config_map(D1))
    scene.pods.files = {ADDRESS: V1}
    scene.later(700)
    await scene.ask(*wanted_of(Serving(STABLE)))
    assert is_intact(scene.copies[name_of(D1)], D1)


async def test_each_model_may_demand_its_own_signature() -> None:
    scene = Trial()
    signed = from_store("v2", D2, signature=SIGNATURE)
    serving = Serving(STABLE, trial(signed))
    await scene.serve(serving, V1, V2)
    assert set(scene.copies) == {name_of(D1)}
    scene.pods.candidates = {ADDRESS: {**V2, "model.sig": b"signed"}}
    scene.later(10)
    await scene.ask(*wanted_of(serving))
    assert set(scene.copies[name_of(D2)]["binaryData"]) == {*V2, "model.sig"}
    assert "model.sig" not in scene.copies[name_of(D1)]["binaryData"]


async def test_a_candidate_that_is_too_large_costs_the_stable_model_nothing() -> None:
    large = model("v2", model_joblib=b"x" * SIZE_LIMIT)
    release = from_store("v2", digest_of(large))
    scene = Trial()
    await scene.serve(Serving(STABLE, trial(release)), V1, large)
    assert set(scene.copies) == {name_of(D1)}
    assert scene.outcome is not None
    assert scene.outcome.states == {D1: "Kept", digest_of(large): "TooLarge"}
    (event,) = scene.cluster.events
    assert digest_of(large) in event["message"]


async def test_after_a_restart_the_copies_of_both_are_found() -> None:
    scene = Trial()
    await scene.serve(BOTH, V1, V2)
    scene.restart()
    await scene.serve(BOTH)
    assert scene.outcome is not None
    assert scene.outcome.states == {D1: "Kept", D2: "Kept"}
    assert len(scene.copies) == 2


# ---- which models there are to copy ----


def at_hand(serving: Serving, *its_pods: Object, settled: bool = False) -> set[str]:
    body = live(api.DEPLOYMENT, render(declared(), serving).deployment)
    body["spec"]["replicas"] = 2
    body["status"] = deployment_status(2, updated=2 if settled else 1)
    return {each.digest for each in models_at_hand(declared(), serving, body, its_pods)}


def test_of_a_settled_deployment_it_is_the_templates() -> None:
    assert at_hand(BOTH, settled=True) == {D1, D2}
    assert at_hand(Serving(IN_IMAGE), settled=True) == set()


@pytest.mark.parametrize(
    ("ready", "found"), [(True, {D1, D2}), (False, {D1})], ids=["answers", "starts"]
)
def test_while_pods_are_replaced_it_is_what_ready_pods_have(ready: bool, found: set[str]) -> None:
    old = pod("old", digest=D1, ready=True)
    new = pod("new", digest=D1, candidate="v2", candidate_digest=D2, ready=ready)
    assert at_hand(BOTH, old, new) == found


def test_what_only_pods_of_before_have_is_not_asked_for() -> None:
    """The former candidate, after an abort; a copy that there is stays."""
    old = pod("old", digest=D1, candidate="v2", candidate_digest=D2, ready=True)
    assert at_hand(Serving(STABLE), old) == {D1}


def test_without_a_deployment_there_is_none() -> None:
    assert models_at_hand(declared(), BOTH, None, ()) == ()


def test_a_model_that_is_stable_and_candidate_is_taken_from_where_it_answers() -> None:
    both = pod(digest=D1, candidate="v1-again", candidate_digest=D1)
    assert pods.digests_of(both) == {D1: slots.STABLE}
