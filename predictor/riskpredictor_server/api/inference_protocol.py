"""Answers requests of the Open Inference Protocol v2 (REST), for clients of KServe and Triton.

Inputs are a tensor of shape [n] or [n, 1] for each feature of the model, with its name; what is
not required may be absent. A model without categories also takes one tensor of shape [n, features],
its columns in the order of the schema unless its parameter ``columns`` names them in another.
Values are in each feature's own unit unless a parameter of the request, as ``temperature_unit``,
says another.
Outputs: ``risk_level`` (BYTES, [n]), ``probabilities`` (FP64, [n, levels]) and, for a linear model,
``contributions`` (FP64, [n, features]). Tensors are JSON or binary, as the client likes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from riskpredictor_server import __version__
from riskpredictor_server.api.json_body import BodyError, decode
from riskpredictor_server.api.prediction import Predictor, is_json
from riskpredictor_server.api.problems import Reply, json_reply, problem
from riskpredictor_server.api.records import InvalidRecordError, RecordReader, quoted, shown
from riskpredictor_server.api.tensors import (
    Tensor,
    TensorError,
    encode,
    read_parameters,
    read_tensors,
)
from riskpredictor_server.model.artifact import Model
from riskpredictor_server.model.schema import Feature, Schema

MODEL_ROUTE = "/v2/models/<name>"
VERSION_ROUTE = MODEL_ROUTE + "/versions/<version>"
BINARY_HEADER = "Inference-Header-Content-Length"
BINARY_TYPE = "application/octet-stream"
EXTENSIONS = ("binary_tensor_data",)
_UNITS_AT = "parameters."
"""Where a request says units."""
_DATATYPES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "category": "BYTES"}


def server_metadata() -> Reply:
    """Answer ``GET /v2``."""
    return json_reply(
        {"name": "riskpredictor-server", "version": __version__, "extensions": EXTENSIONS}
    )


def model_metadata(predictor: Predictor, name: str, versions: Sequence[str]) -> Reply:
    """Answer ``GET /v2/models/{name}``; ``versions`` are those that can be asked for."""
    explains, schema = predictor.model.scorer.explains, predictor.model.schema
    if _is_wide(schema):
        columns = {
            "columns": _columns(schema),
            "units": ",".join(feature.unit for feature in schema.features),
        }
        shape = [-1, len(schema.features)]
        inputs = [{"name": "vitals", "datatype": "FP64", "shape": shape, "parameters": columns}]
    else:
        inputs = [_describe_input(feature) for feature in schema.features]
    body = {
        "name": name,
        "versions": versions,
        "platform": "riskpredictor_linear" if explains else "scikit-learn",
        "inputs": inputs,
        "outputs": [
            _describe(output, known) for output, known in _known_outputs(predictor.model).items()
        ],
    }
    return json_reply(body)


def _is_wide(schema: Schema) -> bool:
    """Whether one tensor can hold all features: its values are numbers."""
    return all(feature.type != "category" for feature in schema.features)


def _columns(schema: Schema) -> str:
    return ",".join(schema.names)


def _describe_input(feature: Feature) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": feature.name,
        "datatype": _DATATYPES[feature.type],
        "shape": [-1],
        "optional": not feature.required,
    }
    if feature.unit:
        described["parameters"] = {"units": feature.unit}
    elif feature.values:
        described["parameters"] = {"values": ",".join(feature.values)}
    return described


def example_tensors(schema: Schema, record: Mapping[str, Any]) -> dict[str, Any]:
    """Build the request for one record."""
    if _is_wide(schema) and all(record.get(name) is not None for name in schema.names):
        data = [record[name] for name in schema.names]
        shape = [1, len(data)]
        return {"inputs": [{"name": "vitals", "shape": shape, "datatype": "FP64", "data": data}]}
    return {
        "inputs": [
            {"name": f.name, "shape": [1], "datatype": _DATATYPES[f.type], "data": [record[f.name]]}
            for f in schema.features
            if record.get(f.name) is not None
        ]
    }


def infer(
    predictor: Predictor,
    name: str,
    body: bytes,
    json_length: str,
    content_type: str,
    request_id: str,
    subject: bytes,
) -> Reply:
    """Answer ``POST /v2/models/{name}/infer``.

    ``json_length`` is the header that announces binary tensors, or empty; ``subject`` the one that
    assigns requests to a candidate.
    """
    # Clients of the protocol often send no Content-Type.
    if content_type and not is_json(content_type) and BINARY_TYPE not in content_type.lower():
        predictor.metrics.rejected.add(("", "not_json"))
        detail = f"Content-Type is {content_type[:64]!r}; send application/json or {BINARY_TYPE}"
        return problem(415, detail, request_id)
    known, schema = _known_outputs(predictor.model), predictor.model.schema
    try:
        size = _json_size(json_length, len(body))
        document = decode(body[:size])
        records, by_position = _records(
            document, body[size:], predictor.max_batch, predictor.reader
        )
        wanted = _wanted(document, known)
    except (BodyError, TensorError) as error:
        predictor.metrics.rejected.add(("", "malformed"))
        return problem(400, str(error), request_id)
    try:
        rows = predictor.reader.read_many(records, "inputs", _UNITS_AT)
    except InvalidRecordError as invalid:
        predictor.count_rejected(invalid.errors)
        order = f"; columns were read as {_columns(schema)}" if by_position else ""
        return problem(422, f"{invalid}{order}", request_id, errors=invalid.errors)
    answers, model, headers = predictor.answers(rows, request_id, subject)
    given = document.get("id")
    answer: dict[str, Any] = {
        "model_name": name,
        "model_version": model.version,
        "id": given if isinstance(given, str) else request_id,
    }
    if by_position:
        # A client whose columns have another order can see it here.
        answer["parameters"] = {"columns": _columns(schema)}
    reply = _reply(answer, answers, _known_outputs(model), wanted)
    return reply._replace(headers=reply.headers + headers)


def _json_size(json_length: str, size: int) -> int:
    """Return how many bytes of a body of this size are JSON; raise TensorError."""
    if not json_length:
        return size
    if not (json_length.isascii() and json_length.isdigit() and len(json_length) < 19):
        raise TensorError(f"{BINARY_HEADER} is {json_length[:64]!r}; send a whole number")
    if int(json_length) > size:
        raise TensorError(f"{BINARY_HEADER} is {json_length}, but the body has {size} bytes")
    return int(json_length)


def _records(
    document: Any, binary: bytes, max_batch: int, reader: RecordReader
) -> tuple[list[dict[str, Any]], bool]:
    """Turn the input tensors into records as ``POST /predict`` takes them.

    Returns whether their columns were told apart by position alone, too.
    """
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise TensorError(
            'the request must be an object with "inputs", an array of tensors;'
            " records without tensors go to /predict"
        )
    schema = reader.schema
    width = len(schema.names)
    units = _units(read_parameters(document, ""), schema)
    types = {_DATATYPES[feature.type] for feature in schema.features}
    tensors = read_tensors(
        document["inputs"], binary, most=width * max_batch, others=types & {"BOOL", "BYTES"}
    )
    names: Sequence[str] = schema.names
    wide = len(tensors) == 1 and not _is_column(tensors[0], names)
    if wide:
        tensor = tensors[0]
        if not _is_wide(schema):
            raise TensorError(f"inputs: send a tensor of shape [n] for each of {_columns(schema)}")
        if len(tensor.shape) != 2 or tensor.shape[1] != width:
            raise TensorError(
                f"inputs: {tensor.name[:64]!r}: shape must be [n, {width}],"
                f" columns {_columns(schema)}"
            )
        names = _column_names(tensor, schema)
        columns = [tensor.data[index::width] for index in range(width)]
    else:
        names, columns = _named_columns(tensors, reader)
    if not 1 <= len(columns[0]) <= max_batch:
        raise TensorError(f"inputs: must hold 1 to {max_batch} records")
    columns = [_as_recorded(schema.by_name[n], c) for n, c in zip(names, columns, strict=True)]
    records = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if units:
        records = [record | units for record in records]
    return records, wide and "columns" not in tensors[0].parameters


def _units(parameters: Mapping[str, Any], schema: Schema) -> dict[str, str]:
    """Return the fields of records for the units that a request says; raise TensorError."""
    units = {}
    for feature in schema.features:
        unit = parameters.get(feature.unit_field) if feature.units else None
        if unit is None:
            continue
        if unit not in feature.unit_names:
            where = f"{_UNITS_AT}{feature.unit_field}"
            raise TensorError(f"{where}: must be {quoted(feature.unit_names)}")
        units[feature.unit_field] = unit
    return units


def _is_column(tensor: Tensor, names: Collection[str]) -> bool:
    """Whether a tensor that came alone is that of one feature."""
    return tensor.name in names and (tensor.shape[1:] or [1]) == [1]


def _as_recorded(feature: Feature, column: Sequence[Any]) -> Sequence[Any]:
    """Write the values of a tensor as records have them.

    Tensors have no null: NaN is one, where a feature may be left out. Numbers 0 and 1 are booleans.
    """
    if not feature.required:
        column = [None if value != value else value for value in column]
    if feature.type == "boolean":
        column = [bool(v) if type(v) in (int, float) and v in (0, 1) else v for v in column]
    return column


def _column_names(tensor: Tensor, schema: Schema) -> Sequence[str]:
    """Return the names of a tensor's columns, in its order; raise TensorError."""
    given = tensor.parameters.get("columns", _columns(schema))
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else []
    if sorted(names) != sorted(schema.names):
        raise TensorError(
            f"inputs[0].parameters.columns: is {shown(given)};"
            f' send the names in your order, as in "{_columns(schema)}"'
        )
    return names


