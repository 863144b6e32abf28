"""What a person sees while a second model is on trial beside the one of the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from browser.axe import violations
from browser.conftest import Visit
from browser.test_page import predict
from playwright.sync_api import Page, Route, expect
from unit.predictor.support import ServerProcess, artifact

LINE = "Answered by v2, which is on trial beside v1."


@contextmanager
def candidate(percent: int) -> Iterator[ServerProcess]:
    """A pod of v1 in which v2 answers so many percent."""
    beside = str(artifact("v2"))
    with ServerProcess(candidate=beside, candidate_percent=str(percent), guard="None") as server:
        yield server


@pytest.fixture(scope="module")
def canary() -> Iterator[ServerProcess]:
    with candidate(100) as server:
        yield server


def healthy(page: Page) -> None:
    page.get_by_role("button", name="Healthy adult").click()
    expect(page.locator("#level")).to_have_text("Low")


def test_an_answer_of_the_model_on_trial_says_so(visit: Visit, canary: ServerProcess) -> None:
    page = visit(canary.url)
    healthy(page)
    expect(page.locator(".trial")).to_have_text(LINE)
    expect(page.locator("#meta")).to_contain_text("Model v2, answered by pod-under-test")
    expect(page.locator("#contributions li")).to_have_count(4)


def test_no_other_answer_says_so(visit: Visit) -> None:
    with candidate(0) as server:
        page = visit(server.url)
        healthy(page)
        expect(page.locator("#meta")).to_have_text(re.compile("^Model v1, answered by"))
        expect(page.locator(".trial")).to_have_count(0)


def test_the_line_goes_with_the_answer_that_it_was_about(
    visit: Visit, canary: ServerProcess, server: ServerProcess
) -> None:
    page = visit(canary.url)
    healthy(page)
    expect(page.locator(".trial")).to_be_visible()
    page.fill("#heart_rate", "90")
    expect(page.locator(".trial")).to_be_hidden()
    # Another pod, which has no candidate any more.
    page.route(
        "**/predict", lambda route: route.fulfill(response=route.fetch(url=f"{server.url}/predict"))
    )
    predict(page)
    expect(page.locator("#meta")).to_have_text(re.compile("^Model v1, answered by"))
    expect(page.locator(".trial")).to_have_count(0)


def test_nothing_before_the_line_moves_when_it_comes(
    visit: Visit, canary: ServerProcess, server: ServerProcess
) -> None:
    places = """() => [...document.querySelectorAll("#verdict, #result > :not(#meta)")]
        .filter((part) => part.checkVisibility())
        .map((part) => [part.id, Math.round(part.getBoundingClientRect().top + scrollY)])"""

    def measured(url: str) -> object:
        page = visit(url)
        healthy(page)
        return page.evaluate(places)

    assert measured(canary.url) == measured(server.url)


def test_a_model_on_trial_may_have_more_features(visit: Visit, canary: ServerProcess) -> None:
    """The real answer, but for one more contribution: of a feature that is optional."""
    page = visit(canary.url)
    with_another(page, lambda answer: answer["contributions"].update(lactate=0.4))
    healthy(page)
    expect(page.locator("#contributions li")).to_have_count(5)
    expect(page.locator("#contributions li").last).to_contain_text("lactate")
    expect(page.locator(".trial")).to_have_text(LINE)


def test_a_model_that_took_the_place_of_the_page_s_own_may_not(
    visit: Visit, server: ServerProcess
) -> None:
    page = visit(server.url)
    with_another(page, lambda answer: answer["contributions"].update(lactate=0.4))
    page.get_by_role("button", name="Healthy adult").click()
    expect(page.locator("#form-error")).to_contain_text("asks for other inputs. Reload this page.")


def with_another(page: Page, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the answers on their way to the page."""

    def changed(route: Route) -> None:
        response = route.fetch()
        answer = response.json()
        change(answer)
        route.fulfill(response=response, json=answer)

    page.route("**/predict", changed)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_line_is_accessible(visit: Visit, canary: ServerProcess, axe: str, scheme: str) -> None:
    page = visit(canary.url, color_scheme=scheme, reduced_motion="reduce")
    healthy(page)
    expect(page.locator(".trial")).to_be_visible()
    assert violations(page, axe) == []
