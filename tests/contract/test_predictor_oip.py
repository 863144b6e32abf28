"""The Open Inference Protocol: every form of request, and what is refused.

Clients that are not ours ask in test_predictor_clients.py.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from unit.predictor.support import HEALTHY, SICK, ServerProcess, forest, service

from riskpredictor_server.model.sklearn_scorer import PipelineScorer
from riskpredictor_server.model.vitals import VITALS as VITALS_SCHEMA
from riskpredictor_server.web.app import create_app

PATH = "/v2/models/riskpredictor"
VITALS = [list(HEALTHY.values()), list(SICK.values())]
FLAT = VITALS[0] + VITALS[1]
NAMES = list(HEALTHY)
COLUMNS = ",".join(NAMES)
CLASSES = {"classification": 1}
HEADER = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as running:
        yield running


@pytest.fixture
def client() -> FlaskClient:
    return create_app(service(max_batch=5)).test_client()


def tensor(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "vitals", "shape": [2, 4], "datatype": "FP64", "data": FLAT}
    return tensor | changes


def test_the_server_and_flask_answer_alike(server: ServerProcess, client: FlaskClient) -> None:
    """The server's own path of this route knows the same models, versions and errors."""
    good, bad = {"inputs": [tensor()], "id": "1"}, {"inputs": 1}
    for path in (PATH, PATH + "/versions/v1", PATH + "/versions/v2", "/v2/models/other", "/v2/x"):
        for body in (good, bad):
            ours = server.post(path + "/infer", body)
            assert ours.headers["content-type"] == "application/json"
            flask = client.post(path + "/infer", json=body)
            assert (ours.status, ours.headers["content-type"]) == (
                flask.status_code,
                flask.content_type,
            )
            documents = [ours.json(), flask.get_json(force=True)]
            for document in documents:
                document.pop("request_id", None)
            assert documents[0] == documents[1]
    metrics = server.get("/metrics").body.decode()
    assert 'route="/v2/models/<name>/infer",status="200"} ' in metrics
    assert 'route="/v2/models/<name>/versions/<version>/infer",status="404"} ' in metrics


def test_a_model_without_contributions_does_not_offer_them() -> None:
    serving = service()
    assert serving.predictor
    scorer = PipelineScorer(forest(), VITALS_SCHEMA)
    serving.predictor.model = replace(serving.predictor.model, scorer=scorer)
    client = create_app(serving).test_client()
    metadata = client.get(PATH).get_json()
    assert metadata["platform"] == "scikit-learn"
    assert [output["name"] for output in metadata["outputs"]] == ["risk_level", "probabilities"]
    answer = client.post(PATH + "/infer", json={"inputs": [tensor()]}).get_json()
    assert [output["name"] for output in answer["outputs"]] == ["risk_level", "probabilities"]
    wanted = {"inputs": [tensor()], "outputs": [{"name": "contributions"}]}
    refused = client.post(PATH + "/infer", json=wanted)
    assert refused.status_code == 400
    detail = refused.get_json(force=True)["detail"]
    assert detail == ("outputs: unknown 'contributions'; this model has probabilities, risk_level")


def test_every_refusal_is_counted() -> None:
    serving = service()
    client = create_app(serving).test_client()
    client.post(PATH + "/infer", data=b"x", content_type="text/plain")
    client.post(PATH + "/infer", data=b"x", headers={HEADER: "1"})
    client.post(PATH + "/infer", json={"inputs": []})
    client.post(PATH + "/infer", data=b"{", content_type="application/json")
    client.post(PATH + "/infer", json={"inputs": [tensor(data=[8500, *FLAT[1:]])]})
    text = serving.exposition().body.decode()
    rejected = "riskpredictor_rejected_inputs_total"
    assert rejected + '{field="",problem="not_json"} 1' in text
    assert rejected + '{field="",problem="malformed"} 3' in text
    assert rejected + '{field="heart_rate",problem="out_of_range"} 1' in text


