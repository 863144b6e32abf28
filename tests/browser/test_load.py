"""The scaling demo: what it sends, what it shows, and what it says when things go wrong."""

from __future__ import annotations

import re

import pytest
from browser.balancer import service
from browser.conftest import EXPECTED, Visit
from playwright.sync_api import Page, Request, Route, expect
from unit.predictor.support import ServerProcess

DRIFT = re.compile(r'riskpredictor_input_drift\{field="(\w+)"\} (\S+)')
WORTH_A_LOOK = 0.1


def start(page: Page, name: str, seconds: int = 10) -> None:
    page.select_option("#load-seconds", str(seconds))
    page.get_by_role("button", name=name).click()


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#load-summary")).to_contain_text("Done.")


@pytest.mark.parametrize(
    ("name", "users"), [("Light", "10"), ("Medium", "50"), ("Peak Load", "100")]
)
def test_load_runs_shows_who_answers_and_stops(page: Page, name: str, users: str) -> None:
    start(page, name)
    expect(page.locator("#load-users")).to_have_text(users)
    expect(page.locator("#load-summary")).to_contain_text(f"{users} users")
    expect(page.locator("#load-pods .name")).to_contain_text("pod-under-test")
    expect(page.locator("#load-p95")).to_contain_text("ms")
    expect(page.locator("#load-rate")).not_to_have_text("0")
    expect(page.get_by_role("button", name="Light")).to_be_disabled()
    stop(page)
    expect(page.locator("#load-summary")).to_contain_text(f"Done. {users} users")
    expect(page.locator("#load-summary")).to_contain_text("0 errors, answered by 1 pod.")
    expect(page.get_by_role("button", name="Light")).to_be_enabled()


def test_load_ends_by_itself_and_says_when_one_pod_did_all(page: Page) -> None:
    start(page, "Light")
    expect(page.locator("#load-live")).to_contain_text("6 connections")
    expect(page.locator("#load-one-pod")).to_be_hidden()
    expect(page.locator("#load-summary")).to_contain_text("Done.", timeout=20_000)
    expect(page.locator("#load-one-pod")).to_contain_text("kubectl port-forward")


def test_every_pod_of_a_service_is_listed_with_its_answers(visit: Visit) -> None:
    with service(pods=3) as url:
        page = visit(url)
        start(page, "Medium")
        expect(page.locator("#load-pods .name")).to_have_count(3)
        expect(page.locator("#load-summary")).to_contain_text("Done.", timeout=20_000)
        pods = page.locator("#load-pods li").all()
        names = [pod.locator(".name").inner_text() for pod in pods]
        counts = [int(pod.locator(".value").inner_text().replace(",", "")) for pod in pods]
        assert names == ["health-predictor-1", "health-predictor-2", "health-predictor-3"]
        assert min(counts) > 0
        summary = page.locator("#load-summary").inner_text()
        total = re.search(r"([\d,]+) requests", summary)
        assert total
        assert sum(counts) == int(total[1].replace(",", ""))
        assert "0 errors, answered by 3 pods." in summary
        expect(page.locator("#load-pods-count")).to_have_text("3 pods")
        expect(page.locator("#load-one-pod")).to_be_hidden()


def test_a_pod_that_joins_is_shown_with_the_time_of_its_first_answer(page: Page) -> None:
    late: list[str] = []

    def by_another_pod(route: Route) -> None:
        answer = route.fetch()
        headers = {**answer.headers, **({"x-served-by": "pod-late"} if late else {})}
        route.fulfill(response=answer, headers=headers)

    page.route("**/predict", by_another_pod)
    start(page, "Light")
    expect(page.locator("#load-pods .name")).to_have_count(1)
    page.wait_for_timeout(4000)
    late.append("now")
    expect(page.locator("#load-pods .name")).to_have_count(2)
    expect(page.locator("#load-pods li").first).to_contain_text(
        re.compile(r"pod-late.*since [4-7] s")
    )
    stop(page)


def test_the_patients_of_the_demo_look_like_those_of_the_training(visit: Visit) -> None:
    """Otherwise every demo would end in the alert on input drift."""
    with ServerProcess() as server:
        page = visit(server.url)
        start(page, "Peak Load")
        page.wait_for_timeout(4000)
        stop(page)
        drift = dict(DRIFT.findall(server.get("/metrics").body.decode()))
        assert set(drift) == {"heart_rate", "blood_pressure", "temperature", "oxygen_level"}
        assert {
            name: float(score) for name, score in drift.items() if float(score) > WORTH_A_LOOK
        } == {}


def test_each_demo_sends_the_same_patients(page: Page) -> None:
    bodies: list[str] = []

    def asked(request: Request) -> None:
        if request.post_data:
            bodies.append(request.post_data)

    page.on("request", asked)
    runs = []
    for _ in range(2):
        bodies.clear()
        start(page, "Light")
        expect(page.locator("#load-rate")).not_to_have_text("0")
        stop(page)
        runs.append(set(bodies))
    assert runs[0] == runs[1]
    assert len(runs[0]) == 10, "one batch per user"


OVERLOADED = {"title": "Service unavailable", "status": 503, "detail": "overloaded"}


def test_refusals_are_counted_and_named(visit: Visit, server: ServerProcess) -> None:
    page = visit(server.url, expected=f"{EXPECTED}|status of 503")
    page.route(
        "**/predict",
        lambda route: route.fulfill(
            status=503, json=OVERLOADED, headers={"X-Served-By": "pod-busy", "Retry-After": "1"}
        ),
    )
    start(page, "Light")
    expect(page.locator("#load-errors")).not_to_have_text("0")
    expect(page.locator("#load-errors-tile")).to_have_class(re.compile("bad"))
    expect(page.locator("#load-pods .name")).to_contain_text("pod-busy")
    stop(page)
    expect(page.locator("#load-summary")).to_contain_text(re.compile(r"[1-9]\d* errors \(HTTP 503"))


def test_after_an_error_a_user_waits_a_second(visit: Visit, server: ServerProcess) -> None:
    page = visit(server.url, expected="ERR_FAILED")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    page.route("**/predict", lambda route: route.abort())
    start(page, "Light")
    page.wait_for_timeout(3000)
    stop(page)
    assert 20 <= len(asked) <= 50, "10 users for 3 seconds"


def test_a_service_that_goes_away_during_the_load(visit: Visit) -> None:
    with ServerProcess() as server:
        page = visit(server.url, expected="ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET")
        start(page, "Medium")
        expect(page.locator("#load-rate")).not_to_have_text("0")
        server.process.kill()
        expect(page.locator("#load-errors")).not_to_have_text("0")
        stop(page)
        expect(page.locator("#load-summary")).to_contain_text("connection failed")


def test_a_service_that_stops_answering_is_an_error_within_bounded_time(page: Page) -> None:
    page.route("**/predict", lambda _route: None)
    start(page, "Light")
    expect(page.locator("#load-summary")).to_contain_text("no answer in time", timeout=25_000)
    expect(page.locator("#load-summary")).to_contain_text("10 errors")
    expect(page.locator("#load-errors-tile")).to_have_class(re.compile("bad"))
    expect(page.get_by_role("button", name="Light")).to_be_enabled()
