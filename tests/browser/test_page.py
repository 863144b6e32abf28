"""The web page as a person uses it."""

from __future__ import annotations

import pytest
from browser.chromium import ARGUMENTS, program
from browser.conftest import Visit
from browser.prefix import behind_prefix
from playwright.sync_api import Browser, Page, Route, expect
from unit.predictor.support import ServerProcess

VITALS = ("heart_rate", "blood_pressure", "temperature", "oxygen_level")


def fill(page: Page, *values: str) -> None:
    for name, value in zip(VITALS, values, strict=True):
        page.fill(f"#{name}", value)


def predict(page: Page) -> None:
    page.get_by_role("button", name="Predict Risk Level").click()


def test_a_healthy_patient_is_low(page: Page) -> None:
    fill(page, "85", "120", "98.6", "97")
    predict(page)
    expect(page.locator("#level")).to_have_text("Low")
    expect(page.locator("#confidence")).to_contain_text("99")
    expect(page.locator("#probabilities li")).to_have_count(3)
    expect(page.locator("#contributions li")).to_have_count(4)
    expect(page.locator("#contributions")).to_contain_text("lowers the risk")
    expect(page.locator("#meta")).to_contain_text("Model v1, answered by pod-under-test")


@pytest.mark.parametrize(
    ("example", "level"),
    [
        ("Healthy adult", "Low"),
        ("Short of breath", "Medium"),
        ("Fever", "High"),
        ("Respiratory failure", "High"),
        ("Septic shock", "High"),
    ],
)
def test_each_example_fills_the_form_and_predicts(page: Page, example: str, level: str) -> None:
    page.get_by_role("button", name=example).click()
    expect(page.locator("#level")).to_have_text(level)
    expect(page.locator("#heart_rate")).not_to_have_value("")


def test_the_enter_key_predicts(page: Page) -> None:
    fill(page, "130", "85", "103.5", "86")
    page.press("#oxygen_level", "Enter")
    expect(page.locator("#level")).to_have_text("High")


