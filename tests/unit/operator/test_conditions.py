"""Specification of condition bookkeeping, of transitions and of API errors."""

from __future__ import annotations

import pytest
from unit.operator.builders import LATER, NOW, Object

from riskpredictor_operator.core import conditions, reasons
from riskpredictor_operator.core.conditions import Condition, merge
from riskpredictor_operator.core.errors import ApiError, Verdict, classify, problem_of
from riskpredictor_operator.core.transitions import transition


def stored(name: str, status: str, *, reason: str = "Old", generation: int = 1) -> Object:
    return {
        "type": name, "status": status, "reason": reason, "message": "old",
        "observedGeneration": generation, "lastTransitionTime": NOW,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "since"),
    [
        pytest.param([], LATER, id="new"),
        pytest.param([stored("Ready", "False")], LATER, id="flipped"),
        pytest.param([stored("Ready", "True")], NOW, id="same status, other reason"),
        pytest.param(
            [stored("Available", "True")], LATER, id="another condition's time is not ours"
        ),
    ],
)
def test_the_transition_time_moves_only_when_the_status_flips(
    before: list[Object], since: str
) -> None:
    (merged,) = merge(before, [Condition("Ready", "True", "New", "new")], 7, LATER)
    assert merged == {
        "type": "Ready", "status": "True", "reason": "New", "message": "new",
        "observedGeneration": 7, "lastTransitionTime": since,
    }  # fmt: skip


def test_a_condition_that_no_longer_holds_is_dropped() -> None:
    before = [stored("Ready", "False"), stored("Stalled", "True")]
    after = merge(before, [Condition("Ready", "True", "New", "new")], 1, LATER)
    assert [condition["type"] for condition in after] == ["Ready"]


def test_find() -> None:
    ready = stored("Ready", "True")
    assert conditions.find([stored("Stalled", "True"), ready], "Ready") == ready
    assert conditions.find([], "Ready") is None


def status(reason: str | None, message: str = "m") -> Object:
    if reason is None:
        return {"observedGeneration": -1}
    return {"conditions": [{**stored("Ready", "False", reason=reason), "message": message}]}


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        pytest.param(None, reasons.ROLLING_OUT, "Normal", id="first look"),
        pytest.param(reasons.ROLLING_OUT, reasons.READY, "Normal", id="rolled out"),
        pytest.param(reasons.READY, reasons.SCALING, "Normal", id="scaling"),
        pytest.param(reasons.READY, reasons.SUSPENDED, "Normal", id="suspended"),
        pytest.param(None, reasons.WAITING_FOR_DELETION, "Normal", id="waiting"),
        pytest.param(reasons.ROLLING_OUT, reasons.IMAGE_PULL_FAILED, "Warning", id="broken image"),
        pytest.param(reasons.READY, reasons.NOT_OWNED, "Warning", id="foreign child"),
        pytest.param(reasons.READY, reasons.INVALID_SPEC, "Warning", id="unusable spec"),
        pytest.param(reasons.READY, reasons.AUTOSCALING_FAILED, "Warning", id="autoscaler broken"),
        pytest.param(reasons.READY, reasons.READY, None, id="nothing new"),
    ],
)
def test_an_event_is_worth_a_change_of_readys_reason(
    before: str | None, after: str, event: str | None
) -> None:
    found = transition(status(before), status(after, "what happened"))
    if event is None:
        assert found is None
    else:
        assert found is not None
        assert (found.type, found.reason, found.message) == (event, after, "what happened")


def test_another_message_alone_is_no_event() -> None:
    rolling = reasons.ROLLING_OUT
    assert transition(status(rolling, "1 of 2"), status(rolling, "2 of 2")) is None


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
    assert classify(refusal) is verdict


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
    problem = problem_of(refusal, "Service shop/risk")
    assert problem.reason == reason
    assert "Service shop/risk" in problem.message
    assert refusal.message in problem.message
    assert fix in problem.message


def test_an_api_error_reads_as_one_line() -> None:
    assert str(ApiError(409, "Conflict", "modified")) == "Conflict (409): modified"
    assert str(ApiError(0, "", "no route")) == "request failed (0): no route"
