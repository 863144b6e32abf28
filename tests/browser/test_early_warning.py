"""The web page of a model of one's own, trained by the example, from the form to the result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser.conftest import Visit
from playwright.sync_api import Page, expect
from unit.predictor.support import ServerProcess

from support.early_warning import ILL, train

TEMPERATURE_C = 38.2


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(train(tmp_path_factory.mktemp("early-warning"))) as running:
        yield running


@pytest.fixture
def page(visit: Visit, ward: ServerProcess) -> Page:
    return visit(ward.url)


def fill(page: Page) -> None:
    """A patient who is ill, in °C, and without lactate."""
    for name, value in ILL.items():
        if isinstance(value, bool):
            page.select_option(f"#{name}", "true" if value else "false")
        elif isinstance(value, str):
            page.select_option(f"#{name}", value)
        else:
            page.fill(f"#{name}", str(value))
    page.select_option("#temperature_unit", "C")
    page.fill("#temperature", str(TEMPERATURE_C))
    page.fill("#lactate", "")


def test_the_form_has_the_features_of_the_schema(page: Page) -> None:
    labels = [text.strip() for text in page.locator("#record label").all_inner_texts()]
    assert labels == [
        "Respiratory rate", "Oxygen saturation", "Supplemental oxygen", "Systolic pressure",
        "Pulse", "Consciousness", "Temperature", "Age", "Lactate (optional)",
    ]  # fmt: skip
    values = page.locator("#consciousness option").all_inner_texts()
    assert values == ["Choose", "Alert", "Confusion", "Voice", "Pain", "Unresponsive"]


def test_a_patient_is_predicted_as_the_service_predicts(page: Page, ward: ServerProcess) -> None:
    fill(page)
    page.get_by_role("button", name="Predict Risk Level").click()
    expect(page.locator("#level")).to_have_text("High")
    record = {name: value for name, value in ILL.items() if name != "lactate"}
    record |= {"temperature": TEMPERATURE_C, "temperature_unit": "C"}
    answer = ward.post("/predict", record).json()
    shares = [f"{100 * share:.1f} %" for share in answer["probabilities"].values()]
    assert page.locator("#probabilities .value").all_inner_texts() == shares
    expect(page.locator("#meta")).to_contain_text("Model ward-ews-1, answered by pod-under-test")
    expect(page.locator("#warnings")).to_contain_text("Lactate: left out")
    expect(page.locator("#contributions li").first).to_contain_text("raises the risk")


@pytest.mark.parametrize("level", ["Low", "High"])
def test_an_example_of_the_training_fills_the_form_and_predicts(page: Page, level: str) -> None:
    page.get_by_role("button", name=f"Example of {level}").click()
    expect(page.locator("#level")).to_have_text(level)
    expect(page.locator("#respiratory_rate")).not_to_have_value("")