@pytest.mark.parametrize(
    "inputs",
    [
        [tensor()],
        [tensor(data=VITALS)],
        [tensor(name="input-0", datatype="FP32")],
        [
            {"name": name, "shape": [2], "datatype": "FP64", "data": list(column)}
            for name, column in zip(NAMES, zip(*VITALS, strict=True), strict=True)
        ],
        [
            {"name": name, "shape": [2, 1], "datatype": "FP16", "data": [[v] for v in column]}
            for name, column in reversed(list(zip(NAMES, zip(*VITALS, strict=True), strict=True)))
        ],
    ],
    ids=["flat", "nested", "any name", "a tensor per vital", "columns in any order"],
)
def test_every_form_of_input_gives_the_same_answer(client: FlaskClient, inputs: Any) -> None:
    answer = client.post(PATH + "/infer", json={"inputs": inputs, "id": "7"}).get_json()
    assert answer["id"] == "7"
    assert answer["model_version"] == "v1"
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["risk_level"]["data"] == ["Low", "High"]
    assert outputs["probabilities"]["shape"] == [2, 3]
    assert sum(outputs["probabilities"]["data"]) == pytest.approx(2)
    assert outputs["contributions"]["shape"] == [2, 4]


def test_outputs_can_be_chosen(client: FlaskClient) -> None:
    body = {"inputs": [tensor()], "outputs": [{"name": "risk_level"}]}
    answer = client.post(PATH + "/infer", json=body).get_json()
    assert [output["name"] for output in answer["outputs"]] == ["risk_level"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], '"inputs", an array'),
        ({}, '"inputs", an array'),
        ({"inputs": []}, "send one tensor"),
        ({"inputs": [5]}, "inputs[0]: must be an object"),
        ({"inputs": [tensor(name=1)]}, "inputs[0].name"),
        ({"inputs": [tensor(datatype="BYTES")]}, "inputs[0].datatype"),
        ({"inputs": [tensor(datatype=[])]}, "inputs[0].datatype"),
        ({"inputs": [tensor(shape=[2, "4"])]}, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[2, 4, 1])]}, "shape: must be an array of one or two"),
        ({"inputs": [tensor(shape=[2**31 - 1] * 700)]}, "shape: must be an array of one or two"),
        ({"inputs": [tensor(shape=[2**31 - 1] * 2)]}, "has 8 values, its shape says 46116860"),
        ({"inputs": [tensor(name="x" * 9999, shape=[8])]}, f"inputs: '{'x' * 64}': shape"),
        ({"inputs": [tensor(shape=[3, 4])]}, "has 8 values, its shape says 12"),
        ({"inputs": [tensor(shape=[8])]}, "shape must be [n, 4]"),
        ({"inputs": [tensor(shape=[4, 2])]}, "shape must be [n, 4]"),
        ({"inputs": [tensor(shape=[0, 4], data=[])]}, "must hold 1 to 5 records"),
        ({"inputs": [tensor(shape=[6, 4], data=VITALS[0] * 6)]}, "must hold 1 to 5 records"),
        ({"inputs": [tensor(data=None)]}, "inputs[0].data: must be an array"),
        ({"inputs": [tensor(data=[FLAT])]}, "its shape says 2 arrays of 4 values"),
        ({"inputs": [tensor(data=[FLAT[:3], FLAT[3:]])]}, "its shape says 2 arrays of 4 values"),
        ({"inputs": [tensor(data=[FLAT[:4], 1, 2, 3, 4])]}, "its shape says 2 arrays of 4 values"),
        ({"inputs": [tensor(parameters=[])]}, "inputs[0].parameters: must be an object"),
        (
            {"inputs": [tensor(parameters={"shared_memory_region": "r"})]},
            "inputs[0].parameters.shared_memory_region: is not supported",
        ),
        (
            {"inputs": [tensor(parameters={"columns": "hr,bp,temp,spo2"})]},
            "inputs[0].parameters.columns: is hr,bp,temp,spo2; send the names in your order",
        ),
        ({"inputs": [tensor(parameters={"columns": NAMES})]}, "columns: is an array"),
        ({"inputs": [tensor(name="hr"), tensor(name="x")]}, "'hr' is heart_rate"),
        ({"inputs": [tensor()], "parameters": 1}, "parameters: must be an object"),
        ({"inputs": [tensor()], "parameters": {"temperature_unit": "K"}}, '"F" or "C"'),
        ({"inputs": [tensor()], "parameters": {"binary_data_output": 1}}, "true or false"),
        (
            {"inputs": [tensor()], "outputs": [{"name": "risk_level", "parameters": CLASSES}]},
            "outputs[0].parameters.classification: is not supported; leave it out: the output risk",
        ),
        ({"instances": [HEALTHY]}, "records without tensors go to /predict"),
        ({"inputs": [tensor(), tensor()]}, "or one tensor each named"),
        ({"inputs": [tensor()], "outputs": [{"name": "age"}]}, "unknown 'age'"),
        ({"inputs": [tensor()], "outputs": [{"name": ["x"]}]}, "outputs[0].name: must be a string"),
        ({"inputs": [tensor()], "outputs": [{}]}, "outputs[0].name: must be a string; this model"),
        ({"inputs": [tensor()], "outputs": 7}, "outputs: must be an array"),
    ],
)
def test_a_wrong_request_is_named(client: FlaskClient, body: Any, words: str) -> None:
    answer = client.post(PATH + "/infer", json=body)
    assert answer.status_code == 400
    assert answer.content_type == "application/json"
    problem = answer.get_json()
    assert words in problem["detail"]
    assert problem["error"] == problem["detail"]


