"""The web page is made from the record of the model that answers, whatever that record is."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from unit.predictor.support import artifact

from riskpredictor_server.api.service import Service
from riskpredictor_server.model.schema import DEFAULT_LEVELS, Feature, Schema, Unit
from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.settings import Settings
from riskpredictor_server.web.app import create_app
from riskpredictor_server.web.form import Form, keypad
from support import foreign_model

WEB = Path(create_app.__code__.co_filename).parent


def page_of(folder: Path) -> str:
    client = create_app(Service(Settings(model=folder, pod_name="pod"))).test_client()
    answer = client.get("/")
    assert answer.status_code == 200
    return str(answer.get_data(as_text=True))


def data_of(page: str) -> Any:
    """What the scripts read."""
    found = re.search(r"data-schema='([^']*)'", page)
    assert found
    return json.loads(html.unescape(found[1]))


def renamed(folder: Path, *names: str) -> Path:
    """A model of numbers with these names."""
    rows = [{**foreign_model.FEATURES[1], "units": {}, "name": name} for name in names]
    form = {**foreign_model.FORM, "terms": [], "fills": {}}
    record = dict.fromkeys(names, 5)
    examples = [{"title": "Example", "record": record}]
    return foreign_model.write_artifact(folder, rows, form, "named1", examples)


def with_levels(*names: str) -> Form:
    return Form(Schema(VITALS.features, names), "v1", [])


def test_no_part_of_the_web_page_names_a_feature() -> None:
    """Features come from models: what a template or script says of one is untrue of most."""
    texts = {
        path.name: path.read_text(encoding="utf-8")
        for path in WEB.rglob("*")
        if path.suffix in (".py", ".js", ".html", ".css")
    }
    assert {"index.html", "fields.js", "form.py"} <= set(texts)
    words = [*VITALS.names, *(feature.title for feature in VITALS.features), "vital sign"]
    found = [(name, word) for name, text in texts.items() for word in words if word in text]
    assert found == []


def test_nothing_of_the_default_model_is_on_the_page_of_another(tmp_path: Path) -> None:
    page = page_of(foreign_model.write(tmp_path / "model"))
    for word in ("vital", "heart", "pressure", "temperature", "oxygen_level", "Septic"):
        assert word.lower() not in page.lower()
    assert "Patient risk from five inputs" in page
    assert '<h2 id="record-title">Inputs</h2>' in page
    assert "Enter inputs or choose an example, then predict." in page
    for title in ("Stable on the ward", "Hyperglycaemia", "Deteriorating"):
        assert f">{title}</button>" in page


def test_a_field_is_of_the_kind_of_its_feature(tmp_path: Path) -> None:
    page = page_of(foreign_model.write(tmp_path / "model"))

    def field(name: str) -> str:
        found = re.search(
            rf'<div class="field" data-field="{name}">.*?</div>.*?</div>', page, re.DOTALL
        )
        assert found
        return " ".join(found[0].split())

    assert 'type="number" inputmode="numeric" step="1"' in field("respiratory_rate")
    assert 'type="number" inputmode="decimal" step="any"' in field("glucose")
    assert '<option value="mg/dL">mg/dL</option>' in field("glucose")
    assert "(optional)" in field("lactate")
    assert "required>" not in field("lactate")
    for name, values in (
        ("supplemental_oxygen", ["", "true", "false"]),
        ("consciousness", ["", "Alert", "Voice", "Pain", "Unresponsive"]),
    ):
        assert re.findall(r'<option value="([^"]*)"', field(name)) == values
        assert "required>" in field(name)


def test_without_examples_there_is_no_row_of_them() -> None:
    form = Form(VITALS, "v1", [])
    app = create_app(Service(Settings(model=artifact(), pod_name="pod")))
    with app.test_request_context():
        page = app.jinja_env.get_template("index.html").render(
            form=form,
            service=app.extensions["riskpredictor"],
            element_id=lambda f: f.name,
            keypad=keypad,
        )
    assert "chips" not in page
    assert "Enter vital signs, then predict." in page


def test_every_id_is_there_once_whatever_the_features_are_called(tmp_path: Path) -> None:
    """A feature may be called as a part of the page is."""
    own = set(re.findall(r'\bid="([^"]+)"', page_of(artifact())))
    names = [name for name in own if re.fullmatch(r"[a-z][a-z0-9_]*", name)]
    roots = [name.rsplit("-", 1)[0] for name in own if name.endswith(("-hint", "-error"))]
    features = sorted(
        {*names, *(root for root in roots if root.isidentifier()), "dataset", "length"}
    )
    assert {"level", "result", "form"} <= set(features)
    page = page_of(renamed(tmp_path / "model", *features))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert sorted(ids) == sorted(set(ids))
    for pointed in re.findall(r'(?:for|aria-labelledby)="([^"]+)"', page):
        assert pointed in ids


def test_titles_and_values_are_text_not_markup(tmp_path: Path) -> None:
    values = ["it's", '"x" & <y>']
    row = {**foreign_model.FEATURES[4], "title": "<b>a</b>", "values": values}
    row |= {"trained_on": {"values": values}, "baseline": {"values": values, "shares": [0.5, 0.5]}}
    form = {**foreign_model.FORM, "terms": [], "fills": {}}
    examples = [{"title": "<i>e</i>", "record": {"consciousness": "it's"}}]
    page = page_of(foreign_model.write_artifact(tmp_path / "model", [row], form, "odd1", examples))
    assert "<b>" not in page
    assert "<i>" not in page
    assert "<y>" not in page
    assert data_of(page)["features"][0]["title"] == "<b>a</b>"


@pytest.mark.parametrize("count", range(2, 11))
def test_levels_have_colours_of_their_own_from_lowest_to_highest(count: int) -> None:
    levels = with_levels(*(f"L{number}" for number in range(count))).levels
    shades = [level.shade for level in levels]
    assert len(set(shades)) == count
    assert shades[0] == "low"
    assert shades[-1] == "high"
    css = (WEB / "static/page.css").read_text(encoding="utf-8")
    for shade in shades:
        assert f".{shade} {{ --shade:" in css


def test_three_levels_are_drawn_as_ever() -> None:
    assert [(level.shade, level.arc) for level in with_levels("A", "B", "C").levels] == [
        ("low", "M10 60A50 50 0 0 1 35 16.7"),
        ("medium", "M35 16.7A50 50 0 0 1 85 16.7"),
        ("high", "M85 16.7A50 50 0 0 1 110 60"),
    ]


def test_the_gauge_has_no_gaps() -> None:
    arcs = [level.arc for level in with_levels(*"ABCDEFG").levels]
    ends = [arc.rsplit(" 0 0 1 ", 1)[1] for arc in arcs]
    assert [arc[1:].split("A")[0] for arc in arcs] == ["10 60", *ends[:-1]]
    assert ends[-1] == "110 60"


def test_only_low_medium_and_high_are_said_with_the_word_risk() -> None:
    assert with_levels(*DEFAULT_LEVELS).data["noun"] == " risk"
    assert with_levels("Green", "Red").data["noun"] == ""


def test_scripts_get_each_unit_with_its_exact_ratio_and_range(tmp_path: Path) -> None:
    glucose = data_of(page_of(foreign_model.write(tmp_path / "model")))["features"][1]
    own, other = glucose["units"]
    assert (own["name"], own["ratio"], own["offset"]) == ("mmol/L", [1, 1], 0)
    assert (other["name"], other["ratio"], other["offset"]) == ("mg/dL", [111, 2000], 0)
    assert other["span"] == "9.00901 to 900.901 mg/dL"


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (Feature("a", "integer", minimum=0, maximum=9), "numeric"),
        (Feature("a", minimum=0, maximum=9), "decimal"),
        (Feature("a", minimum=-1, maximum=9), "text"),
        (Feature("a", unit="K", minimum=200, maximum=400, units=(Unit("°C", 1, 273.15),)), "text"),
    ],
)
def test_a_phone_shows_keys_that_can_type_the_value(feature: Feature, expected: str) -> None:
    assert keypad(feature) == expected