def test_an_empty_form_names_every_field(page: Page) -> None:
    predict(page)
    for name in VITALS:
        expect(page.locator(f"#{name}-error")).to_contain_text("required")
        expect(page.locator(f"#{name}")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#heart_rate")).to_be_focused()
    expect(page.locator("#result")).to_be_hidden()


def test_a_value_out_of_range_is_named_and_hides_the_old_result(page: Page) -> None:
    page.get_by_role("button", name="Healthy adult").click()
    expect(page.locator("#result")).to_be_visible()
    page.fill("#oxygen_level", "101")
    predict(page)
    expect(page.locator("#oxygen_level-error")).to_have_text("must be 40 to 100 %")
    expect(page.locator("#result")).to_be_hidden()
    page.fill("#oxygen_level", "97")
    predict(page)
    expect(page.locator("#level")).to_have_text("Low")
    expect(page.locator("#oxygen_level-error")).to_be_hidden()


def test_celsius_is_understood(page: Page) -> None:
    fill(page, "85", "120", "37", "97")
    page.select_option("#temperature_unit", "C")
    expect(page.locator("#temperature-hint")).to_have_text("25 to 45 °C")
    predict(page)
    expect(page.locator("#level")).to_have_text("Low")
    page.fill("#temperature", "98.6")
    predict(page)
    expect(page.locator("#temperature-error")).to_have_text(
        "must be 25 to 45 °C; 98.6 may be °F, that is 37 °C; choose °F"
    )


def test_a_change_of_the_unit_keeps_the_patient(page: Page) -> None:
    page.fill("#temperature", "98.7")
    page.select_option("#temperature_unit", "C")
    expect(page.locator("#temperature")).to_have_value("37.06")
    page.select_option("#temperature_unit", "F")
    expect(page.locator("#temperature")).to_have_value("98.7")
    page.select_option("#temperature_unit", "C")
    page.fill("#temperature", "40")
    page.select_option("#temperature_unit", "F")
    expect(page.locator("#temperature")).to_have_value("104")


def test_an_extrapolation_is_warned_about(page: Page) -> None:
    fill(page, "290", "120", "98.6", "97")
    predict(page)
    expect(page.locator("#warnings")).to_contain_text("Heart rate: outside")


def test_a_warning_names_the_unit_that_was_entered(page: Page) -> None:
    fill(page, "85", "120", "43.5", "97")
    page.select_option("#temperature_unit", "C")
    predict(page)
    expect(page.locator("#warnings")).to_contain_text("Temperature: outside")
    expect(page.locator("#warnings")).to_contain_text("°C")


def test_the_model_card_opens(page: Page, server: ServerProcess) -> None:
    page.get_by_text("Model card").click()
    expect(page.locator("#card-body table")).to_have_count(4)
    expect(page.locator("#card-body")).to_contain_text("Held-out accuracy")
    bins = server.get("/model").json()["metrics"]["reliability"]
    rows = page.get_by_role("table", name="Reliability").locator("tbody tr")
    expect(rows).to_have_count(len(bins))
    expect(rows.last).to_contain_text(f"{100 * bins[-1]['accuracy']:.1f} %")
    plot = page.get_by_role("img", name="Reliability")
    expect(plot).to_be_visible()
    expect(plot.locator("circle")).to_have_count(len(bins))


def test_live_regions_are_rendered_before_they_have_something_to_say(page: Page) -> None:
    """A screen reader does not announce the text that a region already had when it appeared."""
    hidden = """() => [...document.querySelectorAll("[role=status], [role=alert], [aria-live]")]
        .filter((region) => !region.checkVisibility()).map((region) => region.outerHTML)"""
    assert page.evaluate(hidden) == []
    assert page.locator("[role=status], [role=alert]").count() == 3
    page.get_by_role("button", name="Septic shock").click()
    expect(page.get_by_role("status").filter(has_text="High risk")).to_be_visible()
    assert page.evaluate(hidden) == []


def test_without_scripts_the_page_says_what_to_do(browser: Browser, server: ServerProcess) -> None:
    # Playwright's own switch stops scripts, but lets the parser believe that they run.
    arguments = [*ARGUMENTS, "--blink-settings=scriptEnabled=false"]
    without = browser.browser_type.launch(executable_path=program(), args=arguments)
    page = without.new_page()
    page.goto(server.url)
    # Without scripts there are no locators; what a screen reader gets is there.
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
    text = " ".join(str(node.get("name", {}).get("value")) for node in tree["nodes"])
    without.close()
    assert "This page needs JavaScript" in text


def test_what_is_pressed_before_the_scripts_are_there_does_nothing_wrong(
    browser: Browser, server: ServerProcess
) -> None:
    """Sent by the browser itself, the vital signs would stand in an address, and so in logs."""
    context = browser.new_context()
    page, late = context.new_page(), list[Route]()
    page.route("**/page.js", lambda route: late.append(route))
    with page.expect_request("**/page.js"):
        page.goto(server.url, wait_until="commit")
    fill(page, "130", "85", "103.5", "86")
    page.press("#oxygen_level", "Enter")
    for name in ("Predict Risk Level", "Septic shock", "Peak Load 100 users"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()
    assert page.url == f"{server.url}/"
    late.pop().continue_()
    predict(page)
    expect(page.locator("#level")).to_have_text("High")
    context.close()


@pytest.mark.parametrize("address", ["/", "/docs"])
def test_behind_a_path_prefix(visit: Visit, server: ServerProcess, address: str) -> None:
    with behind_prefix(server.url, "/team/risk") as url:
        page = visit(url + address)
        if address == "/docs":
            expect(page.locator("pre")).to_contain_text(f"{url}/predict")
            page.get_by_role("link", name="here").click()
        page.get_by_role("button", name="Septic shock").click()
        expect(page.locator("#level")).to_have_text("High")
        page.get_by_text("Model card").click()
        expect(page.locator("#card-body table")).to_have_count(4)
        page.get_by_role("link", name="API", exact=True).click()
        openapi = page.get_by_role("link", name="openapi.json").evaluate("link => link.href")
        assert openapi == f"{url}/openapi.json"
        assert page.request.get(openapi).ok


def test_on_a_phone_the_result_comes_into_view_and_nothing_needs_sideways_scrolling(
    page: Page,
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_role("button", name="Septic shock").click()
    expect(page.locator("#result")).to_be_in_viewport(ratio=0.95)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
