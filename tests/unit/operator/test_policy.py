"""Specification of reading spec.rollout and spec.shadow: defaults, durations, policy digest."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from unit.operator.builders import changed, declared, predictor

from riskpredictor_operator.core.policy import Gates, RolloutPolicy, ShadowSpec, ShadowStep, Step
from riskpredictor_operator.core.reading import SpecError
from riskpredictor_operator.core.spec import parse

MODEL = {"digest": "sha256:" + "0a" * 32, "source": {"pvc": {"claimName": "models"}}}


def rollout(**fields: Any) -> RolloutPolicy:
    return declared(rollout=fields).rollout


def test_a_predictor_that_says_nothing_of_it_is_updated_as_before() -> None:
    policy = declared().rollout
    assert not policy.progressive
    assert policy == RolloutPolicy(
        strategy="RollingUpdate",
        shadow=ShadowStep(min_pairs=500, min_seconds=3600, sample=100),
        steps=(Step(10, 200, 1800), Step(50, 200, 1800)),
        subject_header=None,
        guard="NeverLower",
        gates=Gates(
            cases=None,
            max_downgrade_percent=2,
            max_severe_downgrade_percent=0.5,
            max_missed_high_percent=5,
            max_upgrade_percent=10,
            max_class_shift_percent=5,
            max_brier_increase=0.01,
            max_candidate_errors=0,
            confidence_percent=95,
        ),
        approval_required=False,
        approval_digest=None,
        deadline_seconds=7 * 24 * 3600,
        on_inconclusive="Hold",
        retry="",
        digest=policy.digest,
    )
    assert declared().shadow is None


def test_what_is_declared_is_read() -> None:
    policy = rollout(
        strategy="Progressive",
        shadow={"minPairs": 1, "minDuration": "0s", "sample": 12.5},
        canary={
            "steps": [{"percent": 0.5, "minPairs": 7, "minDuration": "2m"}],
            "subjectHeader": "X-Subject-Key",
            "guard": "None",
        },
        gates={"cases": {"configMap": "risk-cases"}, "maxDowngradePercent": 1},
        approval={"required": True, "digest": MODEL["digest"]},
        deadline="1d12h",
        onInconclusive="Abort",
        retry="2",
    )
    assert policy.progressive
    assert policy.shadow == ShadowStep(1, 0, 12.5)
    assert policy.steps == (Step(0.5, 7, 120),)
    assert (policy.subject_header, policy.guard) == ("X-Subject-Key", "None")
    assert (policy.gates.cases, policy.gates.max_downgrade_percent) == ("risk-cases", 1)
    assert (policy.approval_required, policy.approval_digest) == (True, MODEL["digest"])
    assert (policy.deadline_seconds, policy.on_inconclusive, policy.retry) == (129600, "Abort", "2")


def test_no_canary_steps_are_none() -> None:
    assert rollout(canary={"steps": []}).steps == ()


def test_an_empty_approval_approves_nothing() -> None:
    assert rollout(approval={"required": True, "digest": ""}).approval_digest is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0), ("45s", 45), ("30m", 1800), ("36h", 129600), ("7d", 604800),
        ("1h30m", 5400), ("1d2h3m4s", 93784), ("604800s", 604800), ("007m", 420),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: int) -> None:
    assert rollout(shadow={"minDuration": text}).shadow.min_seconds == seconds


@pytest.mark.parametrize(
    "text",
    ["", "1", "1w", "m", "30m1h", "1h 30m", "-1h", "1.5h", "1H", "1h\n", "1234567s", "\u0661s"],
)
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(SpecError, match="is not a duration; write for example 7d or 1h30m") as told:
        rollout(canary={"steps": [{"percent": 5}, {"percent": 6, "minDuration": text}]})
    assert told.value.path == "spec.rollout.canary.steps[1].minDuration"


@pytest.mark.parametrize("number", [True, "10", [10]], ids=repr)
def test_what_is_no_number_is_refused_by_name(number: Any) -> None:
    with pytest.raises(SpecError, match="must be of type number, is ") as told:
        rollout(canary={"steps": [{"percent": number}]})
    assert told.value.path == "spec.rollout.canary.steps[0].percent"


def test_a_step_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"^spec\.rollout\.canary\.steps\[0\]: must be a step such"):
        rollout(canary={"steps": [10]})


def test_an_older_crd_is_told_from_a_mistake() -> None:
    """It knows no spec.rollout, so the API server has not filled it in."""
    with pytest.raises(SpecError, match=r"^spec\.rollout: missing; apply the CRD of this operator"):
        parse(changed(predictor(), None, "spec", "rollout"))


def test_a_shadow_is_a_version_and_perhaps_a_model() -> None:
    assert declared(shadow={"modelVersion": "v2"}).shadow == ShadowSpec("v2", None)
    shadow = declared(shadow={"modelVersion": "v2", "model": MODEL}).shadow
    assert shadow == ShadowSpec("v2", declared(model=MODEL).model)


def test_a_mistake_in_a_shadow_is_told_as_one() -> None:
    model = {**MODEL, "source": {"pvc": {}}}
    with pytest.raises(SpecError, match=r"^spec\.shadow\.model\.source\.pvc\.claimName: missing"):
        declared(shadow={"modelVersion": "v2", "model": model})


CANONICAL = (
    '{"canary":{"guard":"NeverLower","steps":[{"minDuration":"30m","minPairs":200,"percent":10}]},'
    '"deadline":"7d","gates":{"confidencePercent":95,"maxBrierIncrease":0.01,'
    '"maxCandidateErrors":0,"maxClassShiftPercent":5,"maxDowngradePercent":2,'
    '"maxMissedHighPercent":5,"maxSevereDowngradePercent":0.5,"maxUpgradePercent":10},'
    '"onInconclusive":"Hold","shadow":{"minDuration":"1h","minPairs":500,"sample":100},'
    '"strategy":"Progressive"}'
)
"""What ``jq -jcS '.spec.rollout | del(.approval, .retry)'`` prints of such an object."""


@pytest.mark.parametrize("percent", [10, 10.0])
def test_anybody_can_recompute_the_digest_of_the_policy(percent: float) -> None:
    policy = rollout(
        strategy="Progressive",
        canary={"steps": [{"percent": percent}], "subjectHeader": None},
        approval={"required": True},
        retry="again",
    )
    assert policy.digest == "sha256:" + hashlib.sha256(CANONICAL.encode()).hexdigest()


@pytest.mark.parametrize(
    "fields",
    [
        {"strategy": "Progressive"}, {"shadow": {"sample": 99}},
        {"canary": {"steps": [{"percent": 10}]}}, {"canary": {"guard": "None"}},
        {"canary": {"subjectHeader": "X-Subject-Key"}}, {"gates": {"maxUpgradePercent": 10.5}},
        {"gates": {"cases": {"configMap": "a"}}}, {"deadline": "8d"}, {"onInconclusive": "Abort"},
    ],
    ids=str,
)  # fmt: skip
def test_another_policy_has_another_digest(fields: Any) -> None:
    assert rollout(**fields).digest != rollout().digest


@pytest.mark.parametrize(
    "fields", [{"retry": "2"}, {"approval": {"required": True, "digest": MODEL["digest"]}}], ids=str
)
def test_who_agrees_and_how_often_it_is_tried_are_no_part_of_the_policy(fields: Any) -> None:
    assert rollout(**fields).digest == rollout().digest
