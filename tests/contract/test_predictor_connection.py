"""HTTP connections of the real server: order, framing, limits and closing."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator

import pytest
from unit.predictor.support import HEALTHY, SICK, ServerProcess

from support.api import eventually
from support.rawhttp import RawClient, get, request

GOOD, BAD = json.dumps(HEALTHY).encode(), json.dumps(SICK).encode()
BATCH = json.dumps({"instances": [HEALTHY] * 1000}).encode()
POST = request("POST", "/predict", body=GOOD)
CHUNKED = request(
    "POST", "/predict", "Content-Type: application/json", "Transfer-Encoding: chunked"
)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(keepalive_requests="0") as running:
        yield running
        assert running.process.poll() is None
        assert "Traceback" not in running.log()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[RawClient]:
    with RawClient(server.port) as client:
        yield client


def statuses(client: RawClient, count: int) -> list[int]:
    return [client.answer().status for _ in range(count)]


# Order and framing


def test_pipelined_requests_are_answered_in_order(client: RawClient) -> None:
    """Also if hot routes, pages and batches, which take different times, are mixed."""
    paths = ["/health", "/model", "/ready", "/absent", "/health", "/openapi.json"]
    sent = b"".join(get(path, f"X-Request-Id: n{i}") for i, path in enumerate(paths))
    large = request("POST", "/predict", "X-Request-Id: batch", body=BATCH[:-2] + b"]}")
    client.send(sent + large + request("POST", "/predict", "X-Request-Id: last", body=BAD))
    found = [client.answer() for _ in range(len(paths) + 2)]
    names = [answer.headers["x-request-id"] for answer in found]
    assert names == [*(f"n{i}" for i in range(len(paths))), "batch", "last"]
    assert [answer.status for answer in found] == [200, 200, 200, 404, 200, 200, 200, 200]
    assert len(found[-2].json()["predictions"]) == 1000
    assert found[-1].json()["risk_level"] == "High"


def test_a_head_split_behind_much_data_is_not_too_long(client: RawClient) -> None:
    large, many = request("POST", "/predict", body=BATCH), get("/health") * 400
    for parts in (large[:1000], large[1000:] + b"GET /hea", get("/health")[len(b"GET /hea") :]):
        client.send(parts)
        time.sleep(0.1)
    assert statuses(client, 2) == [200, 200]
    client.send(many[:16_384])
    time.sleep(0.1)
    client.send(many[16_384:])
    assert statuses(client, 400) == [200] * 400


def test_a_request_can_arrive_byte_by_byte(client: RawClient) -> None:
    body = b"5;x=y\r\n" + GOOD[:5] + b"\r\n%x\r\n" % (len(GOOD) - 5) + GOOD[5:] + b"\r\n"
    for data in (POST, get("/health"), CHUNKED + body + b"0\r\nX-Trailer: t\r\n\r\n"):
        for at in range(len(data)):
            client.send(data[at : at + 1])
        assert client.answer().status == 200


@pytest.mark.parametrize("at", range(1, len(POST), 7))
def test_a_request_can_be_split_anywhere(client: RawClient, at: int) -> None:
    client.send(POST[:at])
    time.sleep(0.002)
    assert client.send(POST[at:] + get("/health")).answer().json()["risk_level"] == "Low"
    assert client.answer().json()["status"] == "alive"


def test_too_many_pipelined_requests_close_the_connection(client: RawClient) -> None:
    client.send(get("/openapi.json") + get("/health") * 200)
    found = [client.answer() for _ in range(33)]
    assert [answer.closes for answer in found] == [False] * 32 + [True]
    assert client.ended()


def test_every_answer_has_date_and_length(client: RawClient) -> None:
    for data in (POST, get("/health"), get("/"), get("/absent")):
        answer = client.send(data).answer()
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["date"])
        assert int(answer.headers["content-length"]) == len(answer.body) > 0


def test_head_has_the_length_and_no_body(client: RawClient) -> None:
    for path in ("/health", "/", "/absent"):
        head = client.send(request("HEAD", path)).answer(bodiless=True)
        whole = client.send(get(path)).answer()
        assert head.status == whole.status
        assert int(head.headers["content-length"]) > 0
    refused = client.send(request("HEAD", "/health", host=False)).answer(bodiless=True)
    assert refused.status == 400
    assert int(refused.headers["content-length"]) > 0
    assert client.ended()


def test_a_304_has_neither_body_nor_length(client: RawClient) -> None:
    etag = client.send(get("/static/page.js")).answer().headers["etag"]
    answer = client.send(get("/static/page.js", f"If-None-Match: {etag}")).answer()
    assert answer.status == 304
    assert "content-length" not in answer.headers
    assert client.send(get("/health")).answer().status == 200


@pytest.mark.parametrize(
    "sent",
    [
        get("/health", "Connection: close"),
        get("/health", "Connection: keep-alive, close"),
        get("/health", version="1.0", host=False),
        get("/model", "Connection: close"),
        get("/health", "Connection: keep-alive", version="1.0"),
    ],
)
def test_the_connection_is_closed_if_the_client_asks_for_it(client: RawClient, sent: bytes) -> None:
    answer = client.send(sent + get("/health")).answer()
    assert (answer.status, answer.closes) == (200, True)
    assert client.ended()


def test_requests_behind_the_last_answer_of_a_connection_are_dropped() -> None:
    """The client repeats them on another connection (RFC 9112, 9.6)."""
    with ServerProcess(keepalive_requests="1") as server:
        for first in (b"", get("/openapi.json")):
            before = server.answered("/predict", 200)
            with RawClient(server.port) as client:
                client.send(first + POST * 20 + POST[:-5])
                closes = [client.answer().closes]
                while not closes[-1]:
                    closes.append(client.answer().closes)
                assert len(closes) < 5
                assert client.ended()
            assert server.answered("/predict", 200) - before <= 5
            assert server.is_idle()
        assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    "sent",
    [
        get("http://x/health"),
        get("http://other:80/health?q=1"),
        get("/%68ealth"),
        get("/health?"),
        POST.replace(b"Content-Length: ", b"Content-Length: " + b"0" * 5000),
    ],
    ids=["absolute", "another host", "escaped", "empty query", "length padded with zeros"],
)
def test_unusual_but_valid_requests_are_answered(client: RawClient, sent: bytes) -> None:
    assert client.send(sent + POST).answer().status == 200
    assert client.answer().json()["risk_level"] == "Low"


def test_an_absolute_target_replaces_the_host_header(client: RawClient) -> None:
    """As RFC 9112, 3.2.2 has it."""
    answer = client.send(get("http://other:8080/v2//health/live")).answer()
    assert (answer.status, answer.headers["location"]) == (308, "http://other:8080/v2/health/live")


def test_a_client_that_closes_its_sending_half_is_answered(server: ServerProcess) -> None:
    for data in (POST, get("/model"), request("POST", "/predict", body=BATCH)):
        with RawClient(server.port) as client:
            client.send(data).sock.shutdown(1)
            assert client.answer().status == 200
            assert client.ended()


def test_expect_100_continue_is_answered_before_the_body(client: RawClient) -> None:
    head = request("POST", "/predict", "Expect: 100-continue", body=GOOD)[: -len(GOOD)]
    assert client.send(head).answer().status == 100
    assert client.send(GOOD).answer().status == 200
    # Not if the body has arrived already, and not before the response to an earlier request.
    assert client.send(head + GOOD).answer().status == 200
    client.send(get("/model") + head)
    assert statuses(client, 2) == [200, 100]
    assert client.send(GOOD).answer().status == 200


@pytest.mark.parametrize(
    ("expectation", "length", "status"),
    [("100-continue", "5000000", 413), ("something else", "1", 417)],
)
def test_a_refused_expectation_is_answered_at_once(
    client: RawClient, expectation: str, length: str, status: int
) -> None:
    fields = [f"Expect: {expectation}", f"Content-Length: {length}"]
    begun = time.monotonic()
    answer = client.send(request("POST", "/predict", *fields)).answer()
    assert (answer.status, answer.closes) == (status, True)
    # Sooner than the two seconds for which the rest of a body is read.
    assert time.monotonic() - begun < 1.5
    assert client.ended()


UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")
"""What Java's HttpClient sends until it knows whether a server speaks HTTP/2."""


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("step", [1, 10_000])
def test_an_upgrade_to_http2_is_ignored(client: RawClient, framing: str, step: int) -> None:
    data = request("POST", "/predict", *UPGRADE, body=BAD)
    if framing == "chunks":
        chunked = (*UPGRADE, "Transfer-Encoding: chunked", "Content-Type: application/json")
        data = request("POST", "/predict", *chunked)
        data += b"%x\r\n%s\r\n0\r\n\r\n" % (len(BAD), BAD)
    for at in range(0, 2 * len(data), step):
        client.send((data + data)[at : at + step])
    for _ in range(2):
        answer = client.answer()
        assert (answer.status, answer.closes) == (200, False)
        assert answer.json()["risk_level"] == "High"
    assert client.send(POST).answer().json()["risk_level"] == "Low"


