"""Specification of what is told while a model from a store does not come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from unit.operator.builders import NOW, Object, declared, predictor
from unit.operator.live_objects import (
    DEADLINE,
    condition,
    container,
    deployment,
    deployment_status,
    pod,
    terminated,
    unschedulable,
    waiting,
)

from riskpredictor_operator.core import conditions, fetching, pods, reasons
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.core.rollout import rollout_of
from riskpredictor_operator.core.status import Observation, build_status, is_progress

DIGEST, OTHER = "sha256:" + "0a" * 32, "sha256:" + "0b" * 32
LONG_AGO = "2026-03-01T11:50:00Z"
HTTP = {"http": {"url": "https://models.example.com/risk/v2/"}}
MODEL = {"digest": DIGEST, "source": HTTP}


def says(reason: str, message: str) -> str:
    return json.dumps({"reason": reason, "message": message})


def failed(text: str, name: str = "fetch-model", image: str = "run:1") -> Object:
    """An init container that has just ended with this termination message."""
    return container(name, image, state=terminated("Error", 1, text))


def with_init(*init: Object, **rest: Any) -> Object:
    return pod(init=init, **{"digest": DIGEST, **rest})


GONE = says("ModelNotFound", "s3 models/risk/v2/card.json: no such key")


@pytest.mark.parametrize("reason", sorted(reasons.OF_THE_STORE))
def test_the_reason_and_the_stores_words_are_the_fetch_steps(reason: str) -> None:
    found = pods.problem_of(with_init(failed(says(reason, "403 Forbidden"))))
    assert found == Explanation(reason, "403 Forbidden (pod risk-1)")


@pytest.mark.parametrize(
    "state",
    [waiting("CrashLoopBackOff", "back-off 10s"), {"running": {"startedAt": LONG_AGO}}],
    ids=["waiting for its next try", "trying again"],
)
def test_between_two_tries_the_last_one_is_told(state: Object) -> None:
    again = container("fetch-model", state=state, last=terminated("Error", 1, GONE))
    found = pods.problem_of(with_init(again), NOW)
    assert found is not None
    assert found.reason == reasons.MODEL_NOT_FOUND


def test_a_first_try_is_given_time_and_then_named() -> None:
    running = container("fetch-model", state={"running": {"startedAt": LONG_AGO}})
    assert pods.problem_of(with_init(running), LONG_AGO) is None
    found = pods.problem_of(with_init(running), NOW)
    assert found is not None
    assert found.reason == reasons.PODS_BLOCKED
    assert "kubectl logs -c fetch-model" in found.message


@pytest.mark.parametrize(
    "text",
    ["", "panic: no JSON", "[]", "7", '{"reason": "Ready", "message": "all is well"}',
     '{"reason": ["ModelRejected"]}', '{"message": "x"}', GONE[:-5], "[" * 100_000],
    ids=lambda text: repr(text)[:40],
)  # fmt: skip
def test_anything_else_is_a_container_that_keeps_exiting(text: str) -> None:
    found = pods.problem_of(with_init(failed(text)))
    assert found is not None
    assert found.reason == reasons.CRASH_LOOPING
    assert "init container fetch-model of image run:1" in found.message
    assert "an image of a version before spec.model cannot fetch: check spec.image" in found.message


def test_another_init_container_cannot_speak_for_the_store() -> None:
    found = pods.problem_of(with_init(failed(GONE, name="mesh-init")))
    assert found is not None
    assert found.reason == reasons.CRASH_LOOPING


def test_the_predictor_cannot_speak_for_the_store() -> None:
    body = pod(digest=DIGEST, state=terminated("Error", 1, GONE))
    found = pods.problem_of(body)
    assert found is not None
    assert found.reason == reasons.CRASH_LOOPING


def test_a_message_is_one_line_of_bounded_length() -> None:
    told = fetching.told(says("ModelFetchFailed", "503\n<html>\t" + "x" * 5000))
    assert told is not None
    assert told.message.startswith("503 <html> xxx")
    assert len(told.message) == fetching.MESSAGE_LIMIT


NOT_TEXT = {
    "half a character": r"\ud800",
    "a terminal's colour": r"\u001b[31m",
    "a zero byte": r"\u0000",
    "right to left": r"\u202e",
}


@pytest.mark.parametrize("code", NOT_TEXT.values(), ids=NOT_TEXT)
def test_what_is_no_text_is_not_told(code: str) -> None:
    """The API server stores half a character as another one: every pass would find the status
    different from what was written, and write it again."""
    told = fetching.told(f'{{"reason": "ModelFetchFailed", "message": "a {code} b"}}')
    assert told is not None
    assert told.message.startswith("a \ufffd")
    assert told.message.isprintable()


@pytest.mark.parametrize("message", ["null", "7", '["a"]'])
def test_a_message_that_is_no_text_is_none_of_the_fetch_steps(message: str) -> None:
    assert fetching.told(f'{{"reason": "ModelFetchFailed", "message": {message}}}') is None


OWN_CONTAINERS = {
    "the runtime image": (
        container("fetch-model", "run:9", state=waiting("ImagePullBackOff")),
        reasons.IMAGE_PULL_FAILED,
        ("image run:9 of init container fetch-model cannot be pulled; check spec.image and the "
        "operator's RISKPREDICTOR_RUNTIME_IMAGE"),
    ),
    "the model's image": (
        container("copy-model", "risk:v9", state=waiting("ErrImagePull")),
        reasons.IMAGE_PULL_FAILED,
        ("image risk:v9 of init container copy-model cannot be pulled; check "
        "spec.model.source.image.reference and spec.image.pullSecrets"),
    ),
    "no folder in the model's image": (
        container("copy-model", "risk:v2", state=terminated("Error", 1)),
        reasons.CRASH_LOOPING, "check spec.model.source.image.path",
    ),
    "no cp in the model's image": (
        container(
            "copy-model", "risk:v2",
            state=terminated("StartError", 128, 'exec: "cp": executable file not found in $PATH'),
        ),
        reasons.CONTAINER_START_FAILED, "spec.model.source.image needs an image that has cp",
    ),
    "a model's image that runs as root": (
        container(
            "copy-model", "risk:v2",
            state=waiting("CreateContainerConfigError", "image will run as root"),
        ),
        reasons.CONTAINER_START_FAILED, "set spec.podTemplate.securityContext.runAsUser",
    ),
    "no memory to fetch": (
        container("fetch-model", "run:1", state=terminated("OOMKilled", 137)),
        reasons.OUT_OF_MEMORY, "more memory than spec.resources.limits.memory",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("init", "reason", "words"), OWN_CONTAINERS.values(), ids=OWN_CONTAINERS
)  # fmt: skip
def test_the_operators_own_init_containers_name_the_field(
    init: Object, reason: str, words: str
) -> None:
    found = pods.problem_of(with_init(init))
    assert found is not None
    assert found.reason == reason
    assert words in found.message


NO_SANDBOX = condition("PodReadyToStartContainers", "False")
VOLUMES = {
    "volumes": [
        {"name": "models", "emptyDir": {}},
        {"name": "model-credentials", "secret": {"secretName": "model-store"}},
        {"name": "model-ca", "configMap": {"name": "ca", "items": [{"key": "ca.crt"}]}},
        {"name": "model-key", "configMap": {"name": "keys", "items": [{"key": "a.pub"}]}},
        {"name": "model-source", "persistentVolumeClaim": {"claimName": "models"}},
    ]
}


def test_a_missing_secret_config_map_or_volume_is_named_with_its_field() -> None:
    found = pods.problem_of(with_init(conditions=(NO_SANDBOX,), startTime=LONG_AGO, spec=VOLUMES))
    assert found is not None
    assert found.reason == reasons.PODS_BLOCKED
    assert (
        "check that there is Secret model-store (spec.model.credentialsSecret) and ConfigMap ca "
        "with key ca.crt (spec.model.caBundle) and ConfigMap keys with key a.pub "
        "(spec.model.signature.publicKey) and a volume behind PersistentVolumeClaim models "
        "(spec.model.source.pvc), or see the Events"
    ) in found.message


def test_volumes_of_others_are_not_taken_for_the_operators() -> None:
    """Nothing of a store where the model is in the image."""
    found = pods.problem_of(pod(conditions=(NO_SANDBOX,), startTime=LONG_AGO, spec=VOLUMES))
    assert found is not None
    assert "spec.model" not in found.message


def test_a_claim_that_does_not_exist_is_named_with_its_field() -> None:
    words = '0/3 nodes are available: persistentvolumeclaim "models" not found'
    found = pods.problem_of(with_init(conditions=(unschedulable(words),), spec=VOLUMES))
    assert found is not None
    assert "look at the claim models, or correct spec.model.source.pvc.claimName" in found.message
    others = pods.problem_of(pod(conditions=(unschedulable(words),), spec=VOLUMES))
    assert others is not None
    assert "spec.model" not in others.message


# ---- a candidate ----


def with_candidate(*init: Object, **rest: Any) -> Object:
    return with_init(*init, **{"candidate": "v2", "candidate_digest": OTHER, **rest})


def test_a_candidates_image_that_cannot_be_pulled_is_named() -> None:
    init = container("copy-candidate", "ours/model:v2", state=waiting("ImagePullBackOff"))
    found = pods.worst_problem([pod(init=(init,), candidate="v2")], "v1")
    assert found is not None
    assert found[0] == Explanation(
        reasons.IMAGE_PULL_FAILED,
        "image ours/model:v2 of init container copy-candidate cannot be pulled; it holds the "
        "candidate: check the candidate's modelVersion, or the reference of its source image, and "
        "spec.image, and that the image is in the registry",
    )


CANDIDATES_CONTAINERS = {
    "its fetch step's image": (
        container("fetch-candidate", "run:9", state=waiting("ErrImagePull")),
        reasons.IMAGE_PULL_FAILED,
        ("image run:9 of init container fetch-candidate cannot be pulled; check spec.image and the "
         "operator's RISKPREDICTOR_RUNTIME_IMAGE"),
    ),
    "an image without cp": (
        container("copy-candidate", "a:1", state=terminated(
            "StartError", 128, 'exec: "cp": executable file not found in $PATH')),
        reasons.CONTAINER_START_FAILED,
        "the candidate's image has to have cp",
    ),
    "an image without a model": (
        container("copy-candidate", "a:1", state=terminated("Error", 1)),
        reasons.CRASH_LOOPING,
        ("check that the candidate's image holds the model in /model, or in the path of its source "
         "image"),
    ),
    "an older server": (
        failed("no JSON", "fetch-candidate"),
        reasons.CRASH_LOOPING,
        "an image of a version before spec.rollout cannot fetch a candidate: check spec.image",
    ),
    "an older server that fetched": (
        failed(says("ModelNotFound", "404"), "fetch-candidate"), reasons.MODEL_NOT_FOUND,
        "404 (pod risk-1)",
    ),
    "too little memory": (
        container("fetch-candidate", "a:1", state=terminated("OOMKilled", 137)),
        reasons.OUT_OF_MEMORY,
        "spec.resources.limits.memory",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("init", "reason", "words"), CANDIDATES_CONTAINERS.values(), ids=CANDIDATES_CONTAINERS
)
def test_the_init_containers_of_a_candidate_are_told_as_such(
    init: Object, reason: str, words: str
) -> None:
    found = pods.problem_of(with_candidate(init))
    assert found is not None
    assert found.reason == reason
    assert words in found.message


def _volumes(*claims: str) -> Object:
    return {"volumes": [
        {"name": "model-credentials", "secret": {"secretName": "model-store"}},
        {"name": "candidate-credentials", "secret": {"secretName": "new", "optional": True}},
        *({"name": f"{claim}-source", "persistentVolumeClaim": {"claimName": f"of-the-{claim}"}}
          for claim in claims),
    ]}  # fmt: skip


def test_of_a_candidates_volumes_only_its_claim_can_be_missing() -> None:
    """And of the stable model's no field is named: the spec declares the candidate by then."""
    found = pods.problem_of(
        with_candidate(conditions=(NO_SANDBOX,), startTime=LONG_AGO, spec=_volumes("candidate"))
    )
    assert found is not None
    assert (
        "check that there is Secret model-store and a volume behind PersistentVolumeClaim "
        "of-the-candidate, or see the Events"
    ) in found.message


