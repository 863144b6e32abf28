"""An automated accessibility check (axe-core, WCAG 2 A and AA) of every state of the pages."""

from __future__ import annotations

import pytest
from browser.axe import violations
from browser.conftest import Visit
from playwright.sync_api import Page, expect
from unit.predictor.support import ServerProcess


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 360)])
def test_the_page_in_every_state(
    visit: Visit, server: ServerProcess, axe: str, scheme: str, width: int
) -> None:
    page = visit(
        server.url,
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
        reduced_motion="reduce",
    )
    assert violations(page, axe) == [], "at first"
    page.get_by_role("button", name="Predict Risk Level").click()
    expect(page.locator("#heart_rate-error")).to_contain_text("required")
    assert violations(page, axe) == [], "with errors"
    for example, level in (("Healthy adult", "Low"), ("Septic shock", "High")):
        page.get_by_role("button", name=example).click()
        expect(page.locator("#level")).to_have_text(level)
        assert violations(page, axe) == [], f"with a result: {level}"
    page.get_by_text("Model card").click()
    expect(page.locator("#card-body table")).to_have_count(4)
    page.get_by_role("button", name="Light").click()
    expect(page.locator("#load-pods .name")).to_be_visible()
    assert violations(page, axe) == [], "under load"
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#load-summary")).to_contain_text("Done")
    assert violations(page, axe) == [], "after the load"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_api_page(visit: Visit, server: ServerProcess, axe: str, scheme: str) -> None:
    page = visit(f"{server.url}/docs", color_scheme=scheme)
    page.locator("summary").first.click()
    assert violations(page, axe) == []


def test_everything_can_be_reached_by_keyboard(page: Page) -> None:
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        )
    for wanted in (
        "Skip to the form",
        "Healthy adult",
        "heart_rate",
        "temperature_unit",
        "oxygen_level",
        "Predict Risk Level",
        "load-seconds",
        "API",
        "metrics",
    ):
        assert wanted in reached
