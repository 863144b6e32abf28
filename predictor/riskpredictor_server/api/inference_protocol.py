"""Answers requests of the Open Inference Protocol v2 (REST), for clients of KServe and Triton.

Inputs are either one tensor of shape [n, 4], columns in the order of VITALS, or four tensors
named like the vitals, of shape [n] or [n, 1]. Temperatures are °F. Outputs: ``risk_level`` (BYTES,
[n]), ``probabilities`` (FP64, [n, 3]) and, for a linear model, ``contributions`` (FP64, [n, 4]).
"""

from __future__ import annotations

from collections.abc import Collection
from math import prod
from typing import Any

from riskpredictor_server import __version__
from riskpredictor_server.api.json_body import BodyError, decode
from riskpredictor_server.api.prediction import Predictor, is_json
from riskpredictor_server.api.problems import Reply, json_reply, problem
from riskpredictor_server.api.records import InvalidRecordError, read_records
from riskpredictor_server.model.vitals import RISK_LEVELS, VITAL_NAMES

_NUMERIC = frozenset(
    f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)
) | frozenset(("FP16", "FP32", "FP64"))
_WIDTH = len(VITAL_NAMES)

MODEL_ROUTE = "/v2/models/<name>"
VERSION_ROUTE = MODEL_ROUTE + "/versions/<version>"
BINARY_HEADER = "inference-header-content-length"
_BINARY = (
    "binary tensors (header Inference-Header-Content-Length) are not supported; send each input's"
    ' "data" in the JSON (tritonclient: set_data_from_numpy(..., binary_data=False))'
)


class _TensorError(Exception):
    """An input or output does not fit the protocol or the model; the message names it."""


def server_metadata() -> Reply:
    """Answer ``GET /v2``."""
    return json_reply({"name": "riskpredictor-server", "version": __version__, "extensions": []})


def model_metadata(predictor: Predictor, name: str) -> Reply:
    """Answer ``GET /v2/models/{name}``."""
    explains = predictor.model.scorer.explains
    body = {
        "name": name,
        "versions": [predictor.model.version],
        "platform": "riskpredictor_linear" if explains else "scikit-learn",
        "inputs": [{"name": "vitals", "datatype": "FP64", "shape": [-1, _WIDTH]}],
        "outputs": [
            {"name": output, "datatype": datatype, "shape": [-1, *width]}
            for output, (datatype, *width) in _known_outputs(predictor).items()
        ],
    }
    return json_reply(body)


def infer(
    predictor: Predictor,
    name: str,
    binary: bool,
    body: bytes,
    content_type: str,
    request_id: str,
) -> Reply:
    """Answer ``POST /v2/models/{name}/infer``.

    ``binary`` says that the client announced binary tensors.
    """
    # Clients of the protocol often send no Content-Type.
    plain = not content_type or is_json(content_type) or "octet-stream" in content_type
    if binary or not plain:
        predictor.metrics.rejected.add(("", "not_json"))
        detail = f"Content-Type is {content_type[:64]!r}; send JSON"
        return refuse(415, _BINARY if binary else detail, request_id)
    known = _known_outputs(predictor)
    try:
        document = decode(body)
        records = _records(document, predictor.max_batch)
        wanted = _wanted(document, known)
    except (BodyError, _TensorError) as error:
        predictor.metrics.rejected.add(("", "malformed"))
        return refuse(400, str(error), request_id)
    try:
        rows = read_records(records, "inputs")
    except InvalidRecordError as invalid:
        predictor.count_rejected(invalid.errors)
        return refuse(422, str(invalid), request_id, errors=invalid.errors)
    answers = predictor.answers(rows, request_id)
    given = document.get("id")
    outputs = [
        {
            "name": output,
            "datatype": datatype,
            "shape": [len(answers), *width],
            "data": _output_data(answers, output),
        }
        for output, (datatype, *width) in known.items()
        if output in wanted
    ]
    return json_reply(
        {
            "model_name": name,
            "model_version": predictor.model.version,
            "id": given if isinstance(given, str) else request_id,
            "outputs": outputs,
        }
    )


def refuse(status: int, detail: str, request_id: str, **extra: Any) -> Reply:
    """Build a problem document with the member ``error`` of the protocol's error object."""
    return problem(status, detail, request_id, error=detail, **extra)


