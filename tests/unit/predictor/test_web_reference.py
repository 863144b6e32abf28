"""The API page describes the record of any model."""

from __future__ import annotations

import re
from pathlib import Path

from riskpredictor_server.api.service import Service
from riskpredictor_server.settings import Settings
from riskpredictor_server.web.app import create_app
from support import foreign_model


def docs_of(folder: Path) -> str:
    client = create_app(Service(Settings(model=folder, pod_name="pod"))).test_client()
    answer = client.get("/docs")
    assert answer.status_code == 200
    return str(answer.get_data(as_text=True))


def rows_of(page: str, field: str) -> list[list[str]]:
    """The cells of every row about a field, as text."""
    rows = re.findall(rf"<tr><th scope=\"row\"><code>{field}</code>(.*?)</tr>", page, re.DOTALL)
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.split(r"</th>|</td>", row)][:3]
        for row in rows
    ]


def test_a_feature_in_two_units_gives_a_table_for_each(tmp_path: Path) -> None:
    page = docs_of(foreign_model.write(tmp_path / "model"))
    assert "<caption>in mmol/L</caption>" in page
    assert "<caption>in mg/dL</caption>" in page
    assert rows_of(page, "glucose") == [
        ["", "number", "0.5 to 50 mmol/L"],
        ["", "number", "9.00901 to 900.901 mg/dL"],
    ]
    assert rows_of(page, "respiratory_rate")[0] == ["", "integer", "4 to 70 breaths/min"]
    assert rows_of(page, "lactate")[0] == ["(optional)", "number or null", "0.1 to 30 mmol/L"]
    assert rows_of(page, "supplemental_oxygen")[0] == ["", "boolean", ""]
    assert rows_of(page, "consciousness")[0][1] == "Alert, Voice, Pain, Unresponsive"
    assert "vital" not in page.lower()


def test_several_features_in_two_units_have_both_ranges_in_one_table(tmp_path: Path) -> None:
    rows = [dict(row) for row in foreign_model.FEATURES]
    rows[2]["units"] = {"mg/dL": {"scale": 0.111, "offset": 0}}
    examples = [{"title": "Well", "record": dict(foreign_model.WELL)}]
    folder = foreign_model.write_artifact(
        tmp_path / "model", rows, foreign_model.FORM, "units1", examples
    )
    page = docs_of(folder)
    assert rows_of(page, "glucose") == [
        ["", "number", "0.5 to 50 mmol/L or 9.00901 to 900.901 mg/dL"]
    ]
    assert rows_of(page, "lactate") == [
        ["(optional)", "number or null", "0.1 to 30 mmol/L or 0.900901 to 270.27 mg/dL"]
    ]
    assert rows_of(page, "lactate_unit")[0][:2] == ["(optional)", "mmol/L, mg/dL"]


def test_without_a_model_it_says_why_there_is_nothing_to_describe() -> None:
    page = docs_of(Path("absent"))
    assert "Not ready." in page
    assert "absent/card.json cannot be read" in page
    assert "None" not in page
