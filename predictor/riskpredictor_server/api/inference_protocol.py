"""Open Inference Protocol v2 (REST): so that clients of KServe, Triton and MLServer work.

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
from riskpredictor_server.api.records import (
    RISK_LEVELS,
    VITAL_NAMES,
    InvalidRecordError,
    read_records,
)

_NUMERIC = frozenset(
    f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)
) | frozenset(("FP16", "FP32", "FP64"))


MODEL_ROUTE = "/v2/models/<name>"
VERSION_ROUTE = MODEL_ROUTE + "/versions/<version>"
BINARY_HEADER = "inference-header-content-length"
_BINARY = (
    "binary tensors (header Inference-Header-Content-Length) are not supported; send each input's"
    ' "data" in the JSON (tritonclient: set_data_from_numpy(..., binary_data=False))'
)


class _TensorError(Exception):
    """An input is not what the protocol or the model wants; the message names it."""


def server_metadata() -> Reply:
    """``GET /v2``."""
    return json_reply({"name": "riskpredictor-server", "version": __version__, "extensions": []})


def model_metadata(predictor: Predictor, name: str) -> Reply:
    """``GET /v2/models/{name}``."""
    explains = predictor.model.scorer.explains
    body = {
        "name": name,
        "versions": [predictor.model.version],
        "platform": "riskpredictor_linear" if explains else "scikit-learn",
        "inputs": [{"name": "vitals", "datatype": "FP64", "shape": [-1, len(VITAL_NAMES)]}],
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
    """``POST /v2/models/{name}/infer``; problem documents carry the protocol's ``error`` too."""
    rejected = predictor.metrics.rejected
    # The protocol's clients often leave the type out.
    plain = not content_type or is_json(content_type) or "octet-stream" in content_type
    if binary or not plain:
        rejected.add(("", "not_json"))
        detail = f"Content-Type is {content_type[:64]!r}; send JSON"
        return refuse(415, _BINARY if binary else detail, request_id)
    known = _known_outputs(predictor)
    try:
        document = decode(body)
        columns = _columns(document, predictor.max_batch)
        wanted = _wanted(document, known)
    except BodyError as error:
        rejected.add(("", "malformed"))
        return refuse(400, error.detail, request_id)
    except _TensorError as error:
        rejected.add(("", "malformed"))
        return refuse(400, str(error), request_id)
    records = [dict(zip(VITAL_NAMES, row, strict=True)) for row in columns]
    try:
        rows = read_records(records, "inputs")
    except InvalidRecordError as invalid:
        predictor.count_rejected(invalid.errors)
        return refuse(422, str(invalid), request_id, errors=invalid.errors)
    answers = predictor.answers(rows, request_id)
    given = document.get("id")
    body_out = {
        "model_name": name,
        "model_version": predictor.model.version,
        "id": given if isinstance(given, str) else request_id,
        "outputs": [output for output in _outputs(answers) if output["name"] in wanted],
    }
    return json_reply(body_out)


def refuse(status: int, detail: str, request_id: str, **extra: Any) -> Reply:
    """A problem document that is the protocol's error object too."""
    return problem(status, detail, request_id, error=detail, **extra)


def _columns(document: Any, max_batch: int) -> list[list[Any]]:
    """The rows of the inputs, in the order of VITALS."""
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise _TensorError('the request must be an object with "inputs", an array of tensors')
    tensors = [_tensor(each, index) for index, each in enumerate(document["inputs"])]
    names = [name for name, _, _ in tensors]
    if len(tensors) == 1:
        name, shape, data = tensors[0]
        if len(shape) != 2 or shape[1] != len(VITAL_NAMES):
            raise _TensorError(f"inputs: {name[:64]!r}: shape must be [n, {len(VITAL_NAMES)}]")
        width = len(VITAL_NAMES)
        rows = [data[start : start + width] for start in range(0, len(data), width)]
    elif sorted(names) == sorted(VITAL_NAMES):
        by_name = {name: (shape, data) for name, shape, data in tensors}
        for name, (shape, _) in by_name.items():
            if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
                raise _TensorError(f"inputs: {name[:64]!r}: shape must be [n] or [n, 1]")
        columns = [by_name[name][1] for name in VITAL_NAMES]
        if len({len(column) for column in columns}) != 1:
            raise _TensorError("inputs: the four tensors must have the same length")
        rows = [list(row) for row in zip(*columns, strict=True)]
    else:
        raise _TensorError(
            f"inputs: send one tensor of shape [n, {len(VITAL_NAMES)}], or one tensor each named"
            f" {', '.join(VITAL_NAMES)}"
        )
    if not 1 <= len(rows) <= max_batch:
        raise _TensorError(f"inputs: must hold 1 to {max_batch} records")
    return rows


def _tensor(value: Any, index: int) -> tuple[str, list[int], list[Any]]:
    where = f"inputs[{index}]"
    if not isinstance(value, dict):
        raise _TensorError(f"{where}: must be an object")
    name, shape, datatype = value.get("name"), value.get("shape"), value.get("datatype")
    if not isinstance(name, str):
        raise _TensorError(f"{where}.name: must be a string")
    if not isinstance(datatype, str) or datatype not in _NUMERIC:
        raise _TensorError(f"{where}.datatype: must be a numeric type such as FP64")
    # Bounded before anything is computed with it: a product of many sizes has thousands of digits.
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
    """The protocol allows a tensor nested by its dimensions as well as flat."""
    for _ in range(depth - 1):
        if not data or not all(isinstance(each, list) for each in data):
            return data
        data = [item for each in data for item in each]
    return data


def _known_outputs(predictor: Predictor) -> dict[str, tuple[Any, ...]]:
    """Datatype and width of every output that this model has."""
    outputs: dict[str, tuple[Any, ...]] = {
        "risk_level": ("BYTES",),
        "probabilities": ("FP64", len(RISK_LEVELS)),
    }
    if predictor.model.scorer.explains:
        outputs["contributions"] = ("FP64", len(VITAL_NAMES))
    return outputs


def _wanted(document: dict[str, Any], known: Collection[str]) -> Collection[str]:
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


def _outputs(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def output(name: str, datatype: str, width: int, data: list[Any]) -> dict[str, Any]:
        shape = [len(answers)] + ([width] if width else [])
        return {"name": name, "datatype": datatype, "shape": shape, "data": data}

    outputs = [
        output("risk_level", "BYTES", 0, [answer["risk_level"] for answer in answers]),
        output(
            "probabilities",
            "FP64",
            len(RISK_LEVELS),
            [p for answer in answers for p in answer["probabilities"].values()],
        ),
    ]
    if answers[0]["contributions"]:
        shares = [c for answer in answers for c in answer["contributions"].values()]
        outputs.append(output("contributions", "FP64", len(VITAL_NAMES), shares))
    return outputs
