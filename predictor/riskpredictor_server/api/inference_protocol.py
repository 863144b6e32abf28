"""Answers requests of the Open Inference Protocol v2 (REST), for clients of KServe and Triton.

Inputs are either one tensor of shape [n, 4], columns in the order of VITALS unless its parameter
``columns`` names them in another, or four tensors named like the vitals, of shape [n] or [n, 1].
Temperatures are °F unless the request's parameter ``temperature_unit`` is C. Outputs:
``risk_level`` (BYTES, [n]), ``probabilities`` (FP64, [n, 3]) and, for a linear model,
``contributions`` (FP64, [n, 4]). Tensors are JSON or binary, as the client likes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from riskpredictor_server import __version__
from riskpredictor_server.api.hints import field_meant
from riskpredictor_server.api.json_body import BodyError, decode
from riskpredictor_server.api.prediction import Predictor, is_json
from riskpredictor_server.api.problems import Reply, json_reply, problem
from riskpredictor_server.api.records import (
    TEMPERATURE_UNITS,
    InvalidRecordError,
    read_records,
    shown,
)
from riskpredictor_server.api.tensors import (
    Tensor,
    TensorError,
    encode,
    read_parameters,
    read_tensors,
)
from riskpredictor_server.model.vitals import RISK_LEVELS, VITAL_NAMES, VITALS

MODEL_ROUTE = "/v2/models/<name>"
VERSION_ROUTE = MODEL_ROUTE + "/versions/<version>"
BINARY_HEADER = "Inference-Header-Content-Length"
BINARY_TYPE = "application/octet-stream"
EXTENSIONS = ("binary_tensor_data",)
_UNIT = "parameters.temperature_unit"
_COLUMNS = ",".join(VITAL_NAMES)
_WIDTH = len(VITAL_NAMES)


def server_metadata() -> Reply:
    """Answer ``GET /v2``."""
    return json_reply(
        {"name": "riskpredictor-server", "version": __version__, "extensions": EXTENSIONS}
    )


def model_metadata(predictor: Predictor, name: str) -> Reply:
    """Answer ``GET /v2/models/{name}``."""
    explains = predictor.model.scorer.explains
    columns = {"columns": _COLUMNS, "units": ",".join(vital.unit for vital in VITALS)}
    vitals = {"name": "vitals", "datatype": "FP64", "shape": [-1, _WIDTH], "parameters": columns}
    body = {
        "name": name,
        "versions": [predictor.model.version],
        "platform": "riskpredictor_linear" if explains else "scikit-learn",
        "inputs": [vitals],
        "outputs": [
            _describe(output, known) for output, known in _known_outputs(predictor).items()
        ],
    }
    return json_reply(body)


def infer(
    predictor: Predictor,
    name: str,
    body: bytes,
    json_length: str,
    content_type: str,
    request_id: str,
) -> Reply:
    """Answer ``POST /v2/models/{name}/infer``.

    ``json_length`` is the header that announces binary tensors, or empty.
    """
    # Clients of the protocol often send no Content-Type.
    if content_type and not is_json(content_type) and BINARY_TYPE not in content_type.lower():
        predictor.metrics.rejected.add(("", "not_json"))
        detail = f"Content-Type is {content_type[:64]!r}; send application/json or {BINARY_TYPE}"
        return problem(415, detail, request_id)
    known = _known_outputs(predictor)
    try:
        size = _json_size(json_length, len(body))
        document = decode(body[:size])
        records, by_position = _records(document, body[size:], predictor.max_batch)
        wanted = _wanted(document, known)
    except (BodyError, TensorError) as error:
        predictor.metrics.rejected.add(("", "malformed"))
        return problem(400, str(error), request_id)
    try:
        rows = read_records(records, "inputs", _UNIT)
    except InvalidRecordError as invalid:
        predictor.count_rejected(invalid.errors)
        order = f"; columns were read as {_COLUMNS}" if by_position else ""
        return problem(422, f"{invalid}{order}", request_id, errors=invalid.errors)
    answers = predictor.answers(rows, request_id)
    given = document.get("id")
    answer: dict[str, Any] = {
        "model_name": name,
        "model_version": predictor.model.version,
        "id": given if isinstance(given, str) else request_id,
    }
    if by_position:
        # A client whose columns have another order can see it here.
        answer["parameters"] = {"columns": _COLUMNS}
    return _reply(answer, answers, known, wanted)


def _json_size(json_length: str, size: int) -> int:
    """Return how many bytes of a body of this size are JSON; raise TensorError."""
    if not json_length:
        return size
    if not (json_length.isascii() and json_length.isdigit() and len(json_length) < 19):
        raise TensorError(f"{BINARY_HEADER} is {json_length[:64]!r}; send a whole number")
    if int(json_length) > size:
        raise TensorError(f"{BINARY_HEADER} is {json_length}, but the body has {size} bytes")
    return int(json_length)


def _records(document: Any, binary: bytes, max_batch: int) -> tuple[list[dict[str, Any]], bool]:
    """Turn the input tensors into records as ``POST /predict`` takes them.

    Returns whether their columns were told apart by position alone, too.
    """
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise TensorError(
            'the request must be an object with "inputs", an array of tensors;'
            " records without tensors go to /predict"
        )
    unit = read_parameters(document, "").get("temperature_unit")
    if unit not in (None, *TEMPERATURE_UNITS):
        raise TensorError(f'{_UNIT}: must be "F" or "C"')
    tensors = read_tensors(document["inputs"], binary, most=_WIDTH * max_batch)
    names: Sequence[str] = VITAL_NAMES
    if len(tensors) == 1:
        tensor = tensors[0]
        if len(tensor.shape) != 2 or tensor.shape[1] != _WIDTH:
            raise TensorError(
                f"inputs: {tensor.name[:64]!r}: shape must be [n, {_WIDTH}], columns {_COLUMNS}"
            )
        names = _column_names(tensor)
        columns = [tensor.data[index::_WIDTH] for index in range(_WIDTH)]
    else:
        columns = _named_columns(tensors)
    if not 1 <= len(columns[0]) <= max_batch:
        raise TensorError(f"inputs: must hold 1 to {max_batch} records")
    records = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if unit:
        records = [record | {"temperature_unit": unit} for record in records]
    return records, len(tensors) == 1 and "columns" not in tensors[0].parameters


def _column_names(tensor: Tensor) -> Sequence[str]:
    """Return the names of a tensor's columns, in its order; raise TensorError."""
    given = tensor.parameters.get("columns", _COLUMNS)
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else []
    if sorted(names) != sorted(VITAL_NAMES):
        raise TensorError(
            f"inputs[0].parameters.columns: is {shown(given)};"
            f' send the names in your order, as in "{_COLUMNS}"'
        )
    return names


