"""Predictor and the Flask view of ``POST /predict``: each request is asked of both."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from unit.predictor.support import HEALTHY, SICK, artifact, service

from riskpredictor_server.api.problems import Reply
from riskpredictor_server.api.service import Service
from riskpredictor_server.model.artifact import load
from riskpredictor_server.web.app import create_app


def ask(body: Any, content_type: str = "application/json", on: Service | None = None) -> Reply:
    """Ask the service; asserts that Flask answers the same."""
    serving = on or service()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = serving.predict(data, content_type, "request-7")
    flask = create_app(serving).test_client()
    headers = {"X-Request-Id": "request-7"}
    answer = flask.post("/predict", data=data, content_type=content_type, headers=headers)
    assert (answer.status_code, answer.content_type, answer.data) == reply[:3]
    return reply


def test_the_documented_call_answers_the_documented_fields() -> None:
    reply = ask(HEALTHY)
    assert (reply.status, reply.content_type) == (200, "application/json")
    answer = orjson.loads(reply.body)
    model = load(artifact())
    low, medium, high = model.scorer.score((85, 120, 98.6, 97)).probabilities
    assert answer == {
        "risk_level": "Low",
        "confidence": low,
        "probabilities": {"Low": low, "Medium": medium, "High": high},
        "contributions": answer["contributions"],
        "warnings": [],
        "temperature_unit": "F",
        "model_version": "v1",
        "request_id": "request-7",
    }
    assert list(answer["contributions"]) == list(HEALTHY)


def test_a_batch_is_answered_row_by_row() -> None:
    answer = orjson.loads(ask({"instances": [HEALTHY, SICK]}).body)
    assert [row["risk_level"] for row in answer["predictions"]] == ["Low", "High"]
    single = orjson.loads(ask(SICK).body)
    single.pop("request_id")
    assert answer["predictions"][1] == single
    assert answer["request_id"] == "request-7"


def test_a_value_outside_the_training_range_is_answered_with_a_warning() -> None:
    far = HEALTHY | {"heart_rate": 290}
    rows = orjson.loads(ask({"instances": [HEALTHY, far, SICK]}).body)["predictions"]
    assert [len(row["warnings"]) for row in rows] == [0, 1, 0]
    assert rows[1]["warnings"] == orjson.loads(ask(far).body)["warnings"]
    (warning,) = rows[1]["warnings"]
    assert (warning["field"], warning["value"]) == ("heart_rate", 290)
    assert warning["trained_on"]["maximum"] < 290


def test_every_bad_row_of_a_batch_is_named() -> None:
    reply = ask({"instances": [HEALTHY, HEALTHY | {"heart_rate": 1}, 5]})
    assert reply.status == 422
    errors = orjson.loads(reply.body)["errors"]
    assert [error["field"] for error in errors] == ["instances[1].heart_rate", "instances[2]"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"instances": []}, "instances"),
        ({"instances": HEALTHY}, "instances"),
        ({"instances": None}, "instances"),
        ({"instances": [HEALTHY] * 6}, "instances"),
        ({"instances": [HEALTHY], "model": 1}, "model"),
    ],
    ids=["empty", "object", "null", "too many", "second field"],
)
def test_a_wrong_batch_is_named(body: Any, field: str) -> None:
    reply = ask(body, on=service(max_batch=5))
    assert reply.status == 422
    assert orjson.loads(reply.body)["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (HEALTHY, "text/plain", 415),
        (HEALTHY, "", 415),
        (HEALTHY, "application/x-www-form-urlencoded", 415),
        (HEALTHY, "application/jsonx", 415),
        (json.dumps(HEALTHY).encode("utf-16"), "application/json; charset=utf-16", 400),
        ({"heart_rate": 85}, "application/json", 422),
        (json.dumps(HEALTHY).replace("85", "1e999").encode(), "application/json", 422),
        ([HEALTHY], "application/json", 422),
    ],
)
def test_each_error_has_its_status_and_is_a_problem_document(
    body: Any, content_type: str, status: int
) -> None:
    reply = ask(body, content_type)
    assert reply.status == status
    if status != 200:
        document = orjson.loads(reply.body)
        assert reply.content_type == "application/problem+json"
        assert document["status"] == status
        assert document["request_id"] == "request-7"
        assert {"type", "title", "detail"} <= document.keys()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json; charset=us-ascii",
        "application/json; charset=latin-1",
        "application/json; odata=verbose; charset=utf-8",
        "application/json;",
        "application/json ; ",
        "Application/JSON",
        "application/vnd.api+json",
        "text/json",
    ],
)
def test_json_is_utf_8_whatever_its_media_type_adds(content_type: str) -> None:
    """RFC 8259 has no charset parameter, and clients send what their library makes up."""
    assert ask(HEALTHY, content_type).status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([HEALTHY, SICK], 'several patients are {"instances": [...]}'),
        ([85, 120, 98.6, 97], "name the values"),
        (json.dumps(json.dumps(HEALTHY)).encode(), "JSON inside of a string"),
        ({"instances": [[85, 120, 98.6, 97]]}, "name the values"),
        ({"features": [85, 120, 98.6, 97]}, "name the values"),
        ({"data": {"ndarray": [[85, 120, 98.6, 97]]}}, 'send the members of "data" without it'),
        ({"patients": [HEALTHY]}, 'a batch is {"instances": [...]}'),
        ({"inputs": [{"name": "v", "datatype": "FP64"}]}, "/v2/models/NAME/infer"),
        ({name: [value, value] for name, value in HEALTHY.items()}, "several patients are"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_document_of_another_shape_is_told_what_to_send(body: Any, words: str) -> None:
    reply = ask(body)
    assert reply.status == 422
    assert words in orjson.loads(reply.body)["detail"]


def test_metrics_count_predictions_and_rejections_by_known_field_only() -> None:
    serving = service()
    for body in (HEALTHY, SICK, HEALTHY | {"heart_rate": 1}, HEALTHY | {"hostile\nname": 1}):
        serving.predict(orjson.dumps(body), "application/json", "id")
    text = serving.exposition().body.decode()
    assert 'riskpredictor_predictions_total{risk_level="Low"} 1' in text
    assert 'riskpredictor_predictions_total{risk_level="High"} 1' in text
    assert (
        'riskpredictor_rejected_inputs_total{field="heart_rate",problem="out_of_range"} 1' in text
    )
    assert 'riskpredictor_rejected_inputs_total{field="",problem="unknown_field"} 1' in text
    assert "hostile" not in text
