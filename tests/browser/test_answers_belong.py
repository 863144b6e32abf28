"""What the page shows as a result always belongs to the vital signs in its form."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from browser.test_page import fill, predict
from playwright.sync_api import Error, Page, Route, expect

HEALTHY = ("85", "120", "98.6", "97")


class Held:
    """Predictions that wait on their way to the service until the test lets them go."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._routes: list[Route] = []
        page.route("**/predict", lambda route: self._routes.append(route))

    def wait(self, count: int) -> None:
        """Until so many have been asked for."""
        deadline = time.monotonic() + 5
        while len(self._routes) < count:
            assert time.monotonic() < deadline, f"{len(self._routes)} of {count} questions came"
            self._page.wait_for_timeout(20)

    def release(self, number: int) -> None:
        """Let it go, and give the page time to act on its answer."""
        # The page may have dropped it: then there is nothing left to answer.
        with contextlib.suppress(Error):
            self._routes[number].continue_()
        self._page.wait_for_timeout(300)


@pytest.fixture
def answered(page: Page) -> Page:
    """The page with the result of a healthy patient."""
    fill(page, *HEALTHY)
    predict(page)
    expect(page.locator("#level")).to_have_text("Low")
    return page


def test_a_late_answer_to_an_earlier_patient_is_never_shown(page: Page) -> None:
    held = Held(page)
    page.get_by_role("button", name="Healthy adult").click()
    held.wait(1)
    page.get_by_role("button", name="Septic shock").click()
    held.wait(2)
    held.release(1)
    expect(page.locator("#level")).to_have_text("High")
    held.release(0)
    expect(page.locator("#heart_rate")).to_have_value("130")
    expect(page.locator("#level")).to_have_text("High")


def test_a_vital_that_changes_while_its_answer_is_under_way_gets_none(page: Page) -> None:
    held = Held(page)
    fill(page, *HEALTHY)
    predict(page)
    held.wait(1)
    page.fill("#oxygen_level", "80")
    held.release(0)
    expect(page.locator("#result")).to_be_hidden()
    expect(page.locator("#verdict")).to_contain_text("The vital signs changed: predict again")


@pytest.mark.parametrize("name", ["heart_rate", "blood_pressure", "temperature", "oxygen_level"])
def test_a_changed_vital_takes_the_result_away(answered: Page, name: str) -> None:
    answered.locator(f"#{name}").press_sequentially("1")
    expect(answered.locator("#result")).to_be_hidden()
    expect(answered.locator("#level")).not_to_have_text("Low")
    expect(answered.locator("#verdict")).to_contain_text("The vital signs changed: predict again")


def test_a_changed_unit_takes_the_result_away(answered: Page) -> None:
    answered.select_option("#temperature_unit", "C")
    expect(answered.locator("#result")).to_be_hidden()
    expect(answered.locator("#verdict")).to_contain_text("The vital signs changed: predict again")


def test_the_result_says_whose_it_is(answered: Page) -> None:
    expect(answered.locator("#patient")).to_have_text(
        "Heart rate 85 bpm, blood pressure 120 mmHg, temperature 98.6 °F, oxygen level 97 %"
    )
    answered.fill("#temperature", "37")
    answered.select_option("#temperature_unit", "C")
    predict(answered)
    expect(answered.locator("#patient")).to_contain_text("temperature 37 °C")


def test_a_service_that_never_answers_is_given_up_and_can_be_asked_again(page: Page) -> None:
    page.route("**/predict", lambda _route: None)
    fill(page, *HEALTHY)
    predict(page)
    expect(page.locator("#form-error")).to_contain_text("within 10 seconds", timeout=12_000)
    expect(page.locator("#verdict")).not_to_contain_text("Asking")
    page.unroute("**/predict")
    predict(page)
    expect(page.locator("#level")).to_have_text("Low")
    expect(page.locator("#form-error")).to_be_empty()


def test_a_vital_that_does_not_matter_is_said_so(page: Page) -> None:
    """The real answer, but for one contribution that happens to be nothing."""

    def without_heart_rate(route: Route) -> None:
        answer = route.fetch().json()
        answer["contributions"]["heart_rate"] = -0.0
        route.fulfill(json=answer)

    page.route("**/predict", without_heart_rate)
    fill(page, *HEALTHY)
    predict(page)
    first = page.locator("#contributions li").first
    expect(first).to_have_text(re.compile(r"Heart rate\s*0\.0\s*does not move the risk"))
    expect(page.locator("#contributions li").nth(1)).to_contain_text("lowers the risk")
