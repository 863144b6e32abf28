"""The load generator: how much load is due when, what is counted, and how a pod reports it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AbstractAsyncContextManager
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import web
from unit.kubectl.cards import OLD, WARD, Card
from unit.operator.loopback import serving

from riskpredictor_kubectl import loadpod
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.loadgen import (
    PROFILES,
    Demand,
    Plan,
    Window,
    arrivals,
    card_of,
    patients,
    percentile,
    share,
    user,
)
from riskpredictor_kubectl.loadpod import Report

BODIES = [b"{}"]
SERVED_BY = {"X-Served-By": "pod-1", "X-Model-Version": "v1"}


def server(delay: float = 0.0) -> AbstractAsyncContextManager[str]:
    """Answers every request, after a while."""

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        await asyncio.sleep(delay)
        return web.json_response({}, headers=SERVED_BY)

    return serving(answer)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_never_asks_for_more_than_everybody(profile: str) -> None:
    shares = [share(profile, step / 100) for step in range(100)]
    assert max(shares) == 1.0
    assert min(shares) >= 0.0


def test_the_profiles_have_their_shapes() -> None:
    assert [share("ramp", at) for at in (0.0, 1 / 3, 2 / 3, 0.9)] == [0.0, 0.5, 1.0, 1.0]
    assert [share("step", at) for at in (0.0, 0.3, 0.6, 0.9)] == [0.25, 0.5, 0.75, 1.0]
    assert [share("spike", at) for at in (0.1, 0.5, 0.9)] == [0.1, 1.0, 0.1]


def test_percentiles_are_nearest_rank() -> None:
    assert percentile([float(n) for n in range(1, 101)], 0.95) == 96.0
    assert percentile([], 0.99) == 0.0


async def test_a_user_counts_answers_pods_and_versions() -> None:
    async with server() as url:
        window = Window()
        await user(Plan(url, Demand(1, 2.0), BODIES), 0, window)
    assert len(window.latencies) > 20
    assert window.pods == {"pod-1": len(window.latencies)}
    assert window.versions == {"v1": len(window.latencies)}
    assert not window.failures


async def test_users_that_are_not_due_rest() -> None:
    async with server() as url:
        window = Window()
        await user(Plan(url, Demand(10, 3.0, profile="spike"), BODIES), 5, window)
    # The tenth that is at work outside of the spike is user 0; number 5 works in the middle third.
    assert window.latencies
    plan = Plan(url, Demand(10, 1e9, profile="spike"), BODIES)
    assert plan.share() * plan.demand.users <= 5


async def test_nobody_there_is_a_failure_with_a_name() -> None:
    window = Window()
    await user(Plan("http://127.0.0.1:9", Demand(1, 0.1), BODIES), 0, window)
    assert window.failures["ConnectionRefusedError"] >= 1


async def test_the_open_loop_counts_the_time_in_which_a_request_waited() -> None:
    """One connection, 50 ms an answer, 100 requests a second: the queue grows, and it shows."""
    async with server(delay=0.05) as url:
        window = Window()
        await arrivals(Plan(url, Demand(1, 0.5, rate=100.0), BODIES), window)
    assert max(window.latencies) > 500


def _drawn(card: Card, seed: int = 0, count: int = 4000) -> list[dict[str, Any]]:
    return [json.loads(body) for body in patients(card, seed, count)]


def _shares(values: list[Any]) -> dict[Any, float]:
    """How often each value is, to two digits."""
    return {value: round(count / len(values), 2) for value, count in Counter(values).items()}


def test_the_same_seed_makes_the_same_patients() -> None:
    assert patients(WARD, 7) == patients(WARD, 7) != patients(WARD, 8)
    assert len(patients(WARD, 7)) == 20_000


def test_numbers_are_distributed_as_in_the_training_data() -> None:
    """An edge is the least value of the bin above it, as where drift is measured."""
    drawn = _drawn(WARD)
    rates = [record["respiratory_rate"] for record in drawn]
    assert {type(rate) for rate in rates} == {int}
    assert (min(rates), max(rates)) == (6, 41), "what training saw, not all that is accepted"
    assert _shares(["low" if r < 12 else "high" if r >= 16 else "mid" for r in rates]) == {
        "low": pytest.approx(0.2, abs=0.02), "mid": pytest.approx(0.5, abs=0.02),
        "high": pytest.approx(0.3, abs=0.02),
    }  # fmt: skip
    assert _shares([r for r in rates if 12 <= r < 16]) == {
        rate: pytest.approx(0.25, abs=0.03) for rate in (12, 13, 14, 15)
    }  # fmt: skip


def test_numbers_are_multiples_of_the_step() -> None:
    glucose = {record["glucose"] for record in _drawn(WARD)}
    assert glucose >= {2.5, 4.5, 31.0}
    assert all(value * 2 == int(value * 2) for value in glucose)
    lactate = {record["lactate"] for record in _drawn(WARD) if "lactate" in record}
    assert {0.4, 0.7, 1.1, 19.9} <= lactate <= {round(0.1 * n, 1) for n in range(4, 200)}


def test_a_decile_that_is_the_greatest_value_has_its_own_share() -> None:
    oxygen = {"name": "oxygen", "type": "number", "minimum": 40, "maximum": 100, "step": 1,
              "trained_on": {"minimum": 98, "maximum": 100},
              "baseline": {"edges": [99, 100], "shares": [0.5, 0.3, 0.2]}}  # fmt: skip
    assert _shares([record["oxygen"] for record in _drawn({"features": [oxygen]})]) == {
        98: pytest.approx(0.5, abs=0.02), 99: pytest.approx(0.3, abs=0.02),
        100: pytest.approx(0.2, abs=0.02),
    }  # fmt: skip


def test_a_bin_without_a_multiple_of_the_step_has_values_all_the_same() -> None:
    narrow = {"name": "ph", "type": "number", "minimum": 6, "maximum": 8, "step": 1,
              "trained_on": {"minimum": 7.1, "maximum": 7.6},
              "baseline": {"edges": [7.4], "shares": [0.5, 0.5]}}  # fmt: skip
    values = [record["ph"] for record in _drawn({"features": [narrow]})]
    assert 7.1 <= min(values) < 7.4 <= max(values) <= 7.6


def test_choices_come_by_their_shares() -> None:
    drawn = _drawn(WARD)
    assert _shares([record["supplemental_oxygen"] for record in drawn]) == {
        False: pytest.approx(0.9, abs=0.02), True: pytest.approx(0.1, abs=0.02),
    }  # fmt: skip
    assert {record["consciousness"] for record in drawn} == {"Voice"}


def test_a_feature_is_left_out_as_often_as_in_the_training_data() -> None:
    drawn = _drawn(WARD)
    assert sum("lactate" not in record for record in drawn) / 4000 == pytest.approx(0.75, abs=0.03)
    assert all("consciousness" in record for record in drawn)


def test_a_card_of_the_first_format_makes_patients_of_the_four_vitals() -> None:
    drawn = _drawn(OLD)
    for feature in OLD["features"]:
        values = sorted(record[feature["name"]] for record in drawn)
        seen = feature["trained_on"]
        assert seen["minimum"] <= values[0] <= values[-1] <= seen["maximum"]
        assert values[2000] == pytest.approx(feature["baseline"]["edges"][4], abs=1.5)


def test_a_card_that_says_little_makes_patients_all_the_same() -> None:
    features = [
        {"name": "age", "type": "integer", "minimum": 0, "maximum": 120},
        {"name": "smoker", "type": "boolean"},
        {"name": "ward", "type": "category", "values": ["A", "B"]},
    ]
    drawn = _drawn({"features": features})
    assert {record["ward"] for record in drawn} == {"A", "B"}
    assert {record["smoker"] for record in drawn} == {False, True}
    assert all(0 <= record["age"] <= 120 for record in drawn)


def test_an_address_without_a_card_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskpredictor_kubectl.loadgen.CARD_TRIES", 1)
    with pytest.raises(
        SystemExit, match=r"the model's card cannot be read from .*/model: .*refused"
    ):
        card_of("http://127.0.0.1:9")


def _reports(*lines: str) -> list[Report]:
    client: Any = Mock(lines=lambda *_, **__: iter(lines))
    found = []
    for report in loadpod._reports(client, "/pod", Demand()):
        found.append(dict(report))
        report.clear()
    return found


def test_the_reports_of_a_pod_end_with_the_last_one() -> None:
    assert _reports('{"ok": 1}', "a warning", '{"ok": 1, "done": true}', "more") == [
        {"ok": 1}, {"ok": 1, "done": True},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "said"), [((), "it printed nothing"), (('{"ok": 1}', "Killed"), "Killed")]
)
def test_a_pod_that_ends_before_its_last_report_is_an_error(
    lines: tuple[str, ...], said: str
) -> None:
    with pytest.raises(PluginError, match=f"ended too early: {said}"):
        _reports(*lines)
