"""A model of its own record, trained from a CSV file: what a client of the OIP gets from it.

Triton's client with its defaults, a tensor for each feature; every answer is that of POST /predict.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from unit.predictor.support import ServerProcess

from support import docs
from support.cluster import ROOT
from support.early_warning import ILL, SCHEMA, WELL, train

GUIDE = ROOT / "docs" / "OWN-MODEL-GUIDE.md"
MODEL = "riskpredictor"
DATATYPES = {
    "respiratory_rate": "INT64",
    "oxygen_saturation": "INT64",
    "supplemental_oxygen": "BOOL",
    "systolic_pressure": "INT64",
    "pulse": "INT64",
    "consciousness": "BYTES",
    "temperature": "FP64",
    "age": "INT64",
    "lactate": "FP64",
}
Record = Mapping[str, Any]


def without(record: Record, name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of the model, trained from the example's CSV file and schema."""
    with ServerProcess(train(tmp_path_factory.mktemp("early-warning"))) as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as connected:
        yield connected


def tensors(records: Sequence[Record], **options: Any) -> list[Any]:
    """A tensor of Triton's client for each feature that the first record has."""
    found = []
    for name in records[0]:
        datatype = DATATYPES[name]
        data = np.array([r[name] for r in records], dtype=triton.triton_to_np_dtype(datatype))
        tensor = triton.InferInput(name, data.shape, datatype)
        found.append(tensor.set_data_from_numpy(data, **options))
    return found


def predicted(server: ServerProcess, records: Sequence[Record]) -> dict[str, Any]:
    """What POST /predict says of them, as the outputs of the protocol."""
    rows = server.post("/predict", {"instances": list(records)}).json()["predictions"]
    return {
        "risk_level": [row["risk_level"] for row in rows],
        "probabilities": [list(row["probabilities"].values()) for row in rows],
        "contributions": [list(row["contributions"].values()) for row in rows],
    }


def outputs(result: Any) -> dict[str, Any]:
    found = {name: result.as_numpy(name).tolist() for name in ("probabilities", "contributions")}
    levels = result.as_numpy("risk_level").tolist()
    return {"risk_level": [v.decode() if isinstance(v, bytes) else v for v in levels], **found}


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([WELL, ILL], id="all features"),
        pytest.param(
            [without(WELL, "lactate"), without(ILL, "lactate")], id="without the optional"
        ),
    ],
)
@pytest.mark.parametrize("answer", [True, False], ids=["binary answer", "JSON answer"])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_a_tensor_for_each_feature(
    server: ServerProcess, client: Any, binary: bool, answer: bool, records: Sequence[Record]
) -> None:
    wanted = [
        triton.InferRequestedOutput(name, binary_data=answer)
        for name in ("risk_level", "probabilities", "contributions")
    ]
    result = client.infer(MODEL, tensors(records, binary_data=binary), outputs=wanted)
    assert outputs(result) == predicted(server, records)
    assert outputs(result)["risk_level"] == ["Low", "High"]


def test_nan_is_a_value_that_is_left_out(server: ServerProcess, client: Any) -> None:
    """In one row of a batch; tensors have no null."""
    result = client.infer(MODEL, tensors([WELL, {**ILL, "lactate": math.nan}]))
    assert outputs(result) == predicted(server, [WELL, without(ILL, "lactate")])
    assert outputs(result) != predicted(server, [WELL, ILL])


def test_a_unit_is_a_parameter_of_the_request(server: ServerProcess, client: Any) -> None:
    celsius = {**ILL, "temperature": 38.8}
    result = client.infer(MODEL, tensors([celsius]), parameters={"temperature_unit": "C"})
    assert outputs(result) == predicted(server, [{**celsius, "temperature_unit": "C"}])


def test_the_metadata_names_every_tensor(client: Any) -> None:
    metadata = client.get_model_metadata(MODEL, "ward-ews-1")
    inputs = {told.pop("name"): told for told in metadata["inputs"]}
    assert {name: told["datatype"] for name, told in inputs.items()} == DATATYPES
    assert [name for name, told in inputs.items() if told["optional"]] == ["lactate"]
    assert all(told["shape"] == [-1] for told in inputs.values())
    assert inputs["temperature"]["parameters"] == {"units": "°F"}
    levels = "Alert,Confusion,Voice,Pain,Unresponsive"
    assert inputs["consciousness"]["parameters"] == {"values": levels}
    (probabilities,) = [o for o in metadata["outputs"] if o["name"] == "probabilities"]
    assert probabilities["shape"] == [-1, 3]
    assert probabilities["parameters"] == {"columns": "Low,Medium,High"}


REFUSED: dict[str, tuple[list[Any], int, str]] = {
    "a value that no category has": (
        tensors([{**ILL, "consciousness": "Asleep"}]), 422,
        'inputs[0].consciousness: must be "Alert", "Confusion", "Voice", "Pain" or "Unresponsive"',
    ),
    "out of range": (
        tensors([WELL, {**ILL, "age": 12}]), 422, "inputs[1].age: must be 16 to 120 years",
    ),
    "a required feature is missing": (
        tensors([without(ILL, "age")]), 400, "send one tensor each named respiratory_rate, oxygen_",
    ),
    "two lengths": (
        [*tensors([without(ILL, "pulse")] * 2), tensors([ILL])[4]], 400, "the same length",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_feature(client: Any, case: str) -> None:
    inputs, status, words = REFUSED[case]
    with pytest.raises(triton.InferenceServerException, match=re.escape(words)) as caught:
        client.infer(MODEL, inputs)
    assert caught.value.status() == str(status)


def test_the_client_of_the_guide_gets_an_answer(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    (script,) = [block.text for block in docs.blocks(GUIDE) if "tritonclient" in block.text]
    names: dict[str, Any] = {}
    exec(script.replace("localhost:8080", f"127.0.0.1:{server.port}"), names)
    level = predicted(server, [names["record"]])["risk_level"][0]
    assert capsys.readouterr().out == f"[{level.encode()!r}]\n"
    names["client"].close()


def test_what_the_guide_shows_of_the_schema_is_in_it() -> None:
    (shown,) = [block.text for block in docs.blocks(GUIDE) if block.text.startswith("- {name:")]
    features = [line.strip() for line in SCHEMA.read_text().splitlines()]
    assert set(shown.splitlines()) <= set(features)
