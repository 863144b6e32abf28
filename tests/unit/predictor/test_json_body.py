"""Strict JSON: what is wrong with a body, and where, is named."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpredictor_server.api.json_body import BodyError, decode


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "not valid JSON"),
        (b'{"a": 1} x', "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": "\xff"}', "not UTF-8: byte 7"),
        ('{"a": 1}'.encode("utf-16"), "looks like UTF-16; send JSON in UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "looks like UTF-16-LE; send JSON in UTF-8"),
        ('{"a": 1}'.encode("utf-16-be"), "looks like UTF-16-BE; send JSON in UTF-8"),
        ('{"a": 1}'.encode("utf-32-le"), "looks like UTF-32-LE; send JSON in UTF-8"),
        ('{"a": 1}'.encode("utf-8-sig"), "byte order mark"),
        (b'{"a": 1}\x00', "not valid JSON"),
        (b'{"a": 1, "a": 1e999}', '"a" is given more than once'),
        (b'{"a": 1, "a": NaN}', '"a" is given more than once'),
        (b'{"\\ud800": 1, "\\ud800": 2}', '"?" is given more than once'),
        (b"NaN", "NaN is not JSON"),
        (b'{"\\ud800": 1}', "not valid JSON"),
        (b'{"a": 01}', "not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": 1, "a": 2}', '"a" is given more than once'),
        (b'{"instances": [{"a": 1, "a": 1}]}', '"a" is given more than once'),
        (b'{"instances": [], "instances": []}', '"instances" is given more than once'),
        (b'{"b": {"a": 1, "a": 1}}', '"a" is given more than once'),
        (b'{"b": "text", "a": 1, "\\u0061": 1}', '"a" is given more than once'),
        (b'{"a": 1, "\\u0061": 1}', '"a" is given more than once'),
    ],
    ids=lambda value: repr(value[:32]) if isinstance(value, bytes) else None,
)
def test_what_is_wrong_with_a_body_is_named(body: bytes, words: str) -> None:
    with pytest.raises(BodyError) as caught:
        decode(body)
    assert words in caught.value.detail


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"heart_rate": NaN}', "heart_rate"),
        (b'{"instances": [{"a": 1}, {"a": -Infinity}]}', "instances[1].a"),
        (b'{"inputs": [{"data": [[1, NaN]]}]}', "inputs[0].data[0][1]"),
        (b'{"a": 1, "a": 2}', "a"),
    ],
)
def test_what_is_wrong_with_a_field_names_the_field(body: bytes, field: str) -> None:
    with pytest.raises(BodyError) as caught:
        decode(body)
    assert caught.value.field == field
    assert f'"{field}"' in caught.value.detail


LATE_DUPLICATE = "{" + ",".join(f'"{n:x}":1' for n in [*range(100_000), 99_999]) + "}"
KEY = "k" * 64
LATE_NAN = f'{{"{KEY}":' * 400 + "[" + "[]," * 300_000 + "NaN]" + "}" * 400


@pytest.mark.parametrize(
    ("body", "field"),
    [(LATE_DUPLICATE, "1869f"), (LATE_NAN, ".".join([KEY] * 400) + "[300000]")],
    ids=["duplicate among many keys", "NaN among many values, deep down"],
)
def test_a_fault_at_the_end_of_a_large_document_is_found_in_one_pass(body: str, field: str) -> None:
    begun = time.process_time()
    with pytest.raises(BodyError) as caught:
        decode(body.encode())
    assert caught.value.field == field
    # To compare each key with all others, or to build each value's path, takes far longer.
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    "number",
    ["1e999", "-1e999", "1" + "0" * 400, "-" + "1" * 5000],
    ids=["1e999", "-1e999", "long", "longer than Python converts"],
)
def test_a_huge_number_is_left_for_validation_to_name(number: str) -> None:
    assert abs(decode(f'{{"heart_rate": {number}}}'.encode())["heart_rate"]) > 1e300


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_every_json_document_without_duplicate_keys_decodes_to_itself(value: Any) -> None:
    assert decode(json.dumps(value).encode()) == value


keys = st.sampled_from(["heart_rate", "blood_pressure", "temperature", "x"])


@given(st.lists(st.tuples(keys, st.integers(0, 300)), max_size=6), st.booleans())
def test_duplicates_are_always_found(pairs: list[tuple[str, int]], batch: bool) -> None:
    record = "{" + ",".join(f'"{key}": {value}' for key, value in pairs) + "}"
    body = (f'{{"instances": [{record}]}}' if batch else record).encode()
    if len({key for key, _ in pairs}) == len(pairs):
        decode(body)
    else:
        with pytest.raises(BodyError, match="more than once"):
            decode(body)
