"""Reads and writes the tensors of the Open Inference Protocol, in JSON and in binary.

Binary tensors are those of Triton's extension: the values of all such tensors, little-endian and in
the order of the tensors, follow the JSON, and ``binary_data_size`` among a tensor's parameters says
how many bytes are its own. This needs no numpy.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from itertools import chain
from math import prod
from typing import Any, Final, NamedTuple

from riskpredictor_server.api.records import shown

_FORMATS: Final = {
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "FP16": "e", "FP32": "f", "FP64": "d", "BOOL": "?",
}  # fmt: skip
"""Letter of each datatype of one size in the module struct."""
_NUMERIC: Final = tuple(name for name in _FORMATS if name != "BOOL")
_LARGEST: Final = {"FP16": 65504.0, "FP32": 3.4028234663852886e38}
_NOT_SUPPORTED: Final = {
    "shared_memory_region": "leave it out: data is in the request and in the answer",
    "classification": "leave it out: the output risk_level is the most likely class, and the output"
    " probabilities has that of each",
}
"""Parameters that ask for extensions which are not served, and must not be ignored; what to do."""


class TensorError(Exception):
    """An input or output does not fit the protocol or the model; the message names it."""


class Tensor(NamedTuple):
    """One input; ``data`` is flat, row by row."""

    name: str
    shape: list[int]
    data: Sequence[Any]
    parameters: dict[str, Any]


def read_tensors(
    inputs: Sequence[Any], binary: bytes, most: int, others: Collection[str] = ()
) -> list[Tensor]:
    """Read the inputs of a request, whose JSON is followed by ``binary``.

    ``others`` are the datatypes allowed besides numbers: BOOL, BYTES. Raises TensorError, also for
    a binary tensor of more than ``most`` values.
    """
    allowed = (*_NUMERIC, *sorted(others))
    tensors = []
    at = 0
    for index, value in enumerate(inputs):
        where = f"inputs[{index}]"
        if not isinstance(value, dict):
            raise TensorError(f"{where}: must be an object")
        name, shape, datatype = value.get("name"), value.get("shape"), value.get("datatype")
        if not isinstance(name, str):
            raise TensorError(f"{where}.name: must be a string")
        if not isinstance(datatype, str) or datatype not in allowed:
            numeric = "" if others else "a numeric type, "
            raise TensorError(f"{where}.datatype: must be {numeric}one of {', '.join(allowed)}")
        # Checked before prod(): the product of many sizes has thousands of digits.
        if (
            not isinstance(shape, list)
            or not 1 <= len(shape) <= 2
            or not all(type(n) is int and 0 <= n < 2**31 for n in shape)
        ):
            raise TensorError(f"{where}.shape: must be an array of one or two whole numbers")
        parameters = read_parameters(value, where)
        data: Sequence[Any]
        if "binary_data_size" in parameters:
            if value.get("data") is not None:
                raise TensorError(f"{where}: has data and binary_data_size; send one of them")
            if prod(shape) > most:
                raise TensorError(f"{where}.shape: has more than {most} values")
            size = parameters["binary_data_size"]
            data = _read_binary(size, datatype, shape, where, binary, at)
            at += size
        else:
            data = _read_json(value.get("data"), datatype, shape, where)
        tensors.append(Tensor(name, shape, data, parameters))
    if at != len(binary):
        raise TensorError(
            f"{len(binary)} bytes follow the JSON, but the inputs' binary_data_size add up to {at}"
        )
    return tensors


def read_parameters(holder: dict[str, Any], where: str) -> dict[str, Any]:
    """Read the parameters of a request, an input or an output; raise TensorError."""
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise TensorError(f"{where}.parameters: must be an object".removeprefix("."))
    for name, instead in _NOT_SUPPORTED.items():
        if parameters.get(name):
            what = f"{where}.parameters.{name}".removeprefix(".")
            raise TensorError(f"{what}: is not supported; {instead}")
    return parameters


def encode(data: Sequence[Any], datatype: str) -> bytes:
    """Encode one binary tensor; each of BYTES is preceded by its length."""
    if datatype != "BYTES":
        return struct.pack(f"<{len(data)}{_FORMATS[datatype]}", *data)
    texts = [text.encode() for text in data]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _read_binary(
    size: Any, datatype: str, shape: list[int], where: str, binary: bytes, at: int
) -> Sequence[Any]:
    if type(size) is not int:
        raise TensorError(f"{where}.parameters.binary_data_size: must be a whole number")
    if datatype == "BYTES":
        return _read_texts(binary[at : at + max(size, 0)], size, prod(shape), where)
    layout = f"<{prod(shape)}{_FORMATS[datatype]}"
    wanted = struct.calcsize(layout)
    if size != wanted:
        raise TensorError(
            f"{where}.parameters.binary_data_size: is {shown(size)};"
            f" {prod(shape)} values of {datatype} have {wanted} bytes"
        )
    if at + wanted > len(binary):
        raise TensorError(
            f"{where}: {len(binary)} bytes follow the JSON, but its binary data would end at"
            f" {at + wanted}; the header Inference-Header-Content-Length says where the JSON ends"
        )
    return struct.unpack_from(layout, binary, at)


def _read_texts(data: bytes, size: int, count: int, where: str) -> list[str]:
    """Read texts, each after its length in four bytes; raise TensorError."""
    texts: list[str] = []
    at = 0
    while at + 4 <= len(data) and len(texts) <= count:
        (length,) = struct.unpack_from("<I", data, at)
        at += 4 + length
        if at <= len(data):
            texts.append(data[at - length : at].decode(errors="replace"))
    if len(data) != size or at != size or len(texts) != count:
        raise TensorError(
            f"{where}.parameters.binary_data_size: is {size}; {count} values of BYTES,"
            " each after its length in four bytes, do not fill that"
        )
    return texts


def _read_json(given: Any, datatype: str, shape: list[int], where: str) -> list[Any]:
    """Return the data flat: the protocol allows it flat or nested by its dimensions."""
    if not isinstance(given, list):
        raise TensorError(f"{where}.data: must be an array")
    data: list[Any] = given
    if len(shape) == 2 and data and isinstance(data[0], list):
        rows, width = shape
        if len(data) != rows or not all(isinstance(r, list) and len(r) == width for r in data):
            raise TensorError(f"{where}.data: its shape says {rows} arrays of {width} values each")
        data = list(chain.from_iterable(data))
    if prod(shape) != len(data):
        raise TensorError(f"{where}.data: has {len(data)} values, its shape says {prod(shape)}")
    if datatype not in ("FP64", "BOOL", "BYTES"):
        _check_range(data, datatype, where)
    return data


def _check_range(data: list[Any], datatype: str, where: str) -> None:
    """Raise TensorError for a number that the datatype cannot hold.

    What is no number at all is left to the validation of records, which names its field.
    """
    if datatype in _LARGEST:
        high = _LARGEST[datatype]
        low, numbers = -high, "numbers"
        fits = frozenset((int, float))
    else:
        bits = 8 * struct.calcsize("<" + _FORMATS[datatype])
        signed = datatype.startswith("INT")
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        numbers = "whole numbers"
        fits = frozenset((int,))
    for index, value in enumerate(data):
        if type(value) in (int, float) and not (
            low <= value <= high and (type(value) in fits or value.is_integer())
        ):
            raise TensorError(
                f"{where}.data[{index}]: {shown(value)} is no {datatype}, which holds {numbers}"
                f" from {low} to {high}; FP64 holds every measurement"
            )