INTEGERS = {
    f"{sign}INT{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "U")
    for bits in (8, 16, 32, 64)
}


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("INT32", 98.6),
        ("UINT8", 260),
        *((datatype, low - 1) for datatype, (low, _) in INTEGERS.items() if datatype != "INT64"),
        # Beyond 64 bits numbers are floats, which round to the nearest that there is.
        ("INT64", -(2**63) - 2048),
        *((datatype, high + 1) for datatype, (_, high) in INTEGERS.items()),
        *((datatype, 85.5) for datatype in INTEGERS),
        ("FP16", 65_520),
        ("FP32", -4e38),
    ],
)
def test_a_datatype_holds_only_its_own_numbers(
    client: FlaskClient, datatype: str, value: float
) -> None:
    wrong = tensor(datatype=datatype, data=[85, 120, 98, 97, value, 85, 103, 86])
    answer = client.post(PATH + "/infer", json={"inputs": [wrong]})
    assert answer.status_code == 400
    error = answer.get_json()["error"]
    assert error.startswith("inputs[0].data[4]: ")
    assert f" is no {datatype}, which holds " in error


@pytest.mark.parametrize("datatype", [*INTEGERS, "FP16", "FP32", "FP64"])
def test_whole_numbers_are_of_every_datatype(client: FlaskClient, datatype: str) -> None:
    high = 110 if datatype == "INT8" else 120
    fine = tensor(datatype=datatype, shape=[1, 4], data=[85, high, 98.0, 97])
    assert client.post(PATH + "/infer", json={"inputs": [fine]}).status_code == 200


@pytest.mark.parametrize("datatype", ["BOOL", "BYTES", "BF16", "FP8", "fp64", None])
def test_what_is_no_number_is_no_measurement(client: FlaskClient, datatype: Any) -> None:
    answer = client.post(PATH + "/infer", json={"inputs": [tensor(datatype=datatype)]})
    assert answer.status_code == 400
    assert "inputs[0].datatype: must be a numeric type, one of INT8" in answer.get_json()["error"]


def test_columns_can_be_named_in_the_clients_own_order(client: FlaskClient) -> None:
    """In range, but of another order, they would be answered wrongly without a word."""
    turned = [value for row in VITALS for value in reversed(row)]
    named = tensor(data=turned, parameters={"columns": ", ".join(reversed(NAMES))})
    answers = [
        client.post(PATH + "/infer", json={"inputs": [inputs], "id": "1"}).get_json()
        for inputs in (tensor(), named)
    ]
    assert answers[0]["outputs"] == answers[1]["outputs"]
    # Only where the order was not given is it told.
    assert [answer.get("parameters") for answer in answers] == [{"columns": COLUMNS}, None]


