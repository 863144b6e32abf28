"""Everything that can go wrong behind the form and the model card, as a person sees it."""

from __future__ import annotations

from pathlib import Path

from browser.conftest import EXPECTED, Visit
from browser.test_page import fill, predict
from playwright.sync_api import Page, expect
from unit.predictor.support import ServerProcess, artifact, changed_copy

HEALTHY = ("85", "120", "98.6", "97")


def expect_failure(page: Page, text: str) -> None:
    """The reason is said aloud beside the button, and no result is shown."""
    # The notice above the form may name the same reason.
    expect(page.get_by_role("alert").and_(page.locator("#form-error"))).to_contain_text(text)
    expect(page.locator("#result")).to_be_hidden()
    expect(page.locator("#level")).to_have_text("No result")


def test_a_service_that_is_gone(visit: Visit) -> None:
    with ServerProcess() as server:
        page = visit(server.url, expected="ERR_CONNECTION")
        fill(page, *HEALTHY)
        predict(page)
        expect(page.locator("#level")).to_have_text("Low")
    predict(page)
    expect_failure(page, "The service did not answer. Is it still running?")
    page.get_by_text("Model card").click()
    expect(page.locator("#card-body")).to_contain_text("could not be read: The service did not")


def test_a_service_without_its_model(visit: Visit, tmp_path: Path) -> None:
    folder = changed_copy(artifact(), tmp_path)
    (folder / "scorer.json").write_text("{}")
    with ServerProcess(folder) as server:
        page = visit(server.url)
        expect(page.get_by_role("alert").first).to_contain_text("scorer.json: digest mismatch")
        expect(page.locator(".pill")).to_have_text("no model")
        # What to ask for, only a model says.
        expect(page.get_by_role("button")).to_have_count(0)


def test_an_error_page_of_a_proxy(visit: Visit, server: ServerProcess) -> None:
    page = visit(server.url, expected="status of 502")
    page.route("**/predict", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    fill(page, *HEALTHY)
    predict(page)
    expect_failure(page, "Something between this page and the service answered: HTTP 502")


def test_an_overloaded_service(visit: Visit, server: ServerProcess) -> None:
    page = visit(server.url, expected="status of 503")
    detail = "overloaded: requests queue too long here"
    page.route("**/predict", lambda route: route.fulfill(status=503, json={"detail": detail}))
    fill(page, *HEALTHY)
    predict(page)
    expect_failure(page, detail)
    page.unroute("**/predict")
    predict(page)
    expect(page.locator("#level")).to_have_text("Low")
    expect(page.locator("#form-error")).to_be_empty()


def test_a_model_card_that_could_not_be_read_is_read_at_the_next_opening(
    visit: Visit, server: ServerProcess
) -> None:
    page = visit(server.url, expected=f"{EXPECTED}|ERR_FAILED")
    page.route("**/model", lambda route: route.abort())
    card = page.get_by_role("heading", name="Model card")
    card.click()
    expect(page.locator("#card-body .error")).to_be_visible()
    page.unroute("**/model")
    card.click()
    card.click()
    expect(page.locator("#card-body")).to_contain_text("Held-out accuracy")


def test_what_is_not_a_number_is_named_beside_everything_else_that_is_wrong(page: Page) -> None:
    fill(page, "85", "120", "98.6", "140")
    page.fill("#heart_rate", "")
    # To a script, the value of a half-written number is empty.
    page.locator("#heart_rate").press_sequentially("12e")
    predict(page)
    expect(page.locator("#heart_rate-error")).to_have_text("must be a number, 20 to 300 bpm")
    expect(page.locator("#oxygen_level-error")).to_have_text("must be 40 to 100 %")
    expect(page.locator("#heart_rate")).to_be_focused()
    expect(page.locator("#verdict")).to_contain_text("Correct the marked vital signs")
