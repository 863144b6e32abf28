"""``spec.rollout`` and ``spec.shadow`` as users meet them: defaults, mistakes with their fix.

A shadow's model has the same rules as ``spec.model``: test_model_spec.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from unit.operator.change_records import RECORD

from riskpredictor_operator.core import api as names
from riskpredictor_operator.core.change import record
from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api, Refused
from support.cluster import LocalCluster

DIGEST, OTHER = "sha256:" + "0a" * 32, "sha256:" + "0b" * 32
MODEL = {"digest": DIGEST, "source": {"http": {"url": "https://models.example.com/risk/v3/"}}}
KEY = "risk"

DEFAULTS = {
    "strategy": "RollingUpdate",
    "shadow": {"minPairs": 500, "minDuration": "1h", "sample": 100},
    "canary": {
        "steps": [
            {"percent": 10, "minPairs": 200, "minDuration": "30m"},
            {"percent": 50, "minPairs": 200, "minDuration": "30m"},
        ],
        "guard": "NeverLower",
    },
    "gates": {
        "maxDowngradePercent": 2,
        "maxSevereDowngradePercent": 0.5,
        "maxMissedHighPercent": 5,
        "maxUpgradePercent": 10,
        "maxClassShiftPercent": 5,
        "maxBrierIncrease": 0.01,
        "maxCandidateErrors": 0,
        "confidencePercent": 95,
    },
    "approval": {"required": False},
    "deadline": "7d",
    "onInconclusive": "Hold",
    "retry": "",
}


def _create(api: Api, namespace: str, **spec: Any) -> dict[str, Any]:
    spec = {"modelVersion": "v2", **spec}
    body = {"metadata": {"name": KEY, "namespace": namespace}, "spec": spec}
    return api.create(RISKPREDICTOR, body)


def test_who_says_nothing_of_it_gets_a_rolling_update(api: Api, namespace: str) -> None:
    body = _create(api, namespace)
    assert body["spec"]["rollout"] == DEFAULTS
    assert "shadow" not in body["spec"]


def test_the_strategy_alone_gets_every_default(api: Api, namespace: str) -> None:
    body = _create(api, namespace, rollout={"strategy": "Progressive"})
    assert body["spec"]["rollout"] == {**DEFAULTS, "strategy": "Progressive"}


def test_a_step_gets_its_defaults(api: Api, namespace: str) -> None:
    body = _create(api, namespace, rollout={"canary": {"steps": [{"percent": 5}]}})
    assert body["spec"]["rollout"]["canary"]["steps"] == [
        {"percent": 5, "minPairs": 200, "minDuration": "30m"}
    ]


NULLS = {
    "the whole": None,
    "parts": dict.fromkeys(DEFAULTS),
    "what is inside": {
        "shadow": {"minPairs": None, "minDuration": None, "sample": None},
        "canary": {"steps": None, "guard": None, "subjectHeader": None},
        "gates": {"cases": None, "maxDowngradePercent": None},
        "approval": {"required": None, "digest": None},
    },
}


@pytest.mark.parametrize("rollout", NULLS.values(), ids=NULLS)
def test_what_a_template_left_empty_gets_its_default(
    api: Api, namespace: str, rollout: dict[str, Any] | None
) -> None:
    body = _create(api, namespace, rollout=rollout, shadow=None)
    found = body["spec"]["rollout"]
    for part in (found["canary"], found["gates"], found["approval"]):
        for name in ("subjectHeader", "cases", "digest"):
            assert part.pop(name, None) is None
    assert found == DEFAULTS


def _canary(*percents: float, **fields: Any) -> dict[str, Any]:
    steps = {"steps": [{"percent": percent} for percent in percents]} if percents else {}
    return {"rollout": {"canary": {**steps, **fields}}}


def _gates(**fields: Any) -> dict[str, Any]:
    return {"rollout": {"gates": fields}}


def _shadow(**fields: Any) -> dict[str, Any]:
    return {"shadow": {"modelVersion": "v3", **fields}}


ACCEPTED: dict[str, dict[str, Any]] = {
    "no canary": {"rollout": {"canary": {"steps": []}}},
    "the smallest and the greatest share": _canary(0.01, 99),
    "ten shares": _canary(*range(1, 11)),
    "shares close by": _canary(1, 1.01),
    "at once": {
        "rollout": {
            "shadow": {"minPairs": 1, "minDuration": "0s"},
            "canary": {"steps": [{"percent": 50, "minPairs": 1, "minDuration": "0s"}]},
            "deadline": "1s",
        }
    },
    "every unit": {"rollout": {"deadline": "1d2h3m4s"}},
    "a week in seconds": {"rollout": {"deadline": "604800s"}},
    "no gates": _gates(
        maxDowngradePercent=100, maxSevereDowngradePercent=100, maxMissedHighPercent=100,
        maxUpgradePercent=100, maxClassShiftPercent=100, maxBrierIncrease=2,
        maxCandidateErrors=1000000,
    ),
    "nothing allowed": _gates(maxDowngradePercent=0, maxBrierIncrease=0, confidencePercent=99.9),
    "cases": _gates(cases={"configMap": "risk-cases.v2"}),
    "a header": _canary(subjectHeader="X-Subject-Key"),
    "an approval": {"rollout": {"approval": {"required": True, "digest": DIGEST}}},
    "an approval that is empty": {"rollout": {"approval": {"required": True, "digest": ""}}},
    "another try": {"rollout": {"retry": "2026-03-01_second.try"}},
    "a shadow in an image": _shadow(),
    "a shadow, nulls of a template": _shadow(model=None),
}  # fmt: skip


@pytest.mark.parametrize("spec", ACCEPTED.values(), ids=ACCEPTED)
def test_it_is_accepted(api: Api, namespace: str, spec: dict[str, Any]) -> None:
    _create(api, namespace, **spec)


DURATION = "must be a duration in days, hours, minutes and seconds, in this order"

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "strategy": (
        {"rollout": {"strategy": "Canary"}}, r'rollout\.strategy.*"RollingUpdate", "Progressive"',
    ),
    "no pairs": (
        {"rollout": {"shadow": {"minPairs": 0}}}, r"shadow\.minPairs.*greater than or equal to 1",
    ),
    "too many pairs": (
        {"rollout": {"shadow": {"minPairs": 1000001}}}, r"shadow\.minPairs.*equal to 1000000",
    ),
    "a duration without unit": (
        {"rollout": {"shadow": {"minDuration": "60"}}},
        rf"rollout\.shadow\.minDuration {DURATION}.*for example 1h or 1h30m",
    ),
    "a duration as a number": (
        {"rollout": {"shadow": {"minDuration": 60}}}, r"shadow\.minDuration .*be of type string",
    ),
    "a duration that is empty": (
        {"rollout": {"shadow": {"minDuration": ""}}}, rf"rollout\.shadow\.minDuration {DURATION}",
    ),
    "a duration in another order": (
        {"rollout": {"shadow": {"minDuration": "30m1h"}}}, rf"shadow\.minDuration {DURATION}",
    ),
    "a step's duration": (
        {"rollout": {"canary": {"steps": [{"percent": 5, "minDuration": "1.5h"}]}}},
        rf"rollout\.canary\.steps\.minDuration {DURATION}.*for example 30m",
    ),
    "nothing sampled": (
        {"rollout": {"shadow": {"sample": 0.5}}}, r"shadow\.sample.*greater than or equal to 1",
    ),
    "more than all sampled": (
        {"rollout": {"shadow": {"sample": 101}}}, r"shadow\.sample.*less than or equal to 100",
    ),
    "a sample as text": (
        {"rollout": {"shadow": {"sample": "100"}}}, r"shadow\.sample.*must be of type number",
    ),
    "a share of nothing": (
        _canary(0), r"canary\.steps\.percent must be 0\.01 or more; .*spec\.rollout\.shadow",
    ),
    "a share of almost nothing": (_canary(0.009), r"canary\.steps\.percent must be 0\.01 or more"),
    "a negative share": (_canary(-1), r"steps\[0\]\.percent.*greater than or equal to 0"),
    "a share of all": (_canary(10, 100), r"steps\[1\]\.percent.*less than or equal to 99"),
    "a step without share": (
        {"rollout": {"canary": {"steps": [{"minPairs": 5}]}}}, r"steps\[0\]\.percent: Required",
    ),
    "a step without pairs": (
        {"rollout": {"canary": {"steps": [{"percent": 5, "minPairs": 0}]}}},
        r"steps\[0\]\.minPairs.*greater than or equal to 1",
    ),
    "shares that fall": (
        _canary(10, 50, 25), r"canary\.steps must have a greater percent in each .*10 and 50",
    ),
    "the same share twice": (_canary(10, 10), r"canary\.steps must have a greater percent"),
    "the last of ten falls": (
        _canary(*range(1, 10), 9), r"canary\.steps must have a greater percent",
    ),
    "eleven shares": (_canary(*range(1, 12)), r"canary\.steps.*at most 10 items"),
    "a header with a space": (
        _canary(subjectHeader="X Subject"), r"subjectHeader must be the name of a header.*X-Subj",
    ),
    "a header with a colon": (
        _canary(subjectHeader="X-Subject:"), r"subjectHeader must be the name of a header",
    ),
    "an empty header": (_canary(subjectHeader=""), r"subjectHeader must be the name of a header"),
    "a header too long": (_canary(subjectHeader="x" * 65), r"subjectHeader.*(64|long)"),
    **{
        f"the header {header}": (
            _canary(subjectHeader=header), r"subjectHeader must not be Authorization.*; use a head",
        )
        for header in (
            "Authorization", "cookie", "Content-Type", "CONTENT-LENGTH", "Host", "x-request-id",
        )
    },
    "guard": (_canary(guard="Off"), r'canary\.guard.*"NeverLower", "None"'),
    **{
        f"{gate} {limit}": (_gates(**{gate: limit}), rf"gates\.{gate}.*{bound}")
        for gate in (
            "maxDowngradePercent", "maxSevereDowngradePercent", "maxMissedHighPercent",
            "maxUpgradePercent", "maxClassShiftPercent",
        )
        for limit, bound in ((-1, "greater than or equal to 0"), (101, "less than or equal to 100"))
    },
    "a Brier score that must fall": (
        _gates(maxBrierIncrease=-0.1), r"maxBrierIncrease.*greater than or equal to 0",
    ),
    "half an error": (_gates(maxCandidateErrors=0.5), r"maxCandidateErrors.*of type integer"),
    "fewer errors than none": (_gates(maxCandidateErrors=-1), r"maxCandidateErrors.*equal to 0"),
    "no confidence": (_gates(confidencePercent=49), r"confidencePercent.*equal to 50"),
    "certainty": (_gates(confidencePercent=100), r"confidencePercent must be 99\.9 or less"),
    "more than certainty": (_gates(confidencePercent=101), r"confidencePercent.*equal to 100"),
    "almost certainty": (
        _gates(confidencePercent=99.95), r"confidencePercent must be 99\.9 or less",
    ),
    "cases without ConfigMap": (_gates(cases={}), r"gates\.cases\.configMap: Required value"),
    "cases in a file": (
        _gates(cases={"configMap": "risk/cases.json"}),
        r"gates\.cases\.configMap must be the name of a ConfigMap.*risk-cases",
    ),
    "an approval without algorithm": (
        {"rollout": {"approval": {"digest": "0a" * 32}}},
        r"approval\.digest must be 'sha256:' and 64 .*status\.rollout\.candidate\.digest",
    ),
    "an approval as text": (
        {"rollout": {"approval": {"required": "yes"}}}, r"approval\.required.*of type boolean",
    ),
    "no deadline": (
        {"rollout": {"deadline": ""}}, rf"spec\.rollout\.deadline {DURATION}.*7d or 36h",
    ),
    "a deadline of no length": (
        {"rollout": {"deadline": "0d0h"}}, r"rollout\.deadline must be longer than 0, for example",
    ),
    "a deadline as a number": ({"rollout": {"deadline": 7}}, r"deadline .*be of type string"),
    "a deadline in weeks": ({"rollout": {"deadline": "1w"}}, rf"rollout\.deadline {DURATION}"),
    "a deadline beyond the calendar": (
        {"rollout": {"deadline": "1234567d"}}, rf"rollout\.deadline {DURATION}.*6 digits",
    ),
    "what happens then": (
        {"rollout": {"onInconclusive": "Promote"}}, r'onInconclusive.*"Hold", "Abort"',
    ),
    "a word with spaces": (
        {"rollout": {"retry": "once more"}}, r"rollout\.retry must consist of letters, digits",
    ),
    "a word as a number": (
        {"rollout": {"retry": 2}}, r'rollout\.retry must be text; write it in quotes, .*"2"',
    ),
    "a word too long": ({"rollout": {"retry": "x" * 64}}, r"rollout\.retry.*63"),
    "a shadow without version": (
        {"shadow": {"model": MODEL}}, r"spec\.shadow\.modelVersion: Required value",
    ),
    "a shadow of itself": (
        {"shadow": {"modelVersion": "v2", "model": MODEL}},
        r"spec\.shadow\.modelVersion must differ from spec\.modelVersion.*; name the other",
    ),
    "a shadow's version as a number": (
        {"shadow": {"modelVersion": 3}}, r"shadow\.modelVersion must be text; write it in quotes",
    ),
    "a shadow's version": (
        {"shadow": {"modelVersion": "-v3"}}, r"shadow\.modelVersion must consist of letters",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "message"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_refused_with_its_fix(
    api: Api, namespace: str, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refused, match=message) as caught:
        _create(api, namespace, **spec)
    assert caught.value.status == 422


@pytest.mark.parametrize("name", sorted(names.CANDIDATE_ENV))
def test_the_variables_of_a_candidate_are_the_operators_always(
    api: Api, namespace: str, name: str
) -> None:
    template = {"env": [{"name": name, "value": "x"}]}
    with pytest.raises(Refused, match=r"must not set RISKPREDICTOR_CANDIDATE,.*; remove the entry"):
        _create(api, namespace, podTemplate=template)


def test_the_variables_of_the_fetch_step_are_the_operators_beside_a_shadow_from_a_store(
    api: Api, namespace: str
) -> None:
    template = {"env": [{"name": "RISKPREDICTOR_MODEL_OPTIONAL", "value": "on"}]}
    with pytest.raises(Refused, match=r"beside spec\.model, spec\.shadow\.model or .*; remove"):
        _create(api, namespace, podTemplate=template, **_shadow(model=MODEL))
    _create(api, namespace, podTemplate=template, **_shadow())


def test_the_variables_of_the_fetch_step_are_the_operators_where_a_model_from_a_store_may_answer(
    api: Api, namespace: str
) -> None:
    """A progressive change to a model in its image leaves the one from a store in the pods."""
    template = {"env": [{"name": "RISKPREDICTOR_MODEL", "value": "/elsewhere"}]}
    with pytest.raises(Refused, match=r"or the strategy Progressive, .*; remove the entry"):
        _create(api, namespace, podTemplate=template, rollout={"strategy": "Progressive"})
    _create(api, namespace, podTemplate=template)


def test_a_shadow_may_be_corrected_replaced_and_taken_over(api: Api, namespace: str) -> None:
    key = Key(namespace, KEY)

    def declare(**spec: Any) -> None:
        api.patch(RISKPREDICTOR, key, {"spec": spec})

    _create(api, namespace, **_shadow(model=MODEL))
    declare(shadow={"model": {"digest": OTHER}})
    declare(shadow={"modelVersion": "v4"})
    with pytest.raises(Refused, match=r"shadow\.modelVersion must differ .*or remove spec\.shadow"):
        declare(modelVersion="v4")
    declare(modelVersion="v4", model={**MODEL, "digest": OTHER}, shadow=None)


def test_a_status_keeps_all_that_the_operator_writes(
    cluster: LocalCluster, api: Api, namespace: str
) -> None:
    """A field that the schema does not know would be dropped without a word."""
    _create(api, namespace)
    key = Key(namespace, KEY)
    written = record.to_fields(RECORD)
    after = api.patch(RISKPREDICTOR, key, {"status": written}, sub="status")
    assert {name: after["status"][name] for name in written} == written
    assert record.read(after["status"]) == RECORD
    head, row = cluster.kubectl("-n", namespace, "get", "rp", "-o", "wide").splitlines()
    columns = {name: row[head.index(name) :].split("   ")[0] for name in head.split()}
    assert (columns["CANDIDATE"], columns["STEP"]) == ("v2", "Canary 10%")
    assert columns["PAIRS"] == "812"
