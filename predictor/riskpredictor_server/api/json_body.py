"""Request bytes to a JSON value, strictly: what is wrong with a body is named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

_LONGEST_INTEGER = 400
"""Digits and sign; a float ends at 309."""
_TOO_DEEP = "the document is nested too deeply"


class BodyError(Exception):
    """The body is not one JSON document; the message is for the client."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


@dataclass(frozen=True)
class _Constant:
    """NaN, Infinity or -Infinity, which Python's decoder takes for numbers and JSON does not."""

    name: str


_WALKED = frozenset((_Constant, dict, list))


def decode(body: bytes) -> Any:
    """Decode strict JSON; raises BodyError.

    orjson silently keeps the last of duplicate keys. A document of numbers only has exactly
    two quotation marks a key, so counting them finds every duplicate for the price of a scan;
    only documents with strings in them take the slow, exact look.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _second_look(body, error)
    if body.count(b'"') != _key_quotes(value):
        _slowly(body.decode())
    return value


def _key_quotes(value: Any) -> int:
    if type(value) is not dict:
        return -1
    total = 2 * len(value)
    instances = value.get("instances")
    if type(instances) is list:
        for record in instances:
            if type(record) is not dict:
                return -1
            total += 2 * len(record)
    return total


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                name = _printable(key)
                raise BodyError(f'the field "{name}" is given more than once', name)
            seen.add(key)
    return value


def _integer(text: str) -> float:
    """Whole numbers beyond any float become infinite: to convert their digits takes too long."""
    return int(text) if len(text) <= _LONGEST_INTEGER else float(text)


def _slowly(text: str) -> Any:
    """Decode with the standard library, which shows every key; raises BodyError, ValueError."""
    try:
        return json.loads(
            text, parse_constant=_Constant, parse_int=_integer, object_pairs_hook=_pairs
        )
    except RecursionError:
        raise BodyError(_TOO_DEEP) from None


def _second_look(body: bytes, error: orjson.JSONDecodeError) -> Any:
    """Name what orjson refused, or return a document whose one fault is a huge number.

    Validation then says which field holds the huge number.
    """
    if not body.strip():
        raise BodyError("the body is empty; send one JSON object")
    try:
        value = _slowly(_text(body))
        if type(value) in _WALKED:
            _refuse_constants(value)
        # Lone surrogates are JSON but no text: they could not be repeated in an answer.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise BodyError(_TOO_DEEP) from None
    except ValueError:
        raise BodyError(f"not valid JSON: {error}") from None
    return value


def _text(body: bytes) -> str:
    # json.loads() of bytes would take UTF-16 and UTF-32 without a word.
    looks = json.detect_encoding(body)
    if looks == "utf-8-sig":
        raise BodyError("the body begins with a byte order mark; send UTF-8 without one")
    if looks != "utf-8" and _decodes(body, looks):
        raise BodyError(f"the body looks like {looks.upper()}; send JSON in UTF-8")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise BodyError(f"the body is not UTF-8: byte {wrong.start} is invalid") from None


def _decodes(body: bytes, encoding: str) -> bool:
    try:
        body.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _refuse_constants(value: Any) -> None:
    """Raise BodyError for a NaN or Infinity, with its path as in ``instances[3].heart_rate``."""
    rest: list[tuple[str, Any]] = [("", value)]
    while rest:
        path, value = rest.pop()
        if type(value) is _Constant:
            name = f'the field "{path}": ' if path else ""
            raise BodyError(f"{name}{value.name} is not JSON; send a finite number", path)
        if type(value) is dict:
            rest += [
                (f"{path}.{_printable(key)}".removeprefix("."), inner)
                for key, inner in value.items()
                if type(inner) in _WALKED
            ]
        else:
            rest += [
                (f"{path}[{i}]", inner) for i, inner in enumerate(value) if type(inner) in _WALKED
            ]


def _printable(key: str) -> str:
    """A client's key as an answer may repeat it: short, and text."""
    return key[:64].encode("utf-8", "replace").decode()