@pytest.mark.parametrize(
    ("claims", "words"),
    [(["candidate"], "look at the claim of-the-candidate"),
     (["model", "candidate"], "look at the claim of-the-model and the claim of-the-candidate")],
    ids=["its own", "both"],
)  # fmt: skip
def test_the_claim_of_a_candidate_is_named(claims: list[str], words: str) -> None:
    told = unschedulable('0/3 nodes are available: persistentvolumeclaim "x" not found')
    found = pods.problem_of(with_candidate(conditions=(told,), spec=_volumes(*claims)))
    assert found is not None
    assert found.message.endswith(words)


# ---- Ready ----

RP = declared(modelVersion="v2", model=MODEL)


def live(**status: Any) -> Object:
    return deployment(deployment_status(3, updated=1, available=2, **status), modelVersion="v2",
                      model=MODEL)  # fmt: skip


def beside_two_old_ones(*broken: Object) -> list[Object]:
    old = [pod(f"old-{n}", version="v1", ready=True) for n in (1, 2)]
    return [*old, *broken]


def new(text: str, name: str = "risk-1") -> Object:
    return with_init(failed(text), name=name, version="v2")


@pytest.mark.parametrize("reason", sorted(reasons.OF_THE_STORE))
@pytest.mark.parametrize("deadline", [False, True], ids=["in time", "after the deadline"])
def test_what_no_waiting_helps_is_stalled_at_once(reason: str, deadline: bool) -> None:
    status = live(conditions=(DEADLINE,) if deadline else ())
    rollout = rollout_of(RP, status, beside_two_old_ones(new(says(reason, "words"))), NOW)
    waits = reason in (reasons.MODEL_NOT_FOUND, reasons.MODEL_FETCH_FAILED)
    assert rollout.stalled is (deadline or not waits)
    assert rollout.why == Explanation(reason, "v2: words (pod risk-1); meanwhile v1 still answers")


