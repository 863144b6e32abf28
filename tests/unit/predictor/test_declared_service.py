"""Every way to a prediction follows the model that answers, not the default one."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from unit.predictor.declared import value_of
from unit.predictor.recorded import answers, on_file
from unit.predictor.test_recorded import differences

from riskpredictor_server.api.openapi import document
from riskpredictor_server.api.service import Service
from riskpredictor_server.model.artifact import ArtifactError, load
from riskpredictor_server.settings import Settings
from riskpredictor_server.web.app import create_app
from support import foreign_model
from support.foreign_model import ILL, WELL

FORMAT_1 = Path(__file__).with_name("format1")
INFER = "/v2/models/riskpredictor/infer"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(Settings(model=foreign_model.write(tmp_path_factory.mktemp("foreign"))))


def ask(service: Service, body: Any, path: str = "/predict") -> Any:
    client = create_app(service).test_client()
    return client.post(path, json=body).get_json()


def test_an_artifact_of_format_1_answers_as_it_did() -> None:
    """Its card says nothing of types, levels or examples."""
    known = on_file()
    found = answers(FORMAT_1)
    assert differences(found, known) == []
    card = load(FORMAT_1).card
    assert (card["format"], card["levels"]) == (
        "riskpredictor-artifact/2",
        ["Low", "Medium", "High"],
    )


def test_an_answer_has_the_levels_features_and_units_of_the_model(service: Service) -> None:
    well, ill = ask(service, WELL), ask(service, {"instances": [ILL]})["predictions"][0]
    assert [*well["probabilities"]] == foreign_model.LEVELS
    assert [*well["contributions"]] == list(load(service.settings.model).schema.names)
    assert (well["risk_level"], ill["risk_level"]) == ("Low", "Very high")
    assert well["glucose_unit"] == "mmol/L"
    assert "temperature_unit" not in well
    assert well["warnings"] == []


def test_what_was_left_out_is_told_with_what_was_scored_instead(service: Service) -> None:
    (warning,) = ask(service, ILL)["warnings"]
    assert warning == {
        "field": "lactate",
        "value": None,
        "filled_with": 1.2,
        "detail": "left out: 1.2 mmol/L was scored instead",
    }


def test_a_card_that_tells_another_fill_than_is_scored_is_refused(tmp_path: Path) -> None:
    features = [{**row, "fill": 1.5} if "fill" in row else row for row in foreign_model.FEATURES]
    examples = [{"title": "Well", "record": WELL}]
    folder = foreign_model.write_artifact(tmp_path, features, foreign_model.FORM, "ward1", examples)
    with pytest.raises(ArtifactError, match=r"lactate: fill is 1\.5, scorer\.json scores 1\.2"):
        load(folder)


def test_what_training_never_saw_is_told(service: Service) -> None:
    record = {**WELL, "consciousness": "Unresponsive", "respiratory_rate": 60}
    rate, consciousness = ask(service, record)["warnings"]
    assert rate["trained_on"] == {"minimum": 6.0, "maximum": 44.0, "unit": "breaths/min"}
    assert consciousness["trained_on"] == {"values": ["Alert", "Voice", "Pain"]}
    assert "no record that the model was trained on was Unresponsive" in consciousness["detail"]
    batch = ask(service, {"instances": [WELL, record]})["predictions"]
    assert [len(each["warnings"]) for each in batch] == [0, 2]


def test_of_equally_probable_levels_the_higher_is_told(tmp_path: Path) -> None:
    model = load(foreign_model.write(tmp_path))
    assert model.schema.level_of((0.4, 0.1, 0.4, 0.1)) == 2
    from riskpredictor_server.api.answers import answerer

    assert answerer(model)((0.4, 0.1, 0.4, 0.1), None, ())["risk_level"] == "High"


def test_the_metrics_count_by_the_models_own_levels_and_fields(service: Service) -> None:
    ask(service, {**WELL, "glucose": 900, "made_up": 1})
    text = create_app(service).test_client().get("/metrics").get_data(as_text=True)
    assert 'riskpredictor_rejected_inputs_total{field="glucose",problem="out_of_range"}' in text
    assert "made_up" not in text


# Tensors


def tensor(name: str, datatype: str, *data: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": list(data)}


def columns(*records: Any) -> list[dict[str, Any]]:
    types = {"supplemental_oxygen": "BOOL", "consciousness": "BYTES"}
    names = [name for name in WELL if any(name in record for record in records)]
    return [
        tensor(name, types.get(name, "FP64"), *(record.get(name) for record in records))
        for name in names
    ]


def outputs(answer: Any) -> dict[str, Any]:
    return {output["name"]: output["data"] for output in answer["outputs"]}


def test_a_model_with_categories_describes_a_tensor_for_each_feature(service: Service) -> None:
    metadata = create_app(service).test_client().get("/v2/models/riskpredictor").get_json()
    assert {each["name"]: each["datatype"] for each in metadata["inputs"]} == {
        "respiratory_rate": "INT64",
        "glucose": "FP64",
        "lactate": "FP64",
        "supplemental_oxygen": "BOOL",
        "consciousness": "BYTES",
    }
    assert metadata["outputs"][1]["shape"] == [-1, 4]


@pytest.mark.parametrize("nothing", ["absent", "null"])
def test_tensors_get_the_answers_of_records(service: Service, nothing: str) -> None:
    records = [WELL, ILL] if nothing == "null" else [ILL, ILL]
    found = outputs(ask(service, {"inputs": columns(*records)}, INFER))
    wanted = ask(service, {"instances": records})["predictions"]
    assert found["risk_level"] == [each["risk_level"] for each in wanted]
    assert found["probabilities"] == [p for each in wanted for p in each["probabilities"].values()]


def test_binary_tensors_hold_texts_and_booleans(service: Service) -> None:
    def binary(name: str, datatype: str, data: bytes) -> tuple[dict[str, Any], bytes]:
        size = {"binary_data_size": len(data)}
        return {"name": name, "shape": [1], "datatype": datatype, "parameters": size}, data

    parts = [
        binary("respiratory_rate", "INT32", struct.pack("<i", 34)),
        binary("glucose", "FP64", struct.pack("<d", 19.5)),
        binary("lactate", "FP64", struct.pack("<d", math.nan)),
        binary("supplemental_oxygen", "BOOL", b"\1"),
        binary("consciousness", "BYTES", struct.pack("<I", 4) + b"Pain"),
    ]
    text = orjson.dumps({"inputs": [head for head, _ in parts]})
    reply = (
        create_app(service)
        .test_client()
        .post(
            INFER,
            data=b"".join((text, *(data for _, data in parts))),
            headers={"Inference-Header-Content-Length": str(len(text))},
        )
    )
    assert outputs(reply.get_json())["risk_level"] == [ask(service, ILL)["risk_level"]]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (
            [tensor("x", "FP64", 1)],
            "send a tensor of shape [n] for each of respiratory_rate,glucose",
        ),
        (columns(WELL)[:-1], "send one tensor each named respiratory_rate, glucose"),
        ([*columns(WELL)[:-1], tensor("consciousness", "TEXT", "Alert")], "must be one of INT8,"),
        ([*columns(WELL)[:-1], tensor("consciousness", "BYTES", "Asleep")], 'must be "Alert"'),
        ([*columns(WELL)[:-1], tensor("consciousness", "BYTES", "Alert", "Pain")], "same length"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_a_wrong_tensor_is_refused_with_what_is_wrong(
    service: Service, inputs: Any, words: str
) -> None:
    assert words in ask(service, {"inputs": inputs}, INFER)["error"]


@pytest.mark.parametrize(
    "damage", [b"", b"\4\0\0\0Pai", b"\xff\xff\xff\xffPain", b"\4\0\0\0Pain\0"]
)
def test_a_damaged_text_tensor_is_refused(service: Service, damage: bytes) -> None:
    head = tensor("consciousness", "BYTES") | {
        "shape": [1],
        "parameters": {"binary_data_size": len(damage)},
    }
    del head["data"]
    text = orjson.dumps({"inputs": [*columns(WELL)[:-1], head]})
    reply = (
        create_app(service)
        .test_client()
        .post(
            INFER, data=text + damage, headers={"Inference-Header-Content-Length": str(len(text))}
        )
    )
    assert (reply.status_code, "values of BYTES" in reply.get_json()["error"]) == (400, True)


# The published description

anything = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 120), st.floats(-5, 120), st.text(max_size=2)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_record_is_accepted_exactly_if_the_published_schema_accepts_it(
    service: Service, data: st.DataObject
) -> None:
    model = load(service.settings.model)
    published = document(Settings(), model)
    features = {f.name: value_of(f) | anything for f in model.schema.features}
    units = {"glucose_unit": st.sampled_from(["mmol/L", "mg/dL", "g", 1])}
    record = data.draw(st.fixed_dictionaries({}, optional=features | units | {"other": anything}))
    reply = service.predict(orjson.dumps(record), "application/json", "id")
    schema = {"$ref": "#/components/schemas/Record", "components": published["components"]}
    valid = Draft202012Validator(schema).is_valid(orjson.loads(orjson.dumps(record)))
    assert (reply.status == 200) == valid


@pytest.mark.parametrize("record", [WELL, ILL, {**WELL, "consciousness": "Unresponsive"}])
def test_an_answer_is_as_it_is_published(service: Service, record: Any) -> None:
    published = document(Settings(), load(service.settings.model))
    schema = {"$ref": "#/components/schemas/Prediction", "components": published["components"]}
    Draft202012Validator(schema).validate(ask(service, record))


# The files


def test_a_server_hands_out_the_files_that_it_verified(service: Service) -> None:
    client = create_app(service).test_client()
    folder = service.settings.model
    for name in ("card.json", "scorer.json"):
        assert client.get(f"/model/files/{name}").get_data() == (folder / name).read_bytes()
    refused = client.get("/model/files/passwd")
    assert refused.status_code == 404
    assert "only card.json, scorer.json" in refused.get_json()["detail"]
