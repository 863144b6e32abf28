"""The Open Inference Protocol's own clients, Triton's and KServe's, with their defaults."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from unit.predictor.support import HEALTHY, SICK, ServerProcess, artifact, changed_copy

from support.cluster import ROOT
from support.rawhttp import RawClient, get, request

VITALS = [list(HEALTHY.values()), list(SICK.values())]
INFER = "/v2/models/riskpredictor/infer"
OUTPUTS = ("risk_level", "probabilities", "contributions")
MAX_BODY = 4096


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(max_body_bytes=str(MAX_BODY), body_timeout="1") as running:
        yield running


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that is not ready."""
    folder = changed_copy(artifact(), tmp_path_factory.mktemp("damaged"))
    (folder / "scorer.json").write_text("{}")
    with ServerProcess(folder) as running:
        yield running


@pytest.fixture
def full() -> Iterator[ServerProcess]:
    """A server that has as many connections as it takes."""
    with ServerProcess(max_connections="1") as running, RawClient(running.port) as client:
        assert client.send(get("/health")).answer().status == 200
        yield running


def expected(server: ServerProcess) -> dict[str, Any]:
    """What a client has to find in its outputs: the answers of POST /predict."""
    rows = server.post("/predict", {"instances": [HEALTHY, SICK]}).json()["predictions"]
    numbers = {name: [list(row[name].values()) for row in rows] for name in OUTPUTS[1:]}
    return {"risk_level": ["Low", "High"], **numbers}


# Triton


def triton_input(datatype: str = "FP64", data: Any = VITALS, **options: Any) -> Any:
    array = np.array(data, dtype=triton.triton_to_np_dtype(datatype))
    tensor = triton.InferInput("vitals", array.shape, datatype)
    return tensor.set_data_from_numpy(array, **options)


def connect(server: ServerProcess) -> Any:
    return triton.InferenceServerClient(f"127.0.0.1:{server.port}")


def as_lists(result: Any) -> dict[str, Any]:
    found = {name: result.as_numpy(name).tolist() for name in OUTPUTS}
    levels = [v.decode() if isinstance(v, bytes) else v for v in found["risk_level"]]
    return found | {"risk_level": levels}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"},
        {"request_compression_algorithm": "deflate", "response_compression_algorithm": "deflate"},
        {"outputs": [triton.InferRequestedOutput(name) for name in OUTPUTS]},
        {"outputs": [triton.InferRequestedOutput(name, binary_data=False) for name in OUTPUTS]},
        {"model_version": "v1", "request_id": "r-1", "priority": 1, "timeout": 1000},
    ],
    ids=["defaults", "gzip", "deflate", "outputs", "JSON outputs", "version and parameters"],
)
@pytest.mark.parametrize("binary_data", [True, False], ids=["binary", "JSON"])
def test_tritons_client_gets_right_answers(
    server: ServerProcess, options: dict[str, Any], binary_data: bool
) -> None:
    with connect(server) as client:
        tensor = triton_input(binary_data=binary_data)
        result = client.infer("riskpredictor", [tensor], **options)
        assert as_lists(result) == expected(server)
        if "request_id" in options:
            assert result.get_response()["id"] == "r-1"


def test_tritons_client_reads_health_and_metadata(server: ServerProcess) -> None:
    with connect(server) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("riskpredictor", "v1")
        assert not client.is_model_ready("riskpredictor", "v2")
        metadata = client.get_server_metadata()
        assert metadata["name"] == "riskpredictor-server"
        assert metadata["extensions"] == ["binary_tensor_data"]
        (vitals,) = client.get_model_metadata("riskpredictor", "v1")["inputs"]
        assert vitals["shape"] == [-1, 4]
        assert vitals["parameters"]["columns"] == ",".join(HEALTHY)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("get_model_config", ["riskpredictor"]),
        ("get_inference_statistics", ["riskpredictor"]),
        ("get_model_repository_index", []),
        ("load_model", ["riskpredictor"]),
        ("get_trace_settings", []),
        ("get_log_settings", []),
        ("get_system_shared_memory_status", []),
        ("register_system_shared_memory", ["region", "/region", 64]),
    ],
)
def test_an_extension_of_triton_is_refused_in_words(
    server: ServerProcess, call: str, arguments: list[Any]
) -> None:
    with (
        connect(server) as client,
        pytest.raises(
            triton.InferenceServerException, match="with the extension binary_tensor_data alone"
        ),
    ):
        getattr(client, call)(*arguments)


def shared_memory() -> Any:
    tensor = triton.InferInput("vitals", [2, 4], "FP64")
    tensor.set_shared_memory("region", 64)
    return tensor