def test_metadata_names_the_columns_of_every_tensor(client: FlaskClient) -> None:
    metadata = client.get(PATH).get_json()
    tensors = {each["name"]: each for each in metadata["inputs"] + metadata["outputs"]}
    assert tensors["vitals"]["parameters"] == {"columns": COLUMNS, "units": "bpm,mmHg,°F,%"}
    assert tensors["probabilities"]["parameters"] == {"columns": "Low,Medium,High"}
    assert tensors["contributions"]["parameters"] == {"columns": COLUMNS}


def test_celsius_is_a_parameter_of_the_request(client: FlaskClient) -> None:
    celsius = tensor(shape=[1, 4], data=[85, 120, 37, 97])
    body = {"inputs": [celsius], "id": "1"}
    refused = client.post(PATH + "/infer", json=body)
    assert refused.status_code == 422
    said = 'say so with "parameters.temperature_unit": "C"; columns were read as heart'
    assert said in refused.get_json()["error"]
    answer = client.post(PATH + "/infer", json=body | {"parameters": {"temperature_unit": "C"}})
    fahrenheit = tensor(shape=[1, 4], data=[85, 120, 98.6, 97])
    expected = client.post(PATH + "/infer", json={"inputs": [fahrenheit], "id": "1"})
    assert answer.get_json() == expected.get_json()


def binary(document: dict[str, Any], *values: bytes, **headers: str) -> dict[str, Any]:
    """A request whose binary tensors follow its JSON."""
    text = json.dumps(document).encode()
    return {"data": text + b"".join(values), "headers": {HEADER: str(len(text)), **headers}}


def binary_tensor(size: Any = 64, **changes: Any) -> dict[str, Any]:
    described = tensor(parameters={"binary_data_size": size}, **changes)
    return {key: value for key, value in described.items() if key != "data" or "data" in changes}


@pytest.mark.parametrize(
    ("datatype", "code"),
    [("FP16", "e"), ("FP32", "f"), ("FP64", "d"), ("UINT8", "B"), ("INT16", "h"), ("INT64", "q")],
)
def test_a_binary_tensor_is_answered_like_its_numbers(
    client: FlaskClient, datatype: str, code: str
) -> None:
    data = [85, 120, 98, 97, 130, 85, 103.5 if datatype.startswith("FP") else 103, 86]
    packed = struct.pack(f"<8{code}", *data)
    described = binary_tensor(len(packed), datatype=datatype)
    answer = client.post(PATH + "/infer", **binary({"inputs": [described], "id": "1"}, packed))
    expected = client.post(PATH + "/infer", json={"inputs": [tensor(data=data)], "id": "1"})
    assert answer.get_json() == expected.get_json()


def test_binary_and_json_tensors_can_be_mixed(client: FlaskClient) -> None:
    rows = list(zip(NAMES, zip(*VITALS, strict=True), strict=True))
    inputs = [
        {"name": name, "shape": [2], "datatype": "FP64", "data": column}
        for name, column in rows[:2]
    ] + [
        {"name": name, "shape": [2], "datatype": "FP64", "parameters": {"binary_data_size": 16}}
        for name, _ in rows[2:]
    ]
    packed = [struct.pack("<2d", *column) for _, column in rows[2:]]
    answer = client.post(PATH + "/infer", **binary({"inputs": inputs}, *packed)).get_json()
    assert answer["outputs"][0]["data"] == ["Low", "High"]


