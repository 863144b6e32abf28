"""The Open Inference Protocol, asked by a client that is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tritonclient.http as http  # type: ignore[import-untyped]
from flask.testing import FlaskClient
from unit.predictor.support import HEALTHY, SICK, ServerProcess, forest, service

from riskpredictor_server.model.sklearn_scorer import PipelineScorer
from riskpredictor_server.web.app import create_app

PATH = "/v2/models/riskpredictor"
VITALS = [list(HEALTHY.values()), list(SICK.values())]
FLAT = VITALS[0] + VITALS[1]
NAMES = list(HEALTHY)


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


@pytest.fixture
def triton(server: ServerProcess) -> Iterator[Any]:
    client = http.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield client
    client.close()


def triton_input(**options: Any) -> Any:
    vitals = http.InferInput("vitals", [2, 4], "FP64")
    vitals.set_data_from_numpy(np.array(VITALS, dtype=np.float64), **options)
    return vitals


def test_tritons_client_gets_right_answers(server: ServerProcess, triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("riskpredictor", "v1")
    assert triton.get_server_metadata()["name"] == "riskpredictor-server"
    metadata = triton.get_model_metadata("riskpredictor")
    assert metadata["inputs"] == [{"name": "vitals", "datatype": "FP64", "shape": [-1, 4]}]
    names = ("risk_level", "probabilities", "contributions")
    outputs = [http.InferRequestedOutput(name, binary_data=False) for name in names]
    result = triton.infer(
        "riskpredictor", [triton_input(binary_data=False)], request_id="r-1", outputs=outputs
    )
    assert result.get_response()["id"] == "r-1"
    assert result.as_numpy("risk_level").tolist() == ["Low", "High"]
    ours = server.post("/predict", {"instances": [HEALTHY, SICK]}).json()["predictions"]
    for name in names[1:]:
        assert result.as_numpy(name).tolist() == [list(row[name].values()) for row in ours]


def test_tritons_binary_tensors_are_refused_by_name(triton: Any) -> None:
    """Its default: whoever forgets binary_data=False must read that, not "not valid JSON"."""
    with pytest.raises(Exception, match=r"binary tensors .* binary_data=False"):
        triton.infer("riskpredictor", [triton_input()])


def test_the_server_and_flask_answer_alike(server: ServerProcess, client: FlaskClient) -> None:
    """The server's own path of this route knows the same models, versions and errors."""
    good, bad = {"inputs": [tensor()], "id": "1"}, {"inputs": 1}
    for path in (PATH, PATH + "/versions/v1", PATH + "/versions/v2", "/v2/models/other", "/v2/x"):
        for body in (good, bad):
            ours = server.post(path + "/infer", body)
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
    scorer = PipelineScorer(forest())
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
    client.post(PATH + "/infer", data=b"x", headers={"Inference-Header-Content-Length": "1"})
    client.post(PATH + "/infer", json={"inputs": []})
    client.post(PATH + "/infer", data=b"{", content_type="application/json")
    client.post(PATH + "/infer", json={"inputs": [tensor(data=[8500, *FLAT[1:]])]})
    text = serving.exposition().body.decode()
    rejected = "riskpredictor_rejected_inputs_total"
    assert rejected + '{field="",problem="not_json"} 2' in text
    assert rejected + '{field="",problem="malformed"} 2' in text
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
            {"name": name, "shape": [2, 1], "datatype": "INT64", "data": [[v] for v in column]}
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
        ({"inputs": [tensor(data=None)]}, "binary tensors are not supported"),
        ({"inputs": [tensor(), tensor()]}, "or one tensor each named"),
        ({"inputs": [tensor()], "outputs": [{"name": "age"}]}, "unknown 'age'"),
        ({"inputs": [tensor()], "outputs": [{"name": ["x"]}]}, "unknown"),
        ({"inputs": [tensor()], "outputs": 7}, "outputs: must be an array"),
    ],
)
def test_a_wrong_request_is_named(client: FlaskClient, body: Any, words: str) -> None:
    answer = client.post(PATH + "/infer", json=body)
    assert answer.status_code == 400
    problem = answer.get_json(force=True)
    assert words in problem["detail"]
    assert problem["error"] == problem["detail"]


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
