"""The web page with a model that is not the default one, as a person uses it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.axe import violations
from browser.conftest import Visit
from playwright.sync_api import Page, Request, Route, expect
from unit.predictor.support import ServerProcess

from riskpredictor_server.model.schema import Unit
from support import foreign_model

PREDICT = "Predict Risk Level"


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of the early-warning model."""
    folder = foreign_model.write(tmp_path_factory.mktemp("ward") / "model")
    with ServerProcess(folder) as running:
        yield running


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of a model of 64 numbers and ten levels."""
    folder = foreign_model.write_wide(tmp_path_factory.mktemp("wide") / "model")
    with ServerProcess(folder) as running:
        yield running


@pytest.fixture
def page(visit: Visit, ward: ServerProcess) -> Page:
    """The page of the early-warning model, opened."""
    return visit(ward.url)


def sent(page: Page) -> list[Any]:
    """The records that the page asks about, as they come."""
    records: list[Any] = []

    def asked(request: Request) -> None:
        if request.post_data:
            records.append(json.loads(request.post_data))

    page.on("request", asked)
    return records


def fill(page: Page, lactate: str = "") -> None:
    """A patient who is ill."""
    page.fill("#respiratory_rate", "34")
    page.fill("#glucose", "19.5")
    page.fill("#lactate", lactate)
    page.select_option("#supplemental_oxygen", "Yes")
    page.select_option("#consciousness", "Pain")


def predict(page: Page) -> None:
    page.get_by_role("button", name=PREDICT).click()


def test_a_record_of_every_type_is_predicted(page: Page) -> None:
    records = sent(page)
    fill(page, lactate="4.5")
    predict(page)
    expect(page.locator("#level")).to_have_text("Very high")
    assert records == [
        {
            "respiratory_rate": 34,
            "glucose": 19.5,
            "lactate": 4.5,
            "supplemental_oxygen": True,
            "consciousness": "Pain",
        }
    ]
    expected = foreign_model.probabilities(records[0])
    shares = page.locator("#probabilities .value").all_inner_texts()
    assert shares[2:] == [f"{100 * p:.1f} %" for p in expected[2:]]
    expect(page.locator("#confidence")).to_have_text(f"level 4 of 4, {shares[3]} confidence")
    names = page.locator("#probabilities .name").all_inner_texts()
    assert names == foreign_model.LEVELS
    expect(page.locator("#contributions li")).to_have_count(5)
    expect(page.locator("#patient")).to_have_text(
        "Respiratory rate 34 breaths/min, glucose 19.5 mmol/L, lactate 4.5 mmol/L,"
        " supplemental oxygen yes, consciousness Pain"
    )
    expect(page.locator("#meta")).to_contain_text("log-odds of Very high against Low")
    expect(page.locator("#warnings li")).to_have_count(0)


def test_what_is_optional_may_be_left_out_and_the_result_says_what_was_scored(page: Page) -> None:
    records = sent(page)
    fill(page)
    predict(page)
    expect(page.locator("#level")).to_have_text("Very high")
    assert "lactate" not in records[0]
    expect(page.locator("#patient")).to_contain_text("lactate not given")
    expect(page.locator("#warnings")).to_contain_text("Lactate: left out: 1.2 mmol/L")


def test_abbreviations_are_written_as_the_model_writes_them(visit: Visit, tmp_path: Path) -> None:
    rows = [
        {**foreign_model.FEATURES[2], "name": name, "title": title, "unit": ""}
        for name, title in (("ph", "pH"), ("spo2", "SpO2"), ("inr", "INR"), ("age", "Age in years"))
    ]
    fills = {row["name"]: row["fill"] for row in rows}
    form = {**foreign_model.FORM, "terms": [], "fills": fills}
    example = {"title": "Well", "record": {"ph": 7.4, "spo2": 9, "age": 20}}
    folder = foreign_model.write_artifact(tmp_path / "model", rows, form, "short1", [example])
    with ServerProcess(folder) as server:
        page = visit(server.url)
        page.get_by_role("button", name="Well").click()
        expect(page.locator("#patient")).to_have_text(
            "pH 7.4, SpO2 9, INR not given, age in years 20"
        )


def test_a_half_written_optional_number_is_not_taken_for_left_out(page: Page) -> None:
    fill(page)
    page.locator("#lactate").press_sequentially("2e")
    predict(page)
    expect(page.locator("#lactate-error")).to_have_text("must be a number, 0.1 to 30 mmol/L")
    expect(page.locator("#lactate")).to_be_focused()
    expect(page.locator("#result")).to_be_hidden()


def test_an_empty_form_marks_every_required_field_and_no_other(page: Page) -> None:
    predict(page)
    for name in ("respiratory_rate", "glucose", "supplemental_oxygen", "consciousness"):
        expect(page.locator(f"#{name}-error")).to_contain_text("required")
        expect(page.locator(f"#{name}")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#supplemental_oxygen-error")).to_have_text("required: choose one")
    expect(page.locator("#lactate-error")).to_be_hidden()
    expect(page.locator("#lactate")).to_have_attribute("aria-invalid", "false")
    expect(page.locator("#respiratory_rate")).to_be_focused()
    expect(page.locator("#verdict")).to_contain_text("Correct the marked inputs, then predict")


def test_errors_stand_at_the_right_fields(page: Page) -> None:
    fill(page, lactate="31")
    page.fill("#respiratory_rate", "18.5")
    page.fill("#glucose", "351")
    predict(page)
    expect(page.locator("#respiratory_rate-error")).to_have_text(
        "must be a whole number, 4 to 70 breaths/min"
    )
    expect(page.locator("#glucose-error")).to_have_text(
        "must be 0.5 to 50 mmol/L; 351 may be mg/dL, that is 19.48 mmol/L; choose mg/dL"
    )
    expect(page.locator("#lactate-error")).to_have_text("must be 0.1 to 30 mmol/L")
    for name in ("supplemental_oxygen", "consciousness"):
        expect(page.locator(f"#{name}-error")).to_be_hidden()


def test_a_yes_no_question_starts_unanswered_and_no_is_an_answer(page: Page) -> None:
    expect(page.locator("#supplemental_oxygen")).to_have_value("")
    records = sent(page)
    fill(page)
    page.get_by_label("Supplemental oxygen").select_option("No")
    predict(page)
    expect(page.locator("#patient")).to_contain_text("supplemental oxygen no")
    assert records[0]["supplemental_oxygen"] is False


def test_another_unit_keeps_the_patient_and_is_told_to_the_service(page: Page) -> None:
    records = sent(page)
    fill(page, lactate="4.5")
    page.select_option("#glucose_unit", "mg/dL")
    expect(page.locator("#glucose")).to_have_value("351.35")
    expect(page.locator("#glucose-hint")).to_have_text("9.00901 to 900.901 mg/dL")
    page.select_option("#glucose_unit", "mmol/L")
    expect(page.locator("#glucose")).to_have_value("19.5")
    page.select_option("#glucose_unit", "mg/dL")
    predict(page)
    expect(page.locator("#patient")).to_contain_text("glucose 351.35 mg/dL")
    assert (records[0]["glucose"], records[0]["glucose_unit"]) == (351.35, "mg/dL")


def test_the_ends_of_a_range_stay_in_it_in_every_unit(page: Page) -> None:
    for end, shown in (("50", "900.9009009009009"), ("0.5", "9.00900900900901")):
        fill(page)
        page.select_option("#glucose_unit", "mmol/L")
        page.fill("#glucose", end)
        page.select_option("#glucose_unit", "mg/dL")
        expect(page.locator("#glucose")).to_have_value(re.compile(rf"^{shown[:5]}"))
        predict(page)
        expect(page.locator("#result")).to_be_visible()


def test_a_warning_names_the_unit_that_was_entered(page: Page) -> None:
    fill(page)
    page.select_option("#glucose_unit", "mg/dL")
    page.fill("#glucose", "720")
    predict(page)
    expect(page.locator("#warnings")).to_contain_text(
        "Glucose: outside the 2.2 to 31.4 mmol/L (39.6 to 565.8 mg/dL) that the model was"
    )


def test_a_value_that_training_never_saw_is_warned_about(page: Page) -> None:
    fill(page)
    page.select_option("#consciousness", "Unresponsive")
    predict(page)
    expect(page.locator("#warnings")).to_contain_text("Consciousness: no record that the model")


def test_page_and_service_convert_units_to_the_same_number(page: Page) -> None:
    """To the last bit: what the page converts, the service takes for the same patient."""
    units = [
        Unit("°C", 1.8, 32),
        Unit("mg/dL", 0.0555),
        Unit("umol/L", 0.0113),
        Unit("K", 1, -273.15),
    ]
    values = [0.1, 1.0, 36.6, 37.06, 98.6, 417.25, 1e-3]
    asked = [
        [value, {"ratio": list(unit.ratio), "offset": unit.offset}]
        for unit in units
        for value in values
    ]
    converted = page.evaluate(
        """async (asked) => {
             const { convert } = await import("./static/units.js");
             const own = { ratio: [1, 1], offset: 0 };
             return asked.map(([value, unit]) =>
               [convert(value, unit, own), convert(value, own, unit)]);
           }""",
        asked,
    )
    assert converted == [
        [unit.to_own(value), unit.from_own(value)] for unit in units for value in values
    ]


@pytest.mark.parametrize(
    ("example", "level"),
    [("Stable on the ward", "Low"), ("Hyperglycaemia", "Moderate"), ("Deteriorating", "Very high")],
)
def test_each_example_fills_the_form_and_predicts(page: Page, example: str, level: str) -> None:
    page.select_option("#glucose_unit", "mg/dL")
    page.get_by_role("button", name=example).click()
    expect(page.locator("#level")).to_have_text(level)
    expect(page.locator("#glucose_unit")).to_have_value("mmol/L")
    expect(page.locator("#supplemental_oxygen")).not_to_have_value("")


def test_an_example_that_leaves_a_feature_out_empties_its_field(page: Page) -> None:
    page.fill("#lactate", "7")
    page.get_by_role("button", name="Deteriorating").click()
    expect(page.locator("#level")).to_have_text("Very high")
    expect(page.locator("#lactate")).to_have_value("")


def needle(page: Page, probabilities: list[float]) -> float:
    """Where the needle points for an answer with these probabilities, in degrees from the top."""

    def answer(route: Route) -> None:
        body = route.fetch().json()
        body["probabilities"] = dict(zip(body["probabilities"], probabilities, strict=True))
        route.fulfill(json=body)

    page.route("**/predict", answer)
    page.locator(".chip").first.click()
    shown = [f"{100 * probability:.1f} %" for probability in probabilities]
    expect(page.locator("#probabilities .value")).to_have_text(shown)
    page.unroute("**/predict")
    style = page.locator("#needle").get_attribute("style") or ""
    return float(re.findall(r"rotate\((.*?)deg\)", style)[0])


def test_the_needle_points_to_the_part_of_the_gauge_that_is_certain(
    page: Page, visit: Visit, server: ServerProcess, wide: ServerProcess
) -> None:
    for tab, levels in ((page, 4), (visit(server.url), 3), (visit(wide.url), 10)):
        for level in range(levels):
            certain = [float(index == level) for index in range(levels)]
            degrees = needle(tab, certain)
            assert int((degrees + 90) / (180 / levels)) == level, f"{levels} levels: {degrees}"
    assert needle(visit(server.url), [0.1, 0.2, 0.7]) == pytest.approx(70 * 0.6)


def test_the_colours_of_three_levels_are_what_they_were(
    page: Page, visit: Visit, server: ServerProcess
) -> None:
    colours = "nodes => nodes.map((node) => getComputedStyle(node).stroke)"
    three = visit(server.url).locator(".arc").evaluate_all(colours)
    assert three == ["rgb(30, 122, 70)", "rgb(168, 98, 0)", "rgb(179, 38, 30)"]
    four = page.locator(".arc").evaluate_all(colours)
    assert len(set(four)) == 4
    assert (four[0], four[-1]) == (three[0], three[-1])


def test_the_model_card_shows_features_of_every_type(page: Page) -> None:
    page.get_by_text("Model card").click()
    table = page.get_by_role("table", name="Inputs")
    expect(table.locator("tbody tr")).to_have_count(5)
    rows = [
        [cell.replace("\xa0", " ") for cell in row.locator("th, td").all_inner_texts()]
        for row in table.locator("tr").all()
    ]
    assert rows[0][5:] == ["Left out", "Scored instead", "Risk"]
    assert rows[3] == [
        "lactate", "mmol/L", "0.1 to 30", "0.3 to 14.6", "1.7", "35.0 %", "1.2", "rises: holds",
    ]  # fmt: skip
    assert rows[4][:4] == ["supplemental_oxygen", "", "no, yes", "no 82.0 %, yes 18.0 %"]
    assert rows[5][2] == "Alert, Voice, Pain, Unresponsive"
    levels = page.get_by_role("table", name="Per level").locator("tbody th").all_inner_texts()
    assert levels == foreign_model.LEVELS


def test_the_model_card_says_how_far_its_figures_may_be_off_and_what_does_not_hold(
    page: Page,
) -> None:
    def told(route: Route) -> None:
        card = route.fetch().json()
        card["metrics"] |= {
            "intervals": {
                "level": 0.95,
                "method": "bootstrap of records",
                "accuracy": [0.91, 0.97],
                "recall": {"Low": [0.88, 0.99], "High": None},
                "calibration_slope": [0.8, 1.25],
                "calibration_intercept": None,
            },
            "calibration": {
                "of": "Very high against the other levels",
                "intercept": -0.12,
                "slope": 1.04,
            },
        }
        fall = "P(Very high) falls from 0.4 to 0.2"
        card["features"][0]["monotone"] |= {"holds": False, "detail": fall}
        route.fulfill(json=card)

    page.route("**/model", told)
    page.get_by_text("Model card").click()
    body = page.locator("#card-body")
    expect(body).to_contain_text("Held-out accuracy 94.0 % (91.0 % to 97.0 %)")
    expect(body).to_contain_text("intercept \N{MINUS SIGN}0.12, slope 1.04 (0.80 to 1.25);")
    expect(body).to_contain_text("95 % intervals (bootstrap of records)")
    rows = page.get_by_role("table", name="Per level").locator("tbody tr")
    expect(rows.nth(0)).to_contain_text("0.94 (0.88 to 0.99)")
    expect(rows.nth(2)).not_to_contain_text("(")
    expect(body.locator(".warnings")).to_have_text(
        "Risk of respiratory_rate was declared as rises outside 12..20, and that does not hold:"
        " P(Very high) falls from 0.4 to 0.2"
    )


def test_a_model_card_of_little_still_opens(page: Page) -> None:
    def bare(route: Route) -> None:
        card = route.fetch().json()
        for name in ("metrics", "recipe", "data", "model_type", "intended_use"):
            del card[name]
        route.fulfill(json=card)

    page.route("**/model", bare)
    page.get_by_text("Model card").click()
    expect(page.locator("#card-body table")).to_have_count(1)
    expect(page.locator("#card-body p").first).to_have_text("Version ward1.")


def test_after_a_roll_out_to_another_record_the_page_says_to_reload(
    page: Page, server: ServerProcess
) -> None:
    """The form was made by one model, and another one answers."""

    def other(route: Route) -> None:
        answer = server.post("/predict", route.request.post_data_json)
        route.fulfill(status=answer.status, headers=dict(answer.headers), body=answer.body)

    page.route("**/predict", other)
    fill(page)
    predict(page)
    expect(page.locator("#form-error")).to_have_text(
        "The service now answers with model v1, which asks for other inputs. Reload this page."
    )
    expect(page.locator("#respiratory_rate-error")).to_be_hidden()


def test_an_answer_with_other_levels_is_not_shown_as_if_it_had_ours(page: Page) -> None:
    def other(route: Route) -> None:
        answer = route.fetch().json()
        answer |= {"probabilities": {"Low": 0.4, "High": 0.6}, "model_version": "ward2"}
        route.fulfill(json=answer)

    page.route("**/predict", other)
    fill(page)
    predict(page)
    expect(page.locator("#form-error")).to_contain_text("model ward2, which asks for other inputs")
    expect(page.locator("#result")).to_be_hidden()


def test_a_warning_about_a_field_that_is_not_on_the_page_is_shown_by_its_name(page: Page) -> None:
    def other(route: Route) -> None:
        answer = route.fetch().json()
        answer |= {"contributions": None, "warnings": [{"field": "age", "detail": "left out"}]}
        route.fulfill(json=answer)

    page.route("**/predict", other)
    fill(page)
    predict(page)
    expect(page.locator("#warnings")).to_have_text("age: left out")
    expect(page.locator("#contributions")).to_have_text(
        "This model does not explain single inputs."
    )


def test_by_keyboard_alone(page: Page) -> None:
    page.focus("#respiratory_rate")
    for keys in ("34", "19.5", None, "", "Y", "P"):
        if keys:
            page.keyboard.type(keys)
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=PREDICT)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#level")).to_have_text("Very high")


def test_on_a_phone_the_form_is_one_column_and_nothing_needs_sideways_scrolling(
    page: Page, visit: Visit, wide: ServerProcess
) -> None:
    for tab in (page, visit(wide.url)):
        tab.set_viewport_size({"width": 360, "height": 740})
        lefts = tab.locator(".field").evaluate_all(
            "nodes => nodes.map((node) => node.getBoundingClientRect().left)"
        )
        assert len(set(lefts)) == 1
        tab.locator(".chip").last.click()
        expect(tab.locator("#verdict")).to_be_in_viewport(ratio=0.95)
        tab.get_by_text("Model card").click()
        expect(tab.locator("#card-body table").first).to_be_visible()
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("version", ["ward-ews-1", "v" * 63], ids=["usual", "longest"])
def test_the_name_of_a_version_does_not_widen_a_phones_page(
    visit: Visit, tmp_path: Path, version: str
) -> None:
    with ServerProcess(foreign_model.write(tmp_path / "model", version)) as server:
        page = visit(server.url, viewport={"width": 360, "height": 740})
        expect(page.locator(".facts")).to_have_text(f"model {version}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_64_features_fit_a_wide_screen(visit: Visit, wide: ServerProcess) -> None:
    page = visit(wide.url, viewport={"width": 1600, "height": 900})
    columns = page.locator(".field").evaluate_all(
        "nodes => new Set(nodes.map((node) => node.getBoundingClientRect().left)).size"
    )
    assert columns >= 4
    page.get_by_role("button", name="All at 100").click()
    expect(page.locator("#level")).to_have_text("Level 10")
    for place in (page.locator(".chip").first, page.locator("#value_32")):
        place.scroll_into_view_if_needed()
        expect(page.locator("#verdict")).to_be_in_viewport(ratio=0.95)
    predict(page)
    expect(page.locator("#level")).to_have_text("Level 10")
    expect(page.locator("#verdict")).to_be_in_viewport(ratio=0.95)
    first = page.locator("#contributions > li")
    expect(first).to_have_count(11)
    expect(first.first).to_contain_text("Value 64")
    page.get_by_text("54 smaller ones").click()
    expect(page.locator("#contributions .rest li").last).to_contain_text("Value 1")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 360)])
def test_accessibility_in_every_state(
    visit: Visit,
    ward: ServerProcess,
    axe: str,
    scheme: str,
    width: int,
) -> None:
    size = {"width": width, "height": 800}
    page = visit(ward.url, color_scheme=scheme, viewport=size, reduced_motion="reduce")
    assert violations(page, axe) == [], "at first"
    predict(page)
    expect(page.locator("#glucose-error")).to_contain_text("required")
    assert violations(page, axe) == [], "with errors"
    for example in ("Stable on the ward", "Hyperglycaemia", "Deteriorating"):
        page.get_by_role("button", name=example).click()
        expect(page.locator("#verdict")).to_have_class(re.compile("known"))
        assert violations(page, axe) == [], f"with a result: {example}"
    page.get_by_text("Model card").click()
    expect(page.locator("#card-body table")).to_have_count(4)
    assert violations(page, axe) == [], "with the model card"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_level_can_be_read(
    visit: Visit,
    wide: ServerProcess,
    axe: str,
    scheme: str,
) -> None:
    page = visit(wide.url, color_scheme=scheme, reduced_motion="reduce")
    page.get_by_role("button", name="All at 100").click()
    expect(page.locator("#level")).to_have_text("Level 10")
    assert violations(page, axe) == []
    shades = page.locator(".arc").evaluate_all("nodes => nodes.map((n) => n.classList[1])")
    assert len(shades) == 10
    for shade in shades:
        page.evaluate(
            "shade => (document.getElementById('verdict').className = `verdict known ${shade}`)",
            shade,
        )
        assert violations(page, axe) == [], shade


def test_the_api_page(visit: Visit, ward: ServerProcess, axe: str) -> None:
    page = visit(f"{ward.url}/docs")
    expect(page.locator("pre")).to_contain_text("consciousness")
    assert violations(page, axe) == []
