"""Specification of keys and API errors: what is done about each error, and what is reported."""

from __future__ import annotations

import pytest

from riskpredictor_operator.core import reasons
from riskpredictor_operator.core.refusals import explain_refusal
from riskpredictor_operator.kube import ApiError, Key, Verdict, verdict_of


def error(code: int, message: str = "", *causes: str) -> ApiError:
    return ApiError(code, "Reason", message, causes=causes)


@pytest.mark.parametrize(
    ("refusal", "verdict"),
    [
        pytest.param(error(404), Verdict.DROP, id="gone"),
        pytest.param(error(403, "x", "NamespaceTerminating"), Verdict.DROP, id="namespace going"),
        pytest.param(error(400), Verdict.REPORT, id="bad request"),
        pytest.param(error(403), Verdict.REPORT, id="forbidden"),
        pytest.param(error(422), Verdict.REPORT, id="invalid"),
        pytest.param(error(413), Verdict.REPORT, id="too large"),
        pytest.param(error(409), Verdict.RETRY, id="conflict"),
        pytest.param(error(401), Verdict.RETRY, id="token being renewed"),
        pytest.param(error(429), Verdict.RETRY, id="too many requests"),
        pytest.param(error(500), Verdict.RETRY, id="server error"),
        pytest.param(error(503), Verdict.RETRY, id="unavailable"),
        pytest.param(error(0), Verdict.RETRY, id="no answer"),
    ],
)
def test_what_an_api_error_asks_for(refusal: ApiError, verdict: Verdict) -> None:
    assert verdict_of(refusal) is verdict


@pytest.mark.parametrize(
    ("refusal", "reason", "fix"),
    [
        pytest.param(
            error(403, "pods is forbidden: exceeded quota: q"), reasons.QUOTA_EXCEEDED,
            "raise it or ask for less", id="quota",
        ),
        pytest.param(
            error(403, 'User "op" cannot patch resource'), reasons.FORBIDDEN,
            "apply its roles again", id="role",
        ),
        pytest.param(
            error(403, "denied by policy"), reasons.APPLY_REFUSED, "change the spec", id="policy"
        ),
        pytest.param(error(422, "nodePort taken"), reasons.APPLY_REFUSED, "nodePort", id="invalid"),
    ],
)  # fmt: skip
def test_a_refusal_becomes_a_condition_that_names_object_cause_and_fix(
    refusal: ApiError, reason: str, fix: str
) -> None:
    problem = explain_refusal(refusal, "Service shop/risk")
    assert problem.reason == reason
    assert "Service shop/risk" in problem.message
    assert refusal.message in problem.message
    assert fix in problem.message


def test_an_api_error_reads_as_one_line() -> None:
    assert str(ApiError(409, "Conflict", "modified")) == "Conflict (409): modified"
    assert str(ApiError(0, "", "no route")) == "request failed (0): no route"


def test_a_key_reads_as_namespace_and_name() -> None:
    assert str(Key("shop", "risk")) == "shop/risk"
