"""Malformed and ambiguous requests: one answer that says why, and nothing after it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from unit.predictor.support import HEALTHY, ServerProcess

from support.api import eventually
from support.rawhttp import RawClient, get, request

GOOD = json.dumps(HEALTHY).encode()
HIDDEN = get("/health", "X-Request-Id: hidden")
CHUNKED = "Transfer-Encoding: chunked"


def post(*fields: str, version: str = "1.1") -> bytes:
    return request("POST", "/predict", "Content-Type: application/json", *fields, version=version)


def chunks(body: bytes) -> bytes:
    return post(CHUNKED) + body


MALFORMED: dict[str, tuple[bytes, int]] = {
    "no host": (get("/health", host=False), 400),
    "two hosts": (get("/health", "Host: y"), 400),
    "a host with a path": (get("/health", "Host: x/y", host=False), 400),
    "a host with a user": (get("/health", "Host: u@x", host=False), 400),
    "two hosts in one": (get("/health", "Host: x, y", host=False), 400),
    "a host with a bad port": (get("/health", "Host: x:http", host=False), 400),
    "RTSP": (get("/health").replace(b"HTTP/", b"RTSP/"), 400),
    "ICE": (b"SOURCE /health ICE/1.0\r\nHost: x\r\n\r\n", 400),
    "bare LF": (get("/health").replace(b"\r\n", b"\n"), 400),
    "bare LF in a header": (get("/health", "A: b\nC: d"), 400),
    "bare CR": (get("/health", "A: b\rC: d"), 400),
    "folded header": (get("/health", "A: b\r\n c"), 400),
    "space before the colon": (get("/health", "A : b"), 400),
    "space before the first header": (b"GET /health HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    "no colon": (get("/health", "A"), 400),
    "empty name": (get("/health", ": b"), 400),
    "NUL in a value": (get("/health", "A: b\0c"), 400),
    "NUL in a name": (get("/health", "A\0: b"), 400),
    "unknown method": (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "small method": (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "space in the target": (get("/a b"), 400),
    "byte in the target": (get("/\xff"), 400),
    "target without slash": (get("health"), 400),
    "another version": (get("/health", version="1.2"), 400),
    "HTTP/2.0": (get("/health", version="2.0"), 505),
    "HTTP/0.9": (b"GET /health\r\n\r\n", 505),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "CONNECT": (b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 405),
    "unknown coding": (post("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 501),
    "coding without an end": (post("Transfer-Encoding: gzip"), 400),
    "chunk of no size": (chunks(b"\r\n{}\r\n0\r\n\r\n"), 400),
    "chunk of negative size": (chunks(b"-1\r\n{}\r\n0\r\n\r\n"), 400),
    "chunk of 0x size": (chunks(b"0x2\r\n{}\r\n0\r\n\r\n"), 400),
    "chunk of enormous size": (chunks(b"fffffffffffffffff\r\n{}"), 400),
    "chunk longer than it says": (chunks(b"2\r\n{}}\r\n0\r\n\r\n"), 400),
    "chunk with bare LF": (chunks(b"2\n{}\r\n0\r\n\r\n"), 400),
    "LF in a chunk's extension": (chunks(b"2;a\nb\r\n{}\r\n0\r\n\r\n"), 400),
}

AMBIGUOUS: dict[str, bytes] = {
    "length, then chunks": post("Content-Length: 5", CHUNKED) + b"0\r\n\r\n",
    "chunks, then length": post(CHUNKED, "Content-Length: 5") + b"0\r\n\r\n",
    "two lengths": post("Content-Length: 0", f"Content-Length: {len(HIDDEN)}"),
    "twice the same length": post("Content-Length: 0", "Content-Length: 0"),
    "list of lengths": post(f"Content-Length: 0, {len(HIDDEN)}"),
    "signed length": post("Content-Length: +0"),
    "negative length": post("Content-Length: -1"),
    "hexadecimal length": post("Content-Length: 0x0"),
    "no length": post("Content-Length: "),
    "length with a space": post("Content-Length: 0 0"),
    "length of no number": post("Content-Length: x"),
    "length beyond 64 bits": post("Content-Length: 18446744073709551616"),
    "chunks of HTTP/1.0": post(CHUNKED, version="1.0")
    + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD),
    "chunked twice": post(CHUNKED, CHUNKED) + b"0\r\n\r\n",
    "chunked and identity": post(CHUNKED, "Transfer-Encoding: identity") + b"0\r\n\r\n",
    "identity and chunked": post("Transfer-Encoding: identity", CHUNKED) + b"0\r\n\r\n",
    "not chunked last": post("Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "nearly chunked": post("Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunked after a tab": post("Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "coding with a space": post("Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "folded coding": post("Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n",
    "header by bare LF": post("A: b\nTransfer-Encoding: chunked") + b"0\r\n\r\n",
    "length in a trailer": chunks(b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n"),
    "upgrade with two framings": post(
        "Connection: Upgrade", "Upgrade: h2c", "Content-Length: 5", CHUNKED
    )
    + b"0\r\n\r\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(keepalive_requests="0") as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_refused_and_counted(server: ServerProcess, name: str) -> None:
    sent, status = MALFORMED[name]
    # An error in a body is counted under the route of its request.
    route = "/predict" if "chunk" in name else "malformed"
    before = server.answered(route, status)
    # After a valid request, byte by byte and in one piece; what follows is not read.
    for step in (1, len(sent) + 1000):
        with RawClient(server.port) as client:
            assert client.send(get("/health")).answer().status == 200
            data = sent + HIDDEN
            for at in range(0, len(data), step):
                client.send(data[at : at + step])
            answer = client.answer()
            assert (answer.status, answer.closes) == (status, True), answer
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status
            assert answer.json()["request_id"] == answer.headers["x-request-id"]
            assert client.ended()
    assert server.answered(route, status) == before + 2
    eventually(server.is_idle)


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_framings_are_refused(server: ServerProcess, name: str) -> None:
    """They are how requests are smuggled past a proxy (RFC 9112, 6.3)."""
    with RawClient(server.port) as client:
        answer = client.send(AMBIGUOUS[name] + HIDDEN).answer()
        assert (answer.status, answer.closes) == (400, True)
        assert answer.headers["x-request-id"] != "hidden"
        assert client.ended()


def test_an_error_is_answered_after_the_requests_before_it(server: ServerProcess) -> None:
    with RawClient(server.port) as client:
        client.send(get("/openapi.json") + get("/health") + b"nonsense\r\n\r\n" + HIDDEN)
        assert [client.answer().status for _ in range(3)] == [200, 200, 400]
        assert client.ended()


def test_trailers_are_not_headers(server: ServerProcess) -> None:
    trailer = b"X-Request-Id: trailer\r\nContent-Type: text/plain\r\n"
    with RawClient(server.port) as client:
        data = chunks(b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(GOOD), GOOD, trailer))
        for _ in range(2):
            answer = client.send(data).answer()
            assert answer.status == 200
            assert answer.headers["x-request-id"] != "trailer"