def columns(*names: str) -> list[Any]:
    tensors = []
    for name in names:
        tensor = triton.InferInput(name, [1], "FP64")
        tensors.append(tensor.set_data_from_numpy(np.array([85.0])))
    return tensors


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no numbers": (
        {"inputs": [triton_input("BOOL", [[True] * 4])]}, 400, "must be a numeric type"
    ),
    "another shape": ({"inputs": [triton_input(data=[85, 120])]}, 400, "shape must be"),
    "other names": ({"inputs": columns("hr", "sbp")}, 400, "'hr' is heart_rate"),
    "shared memory": ({"inputs": [shared_memory()]}, 400, "shared_memory_region: is not"),
    "unknown output": (
        {"outputs": [triton.InferRequestedOutput("age")]}, 400, "unknown 'age'"
    ),
    "classes": (
        {"outputs": [triton.InferRequestedOutput("risk_level", class_count=1)]}, 400,
        "classification: is not supported",
    ),
    "unknown model": ({"model_name": "other"}, 404, "there is no model 'other'"),
    "unknown version": ({"model_version": "v9"}, 404, "there is no version 'v9'"),
    "too large": ({"inputs": [triton_input(data=VITALS * 200)]}, 413, "at most 4096 bytes"),
    "too large, in little": (
        {"inputs": [triton_input(data=VITALS * 200)], "request_compression_algorithm": "gzip"},
        413, "at most 4096 bytes when it is decompressed",
    ),
    "unknown encoding": (
        {"headers": {"Content-Encoding": "zstd"}}, 415, "'zstd'; send gzip, deflate or none"
    ),
    "unknown type": ({"headers": {"Content-Type": "text/plain"}}, 415, "Content-Type is 'text/p"),
    "out of range": (
        {"inputs": [triton_input(data=[*VITALS, [850, 120, 98.6, 97]])]}, 422,
        "inputs[2].heart_rate: must be 20 to 300 bpm",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_tritons_client_reads_every_refusal(server: ServerProcess, name: str) -> None:
    changes, status, words = REFUSED[name]
    arguments = {"model_name": "riskpredictor", "inputs": [triton_input()], **changes}
    with connect(server) as client:
        with pytest.raises(triton.InferenceServerException) as caught:
            client.infer(**arguments)
        assert (caught.value.status(), words in caught.value.message()) == (str(status), True)
        # The connection is still of use, or is opened anew.
        assert as_lists(client.infer("riskpredictor", [triton_input()])) == expected(server)


def test_tritons_client_reads_that_the_model_is_not_ready(damaged: ServerProcess) -> None:
    tensor = triton_input()
    with connect(damaged) as client:
        assert client.is_server_live()
        assert not client.is_server_ready()
        assert not client.is_model_ready("riskpredictor")
        asks: list[Callable[[], Any]] = [
            lambda: client.infer("riskpredictor", [tensor]),
            lambda: client.get_model_metadata("riskpredictor"),
        ]
        for ask in asks:
            with pytest.raises(triton.InferenceServerException, match="digest mismatch") as caught:
                ask()
            assert caught.value.status() == "503"


def test_tritons_client_reads_that_the_server_is_overloaded(full: ServerProcess) -> None:
    with (
        connect(full) as client,
        pytest.raises(triton.InferenceServerException, match="overloaded") as caught,
    ):
        client.infer("riskpredictor", [triton_input()])
    assert caught.value.status() == "503"


# KServe


def kserve_input(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "vitals", "shape": [2, 4], "datatype": "FP64", "data": VITALS}
    return tensor | {"binary": True} | changes


def infer(**case: Any) -> dict[str, Any]:
    return {"call": "infer", "inputs": [kserve_input()], **case}


LISTS = kserve_input(data=[*VITALS[0], *VITALS[1]], binary=False)
ANSWERED = {
    "defaults": infer(),
    "binary outputs": infer(parameters={"binary_data_output": True}),
    "lists": infer(inputs=[LISTS]),
    "a tensor per vital": infer(
        inputs=[
            {"name": name, "shape": [2], "datatype": "FP64", "data": list(data), "binary": True}
            for name, data in zip(HEALTHY, zip(*VITALS, strict=True), strict=True)
        ]
    ),
}
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "not an integer": (
        "server", infer(inputs=[LISTS | {"datatype": "INT32"}]),
        "inputs[0].data[2]: 98.6 is no INT32, which holds whole numbers from -2147483648",
    ),
    "another shape": (
        "server", infer(inputs=[LISTS | {"shape": [2, 5]}]), "its shape says 10, '400 Bad Request'"
    ),
    "unknown model": (
        "server", infer(model="other"), "there is no model 'other', only 'riskpredictor', '404 Not"
    ),
    "version 1 of the protocol": (
        "server", infer(protocol="v1"), "the Open Inference Protocol is at /v2, with the extension"
    ),
    "another method": (
        "server", infer(path="/v2/health/ready"), "POST is not allowed here, '405 Method Not All"
    ),
    "too large": (
        "server", infer(inputs=[kserve_input(data=VITALS * 200, shape=[400, 4])]),
        "the body may have at most 4096 bytes, '413 ",
    ),
    "unknown encoding": (
        "server", infer(headers={"content-encoding": "br"}), "send gzip, deflate or none, '415 Unsu"
    ),
    "out of range": (
        "server", infer(inputs=[LISTS | {"data": [850, *VITALS[0][1:], *VITALS[1]]}]),
        "inputs[0].heart_rate: must be 20 to 300 bpm; columns were read as heart_rate,blood_press",
    ),
    "not ready": ("damaged", infer(), "digest mismatch"),
    "server not ready": ("damaged", {"call": "is_server_ready"}, "'503 Service Unavailable'"),
    "overload": ("full", infer(), "overloaded: too many connections, '503 Service Unavailable'"),
}  # fmt: skip