def test_a_model_that_is_on_its_way_out_stalls_nothing() -> None:
    """A revert: what is wrong with the version that goes is no news of the one that comes."""
    going = with_init(failed(says("ModelRejected", "words")), version="v3", digest=OTHER)
    rollout = rollout_of(RP, live(), beside_two_old_ones(going), NOW)
    assert not rollout.stalled


def test_the_most_severe_of_several_is_told_whatever_the_order() -> None:
    broken = [
        new(says("ModelFetchFailed", "timeout"), "risk-1"),
        new(says("ModelDigestMismatch", "other bytes"), "risk-2"),
        new(says("ModelDigestMismatch", "other bytes"), "risk-3"),
    ]
    told = {
        rollout_of(RP, live(), beside_two_old_ones(*each), NOW).why
        for each in (broken, broken[::-1])
    }
    assert told == {
        Explanation(
            reasons.MODEL_DIGEST_MISMATCH,
            "v2: other bytes (pod risk-2); meanwhile v1 still answers",
        )
    }


# ---- status.model ----


def model_in_status(rp: Object, body: Object, *of: Object) -> Any:
    seen = Observation(deployment=body, pods=of)
    return build_status(
        declared(**rp["spec"]), RenderOptions(), seen, {}, NOW
    ).get("model")  # fmt: skip


