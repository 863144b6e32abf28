"""Decodes request bodies as strict JSON; errors say what is wrong and where."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any

import orjson

_MAX_INTEGER_LENGTH = 400
"""Digits and sign; the largest float has 309 digits."""
_TOO_DEEP = "the document is nested too deeply"


class BodyError(Exception):
    """The body is not one JSON document.

    ``detail`` is for the client; ``field`` is the path of a wrong field, if there is one.
    """

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


@dataclass(frozen=True)
class _Constant:
    """NaN, Infinity or -Infinity: the standard library accepts them, JSON does not."""

    name: str


def decode(body: bytes) -> Any:
    """Decode strict JSON; raises BodyError.

    orjson silently keeps the last of duplicate keys. A record has exactly two quotation marks per
    key and per text, so a body with duplicates has more than its value accounts for. Bodies whose
    count differs are decoded again by the standard library, as are those with escaped characters.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _explain(body, error)
    beyond_keys = body.count(b'"') - _key_quotes(value)
    # Looking for texts takes as long as decoding, so it waits for a reason.
    if beyond_keys and (b"\\" in body or beyond_keys != _text_quotes(value)):
        _load_exactly(body.decode())
    return value


def _key_quotes(value: Any) -> int:
    """Quotation marks of the keys of a record or batch."""
    if type(value) is not dict:
        return 0
    total = 2 * len(value)
    instances = value.get("instances")
    if type(instances) is list:
        for record in instances:
            if type(record) is dict:
                total += 2 * len(record)
    return total


def _text_quotes(value: Any) -> int:
    """Quotation marks of the texts of a record or batch, -1 if it holds anything deeper."""
    if type(value) is not dict:
        return -1
    instances = value.get("instances")
    total = 0
    for record in (value, *(instances if type(instances) is list else ())):
        if type(record) is not dict:
            return -1
        for name, each in record.items():
            if type(each) is str:
                total += 2
            elif type(each) is dict or (type(each) is list and name != "instances"):
                return -1
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
    """Numbers beyond any float become infinite: converting digits takes quadratic time."""
    return int(text) if len(text) <= _MAX_INTEGER_LENGTH else float(text)


def _load_exactly(text: str) -> Any:
    """Decode with the standard library, which shows duplicates; raises BodyError, ValueError."""
    try:
        return json.loads(
            text, parse_constant=_Constant, parse_int=_integer, object_pairs_hook=_pairs
        )
    except RecursionError:
        raise BodyError(_TOO_DEEP) from None


def _explain(body: bytes, error: orjson.JSONDecodeError) -> Any:
    """Raise BodyError for what orjson refused.

    Returns the value if its only fault is a huge number: validation names the field that holds it.
    """
    if not body.strip():
        raise BodyError("the body is empty; send one JSON object")
    try:
        value = _load_exactly(_text(body))
        found = _find_constant(value)
        if found:
            name, path = found[0], found[1].removeprefix(".")
            where = f'the field "{path}": ' if path else ""
            raise BodyError(f"{where}{name} is not JSON; send a finite number", path)
        # JSON allows lone surrogates, but they cannot be encoded in an answer.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise BodyError(_TOO_DEEP) from None
    except ValueError:
        raise BodyError(f"not valid JSON: {error}") from None
    return value


def _text(body: bytes) -> str:
    # json.loads() of bytes would accept UTF-16 and UTF-32.
    encoding = json.detect_encoding(body)
    if encoding == "utf-8-sig":
        raise BodyError("the body begins with a byte order mark; send UTF-8 without one")
    if encoding != "utf-8":
        with contextlib.suppress(UnicodeDecodeError):
            body.decode(encoding)
            raise BodyError(f"the body looks like {encoding.upper()}; send JSON in UTF-8")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError(f"the body is not UTF-8: byte {error.start} is invalid") from None


def _find_constant(value: Any) -> tuple[str, str] | None:
    """Find the first NaN or Infinity: its name, and its path as in ``.instances[3].heart_rate``.

    The path is built on the way back: in a deep document, one per value takes minutes.
    """
    if isinstance(value, _Constant):
        return value.name, ""
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, inner in children:
        found = _find_constant(inner)
        if found:
            name, path = found
            return name, (f"[{key}]" if isinstance(key, int) else f".{_printable(key)}") + path
    return None


def _printable(key: str) -> str:
    """Shorten a client's key to what an error repeats: at most 64 characters of valid text."""
    return key[:64].encode("utf-8", "replace").decode()