WEBSOCKET = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
"""What a browser sends."""


@pytest.mark.parametrize(
    "upgrade",
    [
        WEBSOCKET,
        UPGRADE,
        ("upgrade: WebSocket", "connection: keep-alive, Upgrade"),
        ("Upgrade: h2c, websocket", "Connection: Upgrade"),
        ("Upgrade: websocket", "Connection: keep-alive", "Connection: upgrade"),
        ("Upgrade: TLS/1.0", "Connection: Upgrade"),
        ("Connection: Upgrade",),
        ("Upgrade: websocket",),
        ("Connection: Upgrade", "Upgrade:"),
    ],
    ids=["websocket", "h2c", "other case", "two", "two lines", "TLS", "no token", "no connection",
         "empty"],
)  # fmt: skip
def test_whatever_protocol_is_asked_for_the_answer_is_the_ordinary_one(
    client: RawClient, upgrade: tuple[str, ...]
) -> None:
    tensor = {"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [85, 120, 98.6, 97]}
    infer = json.dumps({"inputs": [tensor]}).encode()
    asked: list[tuple[str, str, bytes | None]] = [
        ("GET", path, None)
        for path in ("/", "/docs", "/static/page.js", "/health", "/model", "/v2", "/predict",
                     "/v2/models/riskpredictor", "/absent")
    ]  # fmt: skip
    asked += [("POST", "/predict", GOOD), ("POST", "/predict", b"{"), ("POST", "/", b"x")]
    asked += [("POST", "/v2/models/riskpredictor/infer", infer), ("HEAD", "/", None)]
    for method, path, body in asked:
        fields = ("X-Request-Id: same",)
        told = []
        for more in ((), upgrade):
            client.send(request(method, path, *fields, *more, body=body))
            answer = client.answer(bodiless=method == "HEAD")
            headers = {name: value for name, value in answer.headers.items() if name != "date"}
            told.append((answer.status, headers, answer.body))
        assert told[0] == told[1], (method, path)
        assert told[0][0] != 503


@pytest.mark.parametrize("split", [1, 3, 14, 24, 100])
def test_http2_without_asking_is_refused_and_the_connection_closed(
    client: RawClient, split: int
) -> None:
    """As a gRPC client begins: the preface, then a frame with settings."""
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    client.send(sent[:split])
    time.sleep(0.02)
    client.send(sent[split:])
    answer = client.answer()
    assert (answer.status, answer.closes) == (505, True)
    assert "HTTP/1.1" in answer.json()["detail"]
    assert client.ended()


def test_many_pipelined_upgrades_are_ignored(client: RawClient) -> None:
    """Each needs a new parser; they must not nest."""
    ask = get("/health", "Connection: Upgrade", "Upgrade: websocket")
    client.send(ask * 500 + POST)
    assert statuses(client, 501) == [200] * 501


def test_an_upgrade_with_connection_close_is_the_last_request(client: RawClient) -> None:
    ask = get("/health", "Connection: Upgrade, close", "Upgrade: websocket")
    assert client.send(ask + POST).answer().closes
    assert client.ended()


# Time and size


@pytest.fixture(scope="module")
def impatient() -> Iterator[ServerProcess]:
    """A server with short time limits."""
    with ServerProcess(head_timeout="0.6", idle_timeout="3") as running:
        yield running
        assert "Traceback" not in running.log()


LONG = get("/health", "X-Long: " + "a" * 16_384)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (get("/health") + LONG, 431),
        (POST + LONG, 431),
        (request("POST", "/predict", *UPGRADE, body=GOOD) + LONG[:-4] + b"a" * 24_000, 431),
        (get("/health") + b"GET /hea", 408),
    ],
    ids=["after a GET", "after a POST", "after an upgrade", "incomplete"],
)
def test_the_head_of_a_second_request_has_the_same_limits(
    impatient: ServerProcess, sent: bytes, status: int
) -> None:
    with RawClient(impatient.port) as client:
        begun = time.monotonic()
        client.send(sent)
        assert statuses(client, 2) == [200, status]
        assert time.monotonic() - begun < 2.5
        assert client.ended()