def _records(document: Any, max_batch: int) -> list[dict[str, Any]]:
    """Turn the input tensors into records as ``POST /predict`` takes them."""
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise _TensorError('the request must be an object with "inputs", an array of tensors')
    tensors = [_tensor(each, index) for index, each in enumerate(document["inputs"])]
    if len(tensors) == 1:
        name, shape, data = tensors[0]
        if len(shape) != 2 or shape[1] != _WIDTH:
            raise _TensorError(f"inputs: {name[:64]!r}: shape must be [n, {_WIDTH}]")
        columns = [data[index::_WIDTH] for index in range(_WIDTH)]
    elif sorted(name for name, _, _ in tensors) == sorted(VITAL_NAMES):
        for name, shape, _ in tensors:
            if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
                raise _TensorError(f"inputs: {name[:64]!r}: shape must be [n] or [n, 1]")
        by_name = {name: data for name, _, data in tensors}
        columns = [by_name[name] for name in VITAL_NAMES]
        if len({len(column) for column in columns}) != 1:
            raise _TensorError("inputs: the four tensors must have the same length")
    else:
        raise _TensorError(
            f"inputs: send one tensor of shape [n, {_WIDTH}], or one tensor each named"
            f" {', '.join(VITAL_NAMES)}"
        )
    if not 1 <= len(columns[0]) <= max_batch:
        raise _TensorError(f"inputs: must hold 1 to {max_batch} records")
    return [dict(zip(VITAL_NAMES, row, strict=True)) for row in zip(*columns, strict=True)]


def _tensor(value: Any, index: int) -> tuple[str, list[int], list[Any]]:
    where = f"inputs[{index}]"
    if not isinstance(value, dict):
        raise _TensorError(f"{where}: must be an object")
    name, shape, datatype = value.get("name"), value.get("shape"), value.get("datatype")
    if not isinstance(name, str):
        raise _TensorError(f"{where}.name: must be a string")
    if not isinstance(datatype, str) or datatype not in _NUMERIC:
        raise _TensorError(f"{where}.datatype: must be a numeric type such as FP64")
    # Checked before prod(): the product of many sizes has thousands of digits.
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= 2
        or not all(type(n) is int and 0 <= n < 2**31 for n in shape)
    ):
        raise _TensorError(f"{where}.shape: must be an array of one or two whole numbers")
    if not isinstance(value.get("data"), list):
        raise _TensorError(f"{where}.data: must be an array; binary tensors are not supported")
    data = _flat(value["data"], len(shape))
    if prod(shape) != len(data):
        raise _TensorError(f"{where}.data: has {len(data)} values, its shape says {prod(shape)}")
    return name, shape, data


def _flat(data: list[Any], depth: int) -> list[Any]:
    """Flatten tensor data: the protocol allows it flat or nested by its dimensions."""
    for _ in range(depth - 1):
        if not data or not all(isinstance(each, list) for each in data):
            return data
        data = [item for each in data for item in each]
    return data


def _known_outputs(predictor: Predictor) -> dict[str, tuple[Any, ...]]:
    """List this model's outputs: datatype and, unless it is one value per record, width."""
    outputs: dict[str, tuple[Any, ...]] = {
        "risk_level": ("BYTES",),
        "probabilities": ("FP64", len(RISK_LEVELS)),
    }
    if predictor.model.scorer.explains:
        outputs["contributions"] = ("FP64", _WIDTH)
    return outputs


def _wanted(document: dict[str, Any], known: Collection[str]) -> Collection[str]:
    """Read which outputs the client asks for; all if it names none."""
    outputs = document.get("outputs")
    if not outputs:
        return known
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise _TensorError("outputs: must be an array of objects")
    names = [str(each.get("name")) for each in outputs]
    unknown = [name[:64] for name in names if name not in known]
    if unknown:
        raise _TensorError(
            f"outputs: unknown {unknown[0]!r}; this model has {', '.join(sorted(known))}"
        )
    return names


def _output_data(answers: list[dict[str, Any]], name: str) -> list[Any]:
    """Collect one output of all answers, flat: row by row."""
    if name == "risk_level":
        return [answer[name] for answer in answers]
    return [value for answer in answers for value in answer[name].values()]