def ask_kserve(python: Path, cases: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """What KServe's client makes of each case, asked in a process of its own: it takes seconds."""
    script = ROOT / "tests" / "support" / "kserve_client.py"
    done = subprocess.run(
        [python, "-I", script], input=json.dumps(cases), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def test_kserves_client_gets_right_answers_and_reads_every_refusal(
    server: ServerProcess, damaged: ServerProcess, full: ServerProcess, kserve_python: Path
) -> None:
    ready = [{"call": call} for call in ("is_server_live", "is_server_ready", "is_model_ready")]
    unready = {"call": "is_model_ready"}
    urls = {"server": server.url, "damaged": damaged.url, "full": full.url}
    refused = [(urls[where], case) for where, case, _ in CASES.values()]
    answers = ask_kserve(
        kserve_python,
        [(server.url, case) for case in (*ready, *ANSWERED.values())]
        + [(damaged.url, unready), *refused],
    )
    assert answers[:3] == [True, True, True]
    for name, answer in zip(ANSWERED, answers[3:], strict=False):
        assert answer == expected(server), name
    assert answers[3 + len(ANSWERED)] is False
    for (name, (_, _, words)), answer in zip(
        CASES.items(), answers[4 + len(ANSWERED) :], strict=True
    ):
        assert answer["type"] == "HTTPStatusError", (name, answer)
        assert words in answer["error"], (name, answer)


# Every other refusal, on the wire


HEAD = ("Content-Type: application/json", "Content-Length: 99")
REFUSALS: dict[str, tuple[bytes, int]] = {
    "malformed JSON": (request("POST", INFER, body=b"{"), 400),
    "malformed HTTP": (request("POST", INFER, "A : b", body=b"{}"), 400),
    "malformed chunk": (request("POST", INFER, "Transfer-Encoding: chunked") + b"x\r\n", 400),
    "no such path": (get("/v2/absent"), 404),
    "another spelling": (get("//v2/absent"), 404),
    "the method of another path": (get(INFER), 405),
    "no body in time": (request("POST", INFER, *HEAD) + b"{", 408),
    "length over the limit": (request("POST", INFER, "Content-Length: 99999"), 413),
    "body over the limit": (request("POST", INFER, body=b" " * (MAX_BODY + 1)), 413),
    "a body to no path": (request("POST", "/v2/absent", body=b" " * (MAX_BODY + 1)), 413),
    "media type": (request("POST", INFER, "Content-Type: a/b", "Content-Length: 0"), 415),
    "expectation": (request("POST", INFER, "Expect: x", *HEAD), 417),
    "head": (get("/v2?" + "x" * 20_000), 431),
    "transfer coding": (request("POST", INFER, "Transfer-Encoding: gzip, chunked"), 501),
    "version": (get("/v2/health/live", version="2.0"), 505),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_every_error_below_v2_is_json_with_the_member_error(
    server: ServerProcess, name: str
) -> None:
    """Refused before the route, by it or after it: clients look at nothing else."""
    sent, status = REFUSALS[name]
    with RawClient(server.port) as client:
        answer = client.send(sent).answer()
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    document = answer.json()
    assert document["error"] == document["detail"] != ""
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