def test_an_empty_line_after_a_request_is_no_incomplete_head(impatient: ServerProcess) -> None:
    """Some clients send one after a body (RFC 9112, 2.2)."""
    with RawClient(impatient.port) as client:
        assert client.send(POST).answer().status == 200
        client.send(b"\r\n")
        time.sleep(1.2)
        assert client.send(get("/health")).answer().status == 200


@pytest.mark.parametrize(("count", "status"), [(98, 200), (200, 431)])
def test_the_number_of_headers_is_limited(client: RawClient, count: int, status: int) -> None:
    assert client.send(get("/health", *["X: y"] * count)).answer().status == status


def test_slow_requests_are_answered_408_and_counted() -> None:
    with ServerProcess(head_timeout="0.6", body_timeout="0.6", idle_timeout="1") as server:
        with (
            RawClient(server.port) as silent,
            RawClient(server.port) as head,
            RawClient(server.port) as second,
            RawClient(server.port) as body,
            RawClient(server.port) as idle,
        ):
            second.send(POST)
            assert second.answer().status == 200
            body.send(POST[:-5])
            idle.send(POST)
            assert idle.answer().status == 200
            begun = time.monotonic()
            # Bytes that arrive do not prolong the time for a head.
            for part in (b"GET / HTTP", b"/1.1\r\n", *[b"X: y\r\n"] * 13):
                head.send(part)
                second.send(part)
                time.sleep(0.1)
            assert server.answered("malformed", 408) == 3
            for client in (silent, head, second, body):
                answer = client.answer()
                assert (answer.status, answer.closes) == (408, True)
                assert answer.headers["content-type"] == "application/problem+json"
                assert client.ended()
            assert idle.ended()
            assert time.monotonic() - begun < 5
        assert server.answered("/predict", 408) == 1
        assert server.is_idle()


