"""No input makes the real server answer 5xx or HTML, or hang."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.config import SchemathesisConfig
from unit.predictor.support import HEALTHY, SICK, ServerProcess

BYTE_CASES = int(os.environ.get("FUZZ_CASES", "20000"))
SCHEMA_CASES = int(os.environ.get("FUZZ_SCHEMA_CASES", "40"))
GOOD = [
    json.dumps(HEALTHY),
    json.dumps({"instances": [HEALTHY, SICK]}),
    json.dumps(SICK | {"temperature": 39.7, "temperature_unit": "C"}),
    '{"inputs": [{"name": "v", "shape": [1, 4], "datatype": "FP64", "data": [85, 120, 98.6, 97]}]}',
]
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
# Statuses of refusals. A list that is too long gets 413 if its text is too long as well.
REFUSALS = [400, 404, 405, 413, 415, 422]
INSERTIONS = [
    # Numbers
    b"NaN", b"Infinity", b"-1e999", b"1e-400", b"-0", b"1" * 400, b"1" * 5000, b"2147483648",
    b"18446744073709551616", b"2147483647," * 700, b"4, " * 700,
    # Other types, and nesting
    b"true", b"null", b'"85"', b"[]", b"{}", b"[" * 2000, b'{"a":' * 500,
    # Encodings
    b"\\ud800", b'"\\ud800"', b"\xff\xfe", b"\xed\xa0\x80", b"\x00", b"\\u0000", b"\xef\xbb\xbf",
    # Names and punctuation
    b"heart_rate", b"instances", b"temperature_unit", b"shape", b"data", b"/*x*/", b"''",
    b",", b":", b'"', b"}", b"]", b"\\",
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(max_body_bytes="65536") as running:
        yield running
        assert running.process.poll() is None
        assert "Traceback" not in running.log()


def mutate(rng: random.Random) -> bytes:
    body = bytearray(rng.choice(GOOD).encode())
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(body) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            body[at:at] = rng.choice(INSERTIONS)
        elif kind == 1:
            body[at : at + rng.randint(1, 12)] = rng.choice(INSERTIONS)
        elif kind == 2:
            body[at:at] = rng.randbytes(rng.randint(1, 4))
        elif kind == 3:
            del body[at : at + rng.randint(1, 20)]
        elif body:
            body[at % len(body)] ^= 1 << rng.randrange(8)
    return bytes(body)


def test_mutated_bodies_are_answered_or_refused_with_a_reason(server: ServerProcess) -> None:
    rng = random.Random(20_000)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    seen: dict[int, int] = {}
    for _ in range(BYTE_CASES):
        body = mutate(rng)
        path = rng.choice(("/predict", "/predict", "/predict", "/v2/models/riskpredictor/infer"))
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        assert response.status in (200, 400, 422), (body, answer)
        document = json.loads(answer)
        if response.status == 200:
            assert response.headers["Content-Type"] == "application/json"
        else:
            kind = "problem+json" if path == "/predict" else "json"
            assert response.headers["Content-Type"] == f"application/{kind}"
            assert document["detail"]
        seen[response.status] = seen.get(response.status, 0) + 1
    connection.close()
    assert min(seen.get(status, 0) for status in (200, 400, 422)) > BYTE_CASES / 100, seen


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_answers_as_published(server: ServerProcess, mode: GenerationMode) -> None:
    """For requests that follow the schema, and for requests that do not."""
    config = SchemathesisConfig.from_dict(
        {"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}}
    )
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=config)
    operations: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) == 21
    asked = 0
    for operation in operations:
        try:
            cases = operation.as_strategy(generation_mode=mode)
        except Unsatisfiable:
            # There is no wrong request for a route without body and parameters.
            continue

        @settings(
            max_examples=SCHEMA_CASES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def ask(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)
            nonlocal asked
            asked += 1

        with contextlib.suppress(Unsatisfiable):
            ask()
    assert asked > SCHEMA_CASES
