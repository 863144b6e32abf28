"""The scaling demo's patients are drawn from the model card: the drift alert stays quiet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser.conftest import Visit
from playwright.sync_api import Page, expect
from unit.predictor.support import ServerProcess, artifact

from riskpredictor_server.api.records import RecordReader
from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.drift import drift
from support import foreign_model

WORTH_A_LOOK = 0.1
COUNT = 1000
DRAW = """async ([count, seed]) => {
  const { patients } = await import("./static/patients.js");
  const { schema } = await import("./static/schema.js");
  const card = await (await fetch("model")).json();
  return patients(count, seed, schema.features, card.features);
}"""


def drawn(page: Page, count: int = COUNT, seed: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(DRAW, [count, seed])
    # As JSON has it: what is undefined is absent.
    return [{k: v for k, v in row.items() if v is not None} for row in found]


@pytest.fixture(scope="module", params=["v1", "early warning", "64 numbers"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of a model."""
    new = tmp_path_factory.mktemp("models") / "model"
    if request.param == "v1":
        return artifact("v1")
    write = foreign_model.write if request.param == "early warning" else foreign_model.write_wide
    return write(new)


def test_a_thousand_patients_do_not_drift(visit: Visit, folder: Path) -> None:
    model = load(folder)
    with ServerProcess(folder) as server:
        records = drawn(visit(server.url))
    assert len(records) == COUNT
    # Any record that the service would refuse raises here.
    rows = RecordReader(model.schema, model.examples[0]["record"]).read_many(records, "instances")
    scores = drift(rows, model.schema, model.card["features"])
    assert set(scores) == set(model.schema.names)
    assert {name: score for name, score in scores.items() if score >= WORTH_A_LOOK} == {}
    for feature, row, column in zip(
        model.schema.features, model.card["features"], zip(*rows, strict=True), strict=True
    ):
        known = [value for value in column if value is not None]
        share = 1 - len(known) / COUNT
        assert share == pytest.approx(row.get("left_out", 0), abs=0.05), feature.name
        if feature.is_numeric:
            span = row["trained_on"]
            assert span["minimum"] <= min(known) <= max(known) <= span["maximum"]
            assert all(abs(v / feature.step - round(v / feature.step)) < 1e-6 for v in known)


def test_a_seed_gives_the_same_patients_and_another_seed_others(
    visit: Visit, server: ServerProcess
) -> None:
    page = visit(server.url)
    first, again, other = drawn(page, 20, 1), drawn(page, 20, 1), drawn(page, 20, 2)
    assert first == again
    assert first != other


def test_the_demo_runs_with_any_model(visit: Visit, tmp_path: Path) -> None:
    with ServerProcess(foreign_model.write(tmp_path / "model")) as server:
        page = visit(server.url)
        page.get_by_role("button", name="Light").click()
        expect(page.locator("#load-rate")).not_to_have_text("0")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#load-summary")).to_contain_text("0 errors, answered by 1 pod.")


def test_a_demo_that_cannot_read_the_card_says_so(visit: Visit, server: ServerProcess) -> None:
    page = visit(server.url, expected="status of 503")
    detail = {"detail": "overloaded: requests queue too long here"}
    page.route("**/model", lambda route: route.fulfill(status=503, json=detail))
    page.get_by_role("button", name="Light").click()
    expect(page.locator("#load-summary")).to_have_text(
        "The load did not start: overloaded: requests queue too long here"
    )
    expect(page.get_by_role("button", name="Light")).to_be_enabled()
    page.unroute("**/model")
    page.get_by_role("button", name="Light").click()
    expect(page.locator("#load-rate")).not_to_have_text("0")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#load-summary")).to_contain_text("0 errors")