def test_a_head_has_at_most_16_kib(server: ServerProcess) -> None:
    for surplus, status in ((0, 200), (1, 431)):
        for pieces in (1, 3):
            fill = "x" * (16_384 - len(get("/health", "X-Fill: ")) + surplus)
            data = get("/health", "X-Fill: " + fill)
            assert len(data) == 16_384 + surplus
            with RawClient(server.port) as client:
                for at in range(0, len(data), len(data) // pieces + 1):
                    client.send(data[at : at + len(data) // pieces + 1])
                    time.sleep(0.02)
                assert client.answer().status == status


ENDLESS = {
    "a header": (get("/health")[:-2] + b"X-Long: ", b"x" * 512),
    "headers": (get("/health")[:-2], b"X-Short: y\r\n" * 50),
    "a trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: ", b"x" * 512),
    "an extension of a chunk": (CHUNKED + b"2;", b"x" * 512),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_heads_are_refused_without_taking_memory(server: ServerProcess, name: str) -> None:
    start, more = ENDLESS[name]
    before = server.resident_mib()
    with RawClient(server.port) as client:
        client.send(start)
        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            client.sock.settimeout(0.01)
            while sent < 4_000_000:
                sent += client.sock.send(more)
        client.sock.settimeout(10)
        assert client.answer().status == 431
    assert server.resident_mib() - before < 4
    eventually(server.is_idle)


def test_unread_answers_stop_their_connection_and_are_cut_off() -> None:
    """A connection has one answer in memory, and is closed if the client does not read it."""
    with ServerProcess(answer_timeout="1.5", max_lag="60") as server:
        assert server.post("/predict", BATCH).status == 200
        before = server.resident_mib()
        with contextlib.ExitStack() as stack:
            unread = [stack.enter_context(RawClient(server.port, 4096)) for _ in range(20)]
            for client in unread:
                client.sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    for _ in range(100):
                        client.sock.sendall(request("POST", "/predict", body=BATCH))
            time.sleep(1)
            done = server.answered("/predict", 200)
            # Of 20 clients that asked for 100 answers each, 800 MB in all.
            assert done < 20 * 8
            # Nor are many of their other requests read.
            assert server.sample("riskpredictor_in_flight_requests") < 20 * 3
            assert server.resident_mib() - before < 60
            assert server.post("/predict", GOOD).status == 200
            eventually(server.is_idle, within=10)
            # No more of their requests were answered.
            assert server.answered("/predict", 200) <= done + 1
        assert server.post("/predict", BATCH).status == 200


def test_clients_that_leave_at_any_stage_free_everything(server: ServerProcess) -> None:
    stages = [
        b"",
        POST[:20],
        POST[:-5],
        request("POST", "/predict", body=BATCH)[:50_000],
        request("POST", "/predict", body=BATCH),
        request("POST", "/predict", body=BATCH) * 5,
        CHUNKED + b"5\r\nab",
        get("/openapi.json") * 10,
        get("/model") + POST[:-5],
        request("POST", "/absent", "Content-Length: 9000000")[:-2] + b"\r\n" + b"x" * 5000,
        request("POST", "/predict", "Expect: 100-continue", body=GOOD)[: -len(GOOD)],
        b"GET nonsense",
    ]
    for abrupt in (False, True):
        for stage in stages * 3:
            client = RawClient(server.port)
            client.send(stage)
            if abrupt:
                client.reset()
            else:
                client.sock.close()
    eventually(server.is_idle, within=15)
    # All the memory for large bodies is free: 30 MiB of them fit at the same time.
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server.port)) for _ in range(30)]
        for client in clients:
            client.send(request("POST", "/predict", body=b" " * (1 << 20))[:-1])
        for client in clients:
            assert client.send(b" ").answer().status == 400