def _named_columns(tensors: Sequence[Tensor]) -> list[Sequence[Any]]:
    """Return the columns of one tensor for each vital, in the order of VITALS."""
    if sorted(tensor.name for tensor in tensors) != sorted(VITAL_NAMES):
        meant = {tensor.name: field_meant(tensor.name) for tensor in tensors}
        renames = [f"{name[:64]!r} is {field}" for name, field in meant.items() if field]
        raise TensorError(
            f"inputs: send one tensor of shape [n, {_WIDTH}], columns {_COLUMNS}, or one tensor"
            f" each named {', '.join(VITAL_NAMES)}" + "".join(f"; {each}" for each in renames)
        )
    for tensor in tensors:
        if tensor.shape[1:] not in ([], [1]):
            raise TensorError(f"inputs: {tensor.name!r}: shape must be [n] or [n, 1]")
    by_name = {tensor.name: tensor.data for tensor in tensors}
    if len({len(column) for column in by_name.values()}) != 1:
        raise TensorError("inputs: the four tensors must have the same length")
    return [by_name[name] for name in VITAL_NAMES]


class _Output(NamedTuple):
    """One output of a model: a value, or a column for each name, per record."""

    datatype: str
    columns: Sequence[str] = ()

    def shape(self, rows: int) -> list[int]:
        return [rows, len(self.columns)] if self.columns else [rows]


def _known_outputs(predictor: Predictor) -> dict[str, _Output]:
    """List the outputs of this model."""
    outputs = {"risk_level": _Output("BYTES"), "probabilities": _Output("FP64", RISK_LEVELS)}
    if predictor.model.scorer.explains:
        outputs["contributions"] = _Output("FP64", VITAL_NAMES)
    return outputs


def _describe(name: str, output: _Output) -> dict[str, Any]:
    """Build the metadata of an output."""
    described = {"name": name, "datatype": output.datatype, "shape": output.shape(-1)}
    columns = {"columns": ",".join(output.columns)}
    return described | {"parameters": columns} if output.columns else described


def _wanted(document: dict[str, Any], known: Collection[str]) -> dict[str, bool]:
    """Read which outputs the client asks for, all if it names none, and which of them binary."""
    binary = _flag(read_parameters(document, ""), "binary_data_output", "parameters", False)
    outputs = document.get("outputs")
    if not outputs:
        return dict.fromkeys(known, binary)
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise TensorError("outputs: must be an array of objects")
    wanted = {}
    for index, output in enumerate(outputs):
        where = f"outputs[{index}]"
        name, these = output.get("name"), f"this model has {', '.join(sorted(known))}"
        if not isinstance(name, str):
            raise TensorError(f"{where}.name: must be a string; {these}")
        if name not in known:
            raise TensorError(f"outputs: unknown {name[:64]!r}; {these}")
        parameters = read_parameters(output, where)
        wanted[name] = _flag(parameters, "binary_data", f"{where}.parameters", binary)
    return wanted


def _flag(parameters: dict[str, Any], name: str, where: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise TensorError(f"{where}.{name}: must be true or false")
    return value


def _reply(
    answer: dict[str, Any],
    answers: list[dict[str, Any]],
    known: Mapping[str, _Output],
    wanted: Mapping[str, bool],
) -> Reply:
    """Build the reply: JSON, followed by the outputs that are wanted in binary."""
    outputs: list[dict[str, Any]] = []
    answer["outputs"] = outputs
    parts: list[bytes] = []
    for name, (datatype, _) in known.items():
        if name not in wanted:
            continue
        shape = known[name].shape(len(answers))
        output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        data = _output_data(answers, name)
        if wanted[name]:
            parts.append(encode(data, datatype))
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = data
        outputs.append(output)
    if not parts:
        return json_reply(answer)
    text = orjson.dumps(answer)
    return Reply(200, BINARY_TYPE, b"".join((text, *parts)), ((BINARY_HEADER, str(len(text))),))


def _output_data(answers: list[dict[str, Any]], name: str) -> list[Any]:
    """Collect one output of all answers, flat: row by row."""
    if name == "risk_level":
        return [answer[name] for answer in answers]
    return [value for answer in answers for value in answer[name].values()]
