"""Heads of requests on the real server: limited in bytes, fields and time wherever they begin."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from unit.predictor.support import HEALTHY, ServerProcess

from support.rawhttp import RawClient, get, request

POST = request("POST", "/predict", body=json.dumps(HEALTHY).encode())


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(head_timeout="0.6", idle_timeout="3") as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.mark.parametrize("first", [get("/health"), POST], ids=["a request", "a body"])
def test_a_head_behind_another_request_has_the_same_limit(
    server: ServerProcess, first: bytes
) -> None:
    with RawClient(server.port) as client:
        client.send(first + get("/health", "X-Long: " + "a" * 16_384))
        assert client.answer().status == 200
        assert client.answer().status == 431
        assert client.ended()


def test_half_a_head_behind_another_request_has_the_time_of_a_head(server: ServerProcess) -> None:
    with RawClient(server.port) as client:
        begun = time.monotonic()
        client.send(get("/health") + b"GET /hea")
        assert client.answer().status == 200
        assert client.answer().status == 408
        assert time.monotonic() - begun < 2.5


def test_an_empty_line_after_a_request_is_not_half_a_head(server: ServerProcess) -> None:
    """Some clients send one after a body (RFC 9112, 2.2); nobody asked for a 408 then."""
    with RawClient(server.port) as client:
        assert client.send(POST).answer().status == 200
        client.send(b"\r\n")
        time.sleep(1.2)
        assert client.send(get("/health")).answer().status == 200


@pytest.mark.parametrize(("count", "status"), [(98, 200), (200, 431)])
def test_a_request_has_at_most_a_hundred_headers(
    server: ServerProcess, count: int, status: int
) -> None:
    with RawClient(server.port) as client:
        client.send(get("/health", *["X: y"] * count))
        assert client.answer().status == status


def test_headers_without_end_take_no_memory(server: ServerProcess) -> None:
    before = server.resident_mib()
    clients = [RawClient(server.port) for _ in range(100)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\n" + b"ab:cd\r\n" * 2200)
    for client in clients:
        assert client.answer().status == 431
    assert server.resident_mib() - before < 15
    for client in clients:
        client.sock.close()


def test_a_probe_may_not_keep_a_place_beyond_the_limit() -> None:
    with ServerProcess(max_connections="1") as crowded, RawClient(crowded.port) as first:
        assert first.send(get("/health")).answer().status == 200
        with RawClient(crowded.port) as probe:
            answer = probe.send(get("/health")).answer()
            assert (answer.status, answer.closes) == (200, True)