def _named_columns(
    tensors: Sequence[Tensor], reader: RecordReader
) -> tuple[Sequence[str], list[Sequence[Any]]]:
    """Return names and columns of one tensor for each feature; raise TensorError."""
    schema = reader.schema
    given = [tensor.name for tensor in tensors]
    required = {feature.name for feature in schema.features if feature.required}
    if len(set(given)) != len(given) or not required <= set(given) <= set(schema.names):
        meant = {name: reader.field_meant(name) for name in given if name not in schema.names}
        renames = [f"{name[:64]!r} is {field}" for name, field in meant.items() if field]
        width = len(schema.names)
        optional = [feature.name for feature in schema.features if not feature.required]
        either = f"one tensor of shape [n, {width}], columns {_columns(schema)}, or "
        raise TensorError(
            f"inputs: send {either if _is_wide(schema) else ''}one tensor"
            f" each named {', '.join(schema.names)}"
            + (f"; {', '.join(optional)} may be absent" if optional else "")
            + "".join(f"; {each}" for each in renames)
        )
    for tensor in tensors:
        if tensor.shape[1:] not in ([], [1]):
            raise TensorError(f"inputs: {tensor.name!r}: shape must be [n] or [n, 1]")
    if len({len(tensor.data) for tensor in tensors}) != 1:
        raise TensorError("inputs: the tensors must have the same length")
    return given, [tensor.data for tensor in tensors]


class _Output(NamedTuple):
    """One output of a model: a value, or a column for each name, per record."""

    datatype: str
    columns: Sequence[str] = ()

    def shape(self, rows: int) -> list[int]:
        return [rows, len(self.columns)] if self.columns else [rows]


def _known_outputs(model: Model) -> dict[str, _Output]:
    """List the outputs of a model."""
    schema = model.schema
    outputs = {"risk_level": _Output("BYTES"), "probabilities": _Output("FP64", schema.levels)}
    if model.scorer.explains:
        outputs["contributions"] = _Output("FP64", schema.names)
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
