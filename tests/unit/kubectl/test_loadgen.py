"""The load generator: how much load is due when, what is counted, and how a pod reports it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import web
from unit.operator.loopback import serving

from riskpredictor_kubectl import loadpod
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.loadgen import (
    PROFILES,
    Demand,
    Plan,
    Window,
    arrivals,
    percentile,
    share,
    user,
)
from riskpredictor_kubectl.loadpod import Report

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
        await user(Plan(url, Demand(1, 2.0)), 0, window)
    assert len(window.latencies) > 20
    assert window.pods == {"pod-1": len(window.latencies)}
    assert window.versions == {"v1": len(window.latencies)}
    assert not window.failures


async def test_users_that_are_not_due_rest() -> None:
    async with server() as url:
        window = Window()
        await user(Plan(url, Demand(10, 3.0, profile="spike")), 5, window)
    # The tenth that is at work outside of the spike is user 0; number 5 works in the middle third.
    assert window.latencies
    plan = Plan(url, Demand(10, 1e9, profile="spike"))
    assert plan.share() * plan.demand.users <= 5


async def test_nobody_there_is_a_failure_with_a_name() -> None:
    window = Window()
    await user(Plan("http://127.0.0.1:9", Demand(1, 0.1)), 0, window)
    assert window.failures["ConnectionRefusedError"] >= 1


async def test_the_open_loop_counts_the_time_in_which_a_request_waited() -> None:
    """One connection, 50 ms an answer, 100 requests a second: the queue grows, and it shows."""
    async with server(delay=0.05) as url:
        window = Window()
        await arrivals(Plan(url, Demand(1, 0.5, rate=100.0)), window)
    assert max(window.latencies) > 500


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
