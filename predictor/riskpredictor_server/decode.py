"""Request bytes to a JSON value, strictly: what is wrong with a body is named."""

from __future__ import annotations

import json
from typing import Any

import orjson


class BodyError(Exception):
    """The body is not one JSON document; the message is for the client."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class _DuplicateError(Exception):
    pass


class _ConstantError(Exception):
    pass


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
        _refuse_duplicates(body)
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
    seen = dict(pairs)
    if len(seen) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateError(next(key for key in keys if keys.count(key) > 1)[:64])
    return seen


def _constant(name: str) -> Any:
    raise _ConstantError(name)


def _refuse_duplicates(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_pairs)
    except _DuplicateError as duplicate:
        name = str(duplicate)
        raise BodyError(f'the field "{name}" is given more than once', name) from None
    except (RecursionError, ValueError) as error:
        raise BodyError(f"not valid JSON: {error}") from None


def _second_look(body: bytes, error: orjson.JSONDecodeError) -> Any:
    """Name what orjson refused, or return a document whose one fault is a huge number.

    Validation then says which field holds the huge number.
    """
    if not body.strip():
        raise BodyError("the body is empty; send one JSON object")
    try:
        body.decode("utf-8")
        value = json.loads(body, parse_constant=_constant, object_pairs_hook=_pairs)
        # Lone surrogates are JSON but no text: they could not be repeated in an answer.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as wrong:
        raise BodyError(f"the body is not UTF-8: byte {wrong.start} is invalid") from None
    except _ConstantError as constant:
        raise BodyError(f"{constant} is not JSON; send a finite number") from None
    except RecursionError:
        raise BodyError("the document is nested too deeply") from None
    except (_DuplicateError, ValueError):
        raise BodyError(f"not valid JSON: {error}") from None
    return value