def test_a_body_of_which_nothing_comes_has_the_time_and_the_places_of_any_other() -> None:
    heads = [
        request("POST", "/predict", "Content-Length: 80"),
        request("POST", "/absent", "Content-Length: 9000"),
        CHUNKED,
        get("/health", "Content-Length: 10"),
    ]
    with (
        ServerProcess(body_timeout="1", max_pending=str(len(heads))) as server,
        contextlib.ExitStack() as stack,
    ):
        waiting = [stack.enter_context(RawClient(server.port)).send(head) for head in heads]
        eventually(lambda: server.sample("riskpredictor_in_flight_requests") == len(heads) + 1)
        with RawClient(server.port) as client:
            answer = client.send(heads[0]).answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        for client in waiting:
            answer = client.answer()
            assert (answer.status, answer.closes) == (408, True)


def test_uploads_that_are_broken_off_take_no_memory(server: ServerProcess) -> None:
    assert server.post("/predict", BATCH).status == 200
    before = server.resident_mib()
    for _ in range(100):
        with RawClient(server.port) as client:
            client.send(request("POST", "/predict", body=b" " * (1 << 20))[:-1])
    eventually(server.is_idle, within=15)
    assert server.resident_mib() < before + 40


def test_beyond_the_limit_of_connections_only_probes_are_answered() -> None:
    with ServerProcess(max_connections="5", head_timeout="60") as server:
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                client = stack.enter_context(RawClient(server.port))
                assert client.send(get("/health")).answer().status == 200
            for path in ("/health", "/ready", "/metrics"):
                with RawClient(server.port) as probe:
                    # A connection beyond the limit is not kept.
                    answer = probe.send(get(path)).answer()
                    assert (answer.status, answer.closes) == (200, True)
            for data in (POST, get("/model"), request("POST", "/predict", body=BATCH)):
                with RawClient(server.port) as client:
                    answer = client.send(data).answer()
                    assert (answer.status, answer.closes) == (503, True)
                    assert answer.headers["retry-after"] == "1"
                    assert "connections" in answer.json()["detail"]
            # Beyond 128 more, connections are not accepted.
            more = [stack.enter_context(RawClient(server.port)) for _ in range(140)]
            assert sum(_is_cut(client) for client in more) >= 10
        eventually(server.serves)


def _is_cut(client: RawClient) -> bool:
    client.sock.settimeout(0.02)
    try:
        return client.ended()
    except TimeoutError:
        return False


# Shutdown


def test_shutdown_closes_idle_connections_and_waits_a_little_for_others() -> None:
    with (
        ServerProcess(head_timeout="60", body_timeout="60", drain_seconds="2") as server,
        RawClient(server.port) as idle,
        RawClient(server.port) as half,
        RawClient(server.port) as never,
        RawClient(server.port) as head,
        RawClient(server.port, receive_buffer=4096) as unread,
    ):
        assert idle.send(POST).answer().status == 200
        half.send(POST[:-1])
        never.send(POST[:-1])
        head.send(b"GET /health HTTP/1.1\r\nHost:")
        unread.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                unread.send(request("POST", "/predict", body=BATCH))
        eventually(lambda: not server.is_idle())
        begun = time.monotonic()
        server.terminate()
        eventually(lambda: server.get("/ready").status == 503)
        assert idle.ended()
        assert time.monotonic() - begun < 4
        answer = half.send(POST[-1:]).answer()
        assert (answer.status, answer.closes) == (200, True)
        assert server.process.wait(15) == 0
        assert 4 < time.monotonic() - begun < 10
        assert "connections are still open after 3 s, leaving them" in server.log()