def test_outputs_are_binary_as_asked(client: FlaskClient) -> None:
    wanted = [
        {"name": "risk_level", "parameters": {"binary_data": True}},
        {"name": "probabilities", "parameters": {"binary_data": False}},
        {"name": "contributions"},
    ]
    body = {"inputs": [tensor()], "outputs": wanted, "parameters": {"binary_data_output": True}}
    answer = client.post(PATH + "/infer", json=body)
    assert answer.content_type == "application/octet-stream"
    size = int(answer.headers[HEADER])
    document, rest = json.loads(answer.data[:size]), answer.data[size:]
    sizes = [each.get("parameters", {}).get("binary_data_size") for each in document["outputs"]]
    assert sizes == [15, None, 64]
    assert rest[:15] == b"\3\0\0\0Low\4\0\0\0High"
    plain = client.post(PATH + "/infer", json={"inputs": [tensor()]}).get_json()["outputs"]
    assert document["outputs"][1] == plain[1]
    assert list(struct.unpack("<8d", rest[15:])) == plain[2]["data"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (binary({"inputs": [binary_tensor()]}, bytes(63)), "its binary data would end at 64"),
        (binary({"inputs": [binary_tensor()]}, bytes(65)), "65 bytes follow the JSON, but"),
        (binary({"inputs": [binary_tensor(60)]}, bytes(60)), "8 values of FP64 have 64 bytes"),
        (
            binary({"inputs": [binary_tensor("64")]}, bytes(64)),
            "binary_data_size: must be a whole n",
        ),
        (
            binary({"inputs": [binary_tensor(True)]}, bytes(64)),
            "binary_data_size: must be a whole nu",
        ),
        (
            binary({"inputs": [binary_tensor(data=FLAT)]}, bytes(64)),
            "has data and binary_data_size",
        ),
        (binary({"inputs": [tensor()]}, b"x"), "1 bytes follow the JSON"),
        (
            binary({"inputs": [binary_tensor(2**60, shape=[2**30, 2**27])]}),
            "inputs[0].shape: has more than 20 values",
        ),
        (binary({"inputs": [binary_tensor()]}, **{HEADER: "9999"}), "is 9999, but the body has"),
        (binary({"inputs": [binary_tensor()]}, **{HEADER: "-1"}), "is '-1'; send a whole number"),
        (binary({"inputs": [binary_tensor()]}, **{HEADER: "x"}), "is 'x'; send a whole number"),
        (binary({"inputs": [binary_tensor()]}, **{HEADER: "0"}), "the body is empty"),
        ({"json": {"inputs": [binary_tensor()]}}, "0 bytes follow the JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_binary_data_that_does_not_fit_is_named(
    client: FlaskClient, request_: dict[str, Any], words: str
) -> None:
    answer = client.post(PATH + "/infer", **request_)
    assert answer.status_code == 400
    assert words in answer.get_json()["error"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300])
def test_a_binary_value_that_is_no_measurement_is_named(client: FlaskClient, value: float) -> None:
    packed = struct.pack("<8d", value, *FLAT[1:])
    answer = client.post(PATH + "/infer", **binary({"inputs": [binary_tensor()]}, packed))
    assert answer.status_code == 422
    error = answer.get_json()["errors"][0]
    assert (error["field"], error["value"]) == (
        "inputs[0].heart_rate",
        value if math.isfinite(value) else str(value),
    )


def test_a_value_out_of_range_is_named(client: FlaskClient) -> None:
    body = {"inputs": [tensor(data=[8500, *FLAT[1:]])]}
    answer = client.post(PATH + "/infer", json=body)
    assert answer.status_code == 422
    assert answer.get_json(force=True)["errors"][0]["field"] == "inputs[0].heart_rate"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2", 200),
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
        (PATH, 200),
        (PATH + "/versions/v1", 200),
        (PATH + "/ready", 200),
        (PATH + "/versions/v1/ready", 200),
        (PATH + "/versions/v2", 404),
        (PATH + "/versions/v2/ready", 404),
        ("/v2/models/other", 404),
        ("/v2/models/other/ready", 404),
    ],
)
def test_health_and_metadata(client: FlaskClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert ("error" in answer.get_json(force=True)) == (status == 404)


def test_a_leaving_server_is_not_ready() -> None:
    serving = service()
    serving.draining = True
    client = create_app(serving).test_client()
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 503
    assert client.get(PATH + "/ready").status_code == 503
