"""``/openapi.json`` and the validator are the same schema."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from unit.predictor.candidates import variant
from unit.predictor.support import HEALTHY, SICK, artifact, service

from riskpredictor_server.api.openapi import document
from riskpredictor_server.api.records import problems
from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.schema import Feature
from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.settings import Settings
from riskpredictor_server.web.app import create_app

MODEL = load(artifact())
EXAMPLE = MODEL.examples[0]["record"]
DOCUMENT = document(Settings(), MODEL)
SERVICE = service()


def validator(name: str) -> Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return Draft202012Validator(schema)


def ask(body: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    reply = SERVICE.predict(data, "application/json", "request-1")
    return reply.status, orjson.loads(reply.body)


values = st.one_of(
    st.floats(-10, 400), st.integers(-10, 400), st.booleans(), st.none(), st.text(max_size=2)
)
records = st.fixed_dictionaries(
    {},
    optional={
        **{v.name: st.floats(v.minimum, v.maximum) | values for v in VITALS.features},
        "temperature_unit": st.sampled_from(["F", "C", "K", 1]),
        "other": values,
    },
)


@given(records)
def test_a_record_is_accepted_exactly_if_the_published_schema_accepts_it(record: Any) -> None:
    status, _ = ask(record)
    assert (status == 200) == validator("Record").is_valid(record)


@pytest.mark.parametrize("unit", ["F", "C"])
@pytest.mark.parametrize("vital", VITALS.features, ids=lambda vital: vital.name)
def test_the_edges_agree_in_both_units(vital: Feature, unit: str) -> None:
    fine = HEALTHY | {"temperature_unit": unit, "temperature": 98.6 if unit == "F" else 37}
    rule = vital.in_unit(vital.units[0]) if vital.units and unit == "C" else vital
    for edge, outwards in ((rule.minimum, -1), (rule.maximum, 1)):
        for value, accepted in ((edge, True), (edge + outwards * 0.01, False)):
            record = fine | {vital.name: value}
            assert (ask(record)[0] == 200) is accepted
            assert validator("Record").is_valid(record) is accepted


@pytest.mark.parametrize(
    ("body", "schema"),
    [
        (HEALTHY, "Prediction"),
        (SICK | {"heart_rate": 299}, "Prediction"),
        (EXAMPLE, "Prediction"),
        ({"instances": [HEALTHY, SICK]}, "Predictions"),
        ({"heart_rate": "x"}, "Problem"),
        (HEALTHY | {"heart_rate": 8500, "temperature_unit": "K", "age": 5}, "Problem"),
        (HEALTHY | {"heart_rate": None, "blood_pressure": [1], "oxygen_level": True}, "Problem"),
        ({"instances": [HEALTHY, 5, {}]}, "Problem"),
        ({"instances": [SICK | {"temperature": 112}]}, "Predictions"),
        ({"instances": []}, "Problem"),
        (b'{"heart_rate": 1, "heart_rate": 2}', "Problem"),
    ],
)
def test_answers_are_as_published(body: Any, schema: str) -> None:
    validator(schema).validate(ask(body)[1])


def test_fields_of_errors_and_warnings_are_described_one_by_one() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    bad = HEALTHY | {"heart_rate": 8500, "temperature_unit": "K", "age": 5}
    errors = ask({"instances": [bad, {}, 5]})[1]["errors"]
    seen = {name for error in errors for name in error}
    assert seen == set(schemas["FieldError"]["properties"])
    assert all(error["problem"] in problems(VITALS) for error in errors)
    (warning,) = ask(HEALTHY | {"heart_rate": 299})[1]["warnings"]
    assert set(warning) == set(schemas["Warning"]["properties"])
    for name in ("FieldError", "Warning"):
        assert schemas[name]["additionalProperties"] is False


def test_every_operation_names_the_405_of_its_path() -> None:
    for item in DOCUMENT["paths"].values():
        for method, operation in item.items():
            assert method.upper() in operation["responses"]["405"]["description"]


def test_every_route_is_published_with_its_methods() -> None:
    app = create_app(SERVICE)
    routes = {
        re.sub("<(.*?)>", r"{\1}", rule.rule): (rule.methods or set()) - {"HEAD", "OPTIONS"}
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
    }
    published = {
        path: {method.upper() for method in item} for path, item in DOCUMENT["paths"].items()
    }
    assert published == routes


def test_the_document_names_the_limits_of_this_server() -> None:
    batch = document(Settings(max_batch=7), MODEL)["components"]["schemas"]["Batch"]
    assert batch["properties"]["instances"]["maxItems"] == 7


@pytest.mark.parametrize(
    "folder", ["", str(variant()), "/nowhere"], ids=["none", "good", "missing"]
)
def test_the_state_of_a_roll_out_is_as_published(folder: str, tmp_path: Path) -> None:
    serving = service(candidate=folder, cases=str(tmp_path))
    found = orjson.loads(serving.rollout_state("id").body)
    assert list(validator("Rollout").iter_errors(found)) == []
    assert (found["candidate"] is None) == (not folder)
    assert (found["cases"] is None) == (folder != str(variant()))