OF_STORE = predictor(modelVersion="v2", model=MODEL)


def test_the_served_model_is_the_templates_where_all_is_as_declared() -> None:
    body = deployment(deployment_status(2), modelVersion="v2", model=MODEL)
    assert model_in_status(OF_STORE, body) == {"version": "v2", "digest": DIGEST}


def test_while_two_answer_it_is_the_former() -> None:
    former = pod("old", version="v1", digest=OTHER, ready=True)
    latter = pod("new", version="v2", digest=DIGEST, ready=True)
    assert model_in_status(OF_STORE, live(), former, latter) == {"version": "v1", "digest": OTHER}
    assert model_in_status(OF_STORE, live(), latter) == {"version": "v2", "digest": DIGEST}


def test_there_is_none_where_the_model_is_in_the_image_or_nothing_answers() -> None:
    assert model_in_status(predictor(), deployment(deployment_status(2))) is None
    from_image = pod("old", version="v1", ready=True)
    assert model_in_status(OF_STORE, live(), from_image, new(GONE)) is None
    assert model_in_status(OF_STORE, live(), new(GONE)) is None


def test_another_served_model_is_progress() -> None:
    ready = {"type": conditions.READY, "status": "False", "reason": "RollingOut"}
    before = {"conditions": [ready], "model": {"version": "v1", "digest": OTHER}}
    after = {"conditions": [ready], "model": {"version": "v2", "digest": DIGEST}}
    assert is_progress(before, after)
