"""The real server's connections, byte by byte: order, framing, limits, and how they end."""

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


# Order and framing


def test_pipelined_requests_are_answered_in_their_order(client: RawClient) -> None:
    """Hot routes, pages and batches mixed: what is quicker does not overtake."""
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


def test_a_head_that_begins_at_the_end_of_many_bytes_is_not_long(client: RawClient) -> None:
    """Where the network cuts is not the client's doing."""
    large = request("POST", "/predict", body=BATCH)
    client.send(large[:1000])
    time.sleep(0.1)
    client.send(large[1000:] + b"GET /hea")
    time.sleep(0.1)
    client.send(get("/health")[len(b"GET /hea") :])
    assert [client.answer().status for _ in range(2)] == [200, 200]
    many = get("/health") * 400
    client.send(many[:16_384])
    time.sleep(0.1)
    client.send(many[16_384:])
    assert [client.answer().status for _ in range(400)] == [200] * 400


def test_a_request_may_arrive_byte_by_byte(client: RawClient) -> None:
    chunked = request("POST", "/predict", "Content-Type: application/json",
                      "Transfer-Encoding: chunked")  # fmt: skip
    body = b"5;x=y\r\n" + GOOD[:5] + b"\r\n%x\r\n" % (len(GOOD) - 5) + GOOD[5:] + b"\r\n"
    for data in (POST, get("/health"), chunked + body + b"0\r\nX-Trailer: t\r\n\r\n"):
        for at in range(len(data)):
            client.send(data[at : at + 1])
        assert client.answer().status == 200


@pytest.mark.parametrize("at", range(1, len(POST), 7))
def test_a_request_may_be_split_anywhere(client: RawClient, at: int) -> None:
    client.send(POST[:at])
    time.sleep(0.002)
    assert client.send(POST[at:] + get("/health")).answer().json()["risk_level"] == "Low"
    assert client.answer().json()["status"] == "alive"


def test_more_requests_than_may_wait_end_the_connection_after_some(client: RawClient) -> None:
    client.send(get("/openapi.json") + get("/health") * 200)
    found = [client.answer() for _ in range(33)]
    assert [answer.closes for answer in found] == [False] * 32 + [True]
    assert client.ended()


def test_every_answer_has_its_date_and_its_length(client: RawClient) -> None:
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


def test_a_page_that_did_not_change_has_neither_body_nor_length(client: RawClient) -> None:
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
def test_who_wants_it_closed_gets_it_closed(client: RawClient, sent: bytes) -> None:
    answer = client.send(sent + get("/health")).answer()
    assert (answer.status, answer.closes) == (200, True)
    assert client.ended()


def test_after_the_last_answer_of_a_connection_nothing_is_worked_on() -> None:
    """The client asks again for those over another one (RFC 9112, 9.6)."""
    with ServerProcess(keepalive_requests="1") as server:
        for first in (b"", get("/openapi.json")):
            with RawClient(server.port) as client:
                client.send(first + POST * 20)
                count = server.answered("/predict", 200)
                closes = [client.answer().closes]
                while not closes[-1]:
                    closes.append(client.answer().closes)
                assert len(closes) < 5
                assert client.ended()
            done = server.answered("/predict", 200) - min(count, 0)
            assert done <= 8
            assert server.is_idle()


@pytest.mark.parametrize(
    "target", ["http://x/health", "http://other:80/health?q=1", "/%68ealth", "/health?"]
)
def test_a_target_may_be_spelled_in_other_ways(client: RawClient, target: str) -> None:
    assert client.send(get(target)).answer().json()["status"] == "alive"


def test_an_absolute_target_says_which_host_is_meant(client: RawClient) -> None:
    """Not the header (RFC 9112, 3.2.2)."""
    answer = client.send(get("http://other:8080/v2//health/live")).answer()
    assert (answer.status, answer.headers["location"]) == (308, "http://other:8080/v2/health/live")


def test_a_length_may_be_padded_with_many_zeros(client: RawClient) -> None:
    padded = POST.replace(b"Content-Length: ", b"Content-Length: " + b"0" * 5000)
    assert client.send(padded).answer().status == 200
    assert client.send(POST).answer().status == 200


def test_who_stops_sending_is_still_answered(server: ServerProcess) -> None:
    for data in (POST, get("/model"), request("POST", "/predict", body=BATCH)):
        with RawClient(server.port) as client:
            client.send(data).sock.shutdown(1)
            assert client.answer().status == 200
            assert client.ended()


def test_who_asks_first_is_told_to_go_on(client: RawClient) -> None:
    head = request("POST", "/predict", "Expect: 100-continue", body=GOOD)[: -len(GOOD)]
    assert client.send(head).answer().status == 100
    assert client.send(GOOD).answer().status == 200
    # Not needed when the body is there already; and not in front of an earlier answer.
    assert client.send(head + GOOD).answer().status == 200
    client.send(get("/model") + head)
    assert client.answer().status == 200
    assert client.answer().status == 100
    assert client.send(GOOD).answer().status == 200


def test_who_asks_first_and_is_not_wanted_is_told_at_once(server: ServerProcess) -> None:
    for length, status in (("5000000", 413), ("1", 417)):
        expectation = "100-continue" if status == 413 else "something else"
        fields = [f"Expect: {expectation}", f"Content-Length: {length}"]
        with RawClient(server.port) as client:
            begun = time.monotonic()
            answer = client.send(request("POST", "/predict", *fields)).answer()
            assert (answer.status, answer.closes) == (status, True)
            # Who sends all the same would be given two seconds to do so.
            assert time.monotonic() - begun < 1.5
            assert client.ended()


UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")
"""Java's HttpClient asks for it with every request to a server that it has not met as HTTP/2."""


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("step", [1, 10_000])
def test_an_upgrade_to_http2_is_not_taken_up_and_the_connection_goes_on(
    client: RawClient, framing: str, step: int
) -> None:
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


def test_many_that_ask_for_an_upgrade_come_at_once(client: RawClient) -> None:
    """Each has a parser of its own, one after the other, not one within the other."""
    ask = get("/health", "Connection: Upgrade", "Upgrade: websocket")
    client.send(ask * 500 + POST)
    assert [client.answer().status for _ in range(501)] == [200] * 501


def test_one_that_wants_to_close_as_well_is_the_last(client: RawClient) -> None:
    ask = get("/health", "Connection: Upgrade, close", "Upgrade: websocket")
    assert client.send(ask + POST).answer().closes
    assert client.ended()


def test_limits_hold_behind_an_upgrade(client: RawClient) -> None:
    ask = request("POST", "/predict", *UPGRADE, body=GOOD)
    client.send(ask + b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000)
    assert client.answer().status == 200
    assert client.answer().status == 431
    assert client.ended()


# Time and size


@pytest.fixture(scope="module")
def hasty() -> Iterator[ServerProcess]:
    with ServerProcess(head_timeout="0.6", idle_timeout="3") as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.mark.parametrize("first", [get("/health"), POST], ids=["a request", "a body"])
def test_a_head_behind_another_request_has_the_same_limit(
    hasty: ServerProcess, first: bytes
) -> None:
    with RawClient(hasty.port) as client:
        client.send(first + get("/health", "X-Long: " + "a" * 16_384))
        assert client.answer().status == 200
        assert client.answer().status == 431
        assert client.ended()


def test_half_a_head_behind_another_request_has_the_time_of_a_head(hasty: ServerProcess) -> None:
    with RawClient(hasty.port) as client:
        begun = time.monotonic()
        client.send(get("/health") + b"GET /hea")
        assert client.answer().status == 200
        assert client.answer().status == 408
        assert time.monotonic() - begun < 2.5


def test_an_empty_line_after_a_request_is_not_half_a_head(hasty: ServerProcess) -> None:
    """Some clients send one after a body (RFC 9112, 2.2); nobody asked for a 408 then."""
    with RawClient(hasty.port) as client:
        assert client.send(POST).answer().status == 200
        client.send(b"\r\n")
        time.sleep(1.2)
        assert client.send(get("/health")).answer().status == 200


@pytest.mark.parametrize(("count", "status"), [(98, 200), (200, 431)])
def test_a_request_has_at_most_a_hundred_headers(
    hasty: ServerProcess, count: int, status: int
) -> None:
    with RawClient(hasty.port) as client:
        client.send(get("/health", *["X: y"] * count))
        assert client.answer().status == status


def test_what_takes_too_long_is_answered_408_and_counted() -> None:
    with ServerProcess(head_timeout="0.6", body_timeout="0.6", idle_timeout="1") as server:
        with (
            RawClient(server.port) as mute,
            RawClient(server.port) as head,
            RawClient(server.port) as second,
            RawClient(server.port) as body,
            RawClient(server.port) as idle,
        ):
            second.send(POST)
            assert second.answer().status == 200
            second.send(b"GET /health HTTP/1.1\r\n")
            body.send(POST[:-5])
            idle.send(POST)
            assert idle.answer().status == 200
            begun = time.monotonic()
            for part in (b"GET / HTTP", b"/1.1\r\n", b"Host", b": x"):
                head.send(part)
                time.sleep(0.1)
            for client in (mute, head, second, body):
                answer = client.answer()
                assert (answer.status, answer.closes) == (408, True)
                assert answer.headers["content-type"] == "application/problem+json"
                assert client.ended()
            assert idle.ended()
            assert time.monotonic() - begun < 5
        assert server.answered("malformed", 408) == 3
        assert server.answered("/predict", 408) == 1
        assert server.is_idle()


@pytest.mark.parametrize("name", [b"X-Long: ", b"X-Short: y\r\n"])
def test_a_head_without_end_is_refused_before_it_is_in_memory(
    server: ServerProcess, name: bytes
) -> None:
    before = server.resident_mib()
    with RawClient(server.port) as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: x\r\n" + name)
        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            client.sock.settimeout(0.01)
            while sent < 4_000_000:
                sent += client.sock.send(b"x" * 512 if name.endswith(b" ") else name * 50)
        client.sock.settimeout(10)
        assert client.answer().status == 431
    assert server.resident_mib() - before < 4


def test_a_head_may_have_16_kib_and_no_byte_more(server: ServerProcess) -> None:
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


@pytest.mark.parametrize("after", [b"2\r\n{}\r\n0\r\nX-Trailer: ", b"2;"])
def test_a_trailer_or_an_extension_without_end_is_refused(
    server: ServerProcess, after: bytes
) -> None:
    head = request("POST", "/predict", "Transfer-Encoding: chunked")
    with RawClient(server.port) as client:
        client.send(head + after)
        with contextlib.suppress(ConnectionError, TimeoutError):
            client.sock.settimeout(0.01)
            for _ in range(2000):
                client.send(b"x" * 100)
        client.sock.settimeout(10)
        assert client.answer().status == 431
    eventually(server.is_idle)


def test_answers_that_nobody_reads_stop_the_next_ones_and_are_cut_off() -> None:
    """One answer a connection is in memory, and one whose client is deaf is not kept for long."""
    with ServerProcess(answer_timeout="1.5", max_lag="60") as server:
        assert server.post("/predict", BATCH).status == 200
        before = server.resident_mib()
        with contextlib.ExitStack() as stack:
            deaf = [stack.enter_context(RawClient(server.port, 4096)) for _ in range(20)]
            for client in deaf:
                client.sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    for _ in range(100):
                        client.sock.sendall(request("POST", "/predict", body=BATCH))
            time.sleep(1)
            done = server.answered("/predict", 200)
            # 20 clients asked for 100 answers each, of 400 kB: 800 MB.
            assert done < 20 * 8
            # Nor is much read of what they send meanwhile.
            assert server.sample("riskpredictor_in_flight_requests") < 20 * 3
            assert server.resident_mib() - before < 60
            assert server.post("/predict", GOOD).status == 200
            eventually(server.is_idle, within=10)
            # Nothing more was worked on for them, and those that are cut off read the end.
            assert server.answered("/predict", 200) <= done + 1
        assert server.post("/predict", BATCH).status == 200


def test_clients_that_leave_at_any_stage_leave_nothing_behind(server: ServerProcess) -> None:
    chunked = request("POST", "/predict", "Transfer-Encoding: chunked")
    stages = [
        b"",
        POST[:20],
        POST[:-5],
        request("POST", "/predict", body=BATCH)[:50_000],
        request("POST", "/predict", body=BATCH),
        request("POST", "/predict", body=BATCH) * 5,
        chunked + b"5\r\nab",
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
    # All the memory for large bodies is there: 30 MiB of them fit at the same time.
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server.port)) for _ in range(30)]
        for client in clients:
            client.send(request("POST", "/predict", body=b" " * (1 << 20))[:-1])
        for client in clients:
            assert client.send(b" ").answer().status == 400


def test_beyond_the_limit_of_connections_only_probes_are_answered() -> None:
    with ServerProcess(max_connections="5", head_timeout="60") as server:
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                client = stack.enter_context(RawClient(server.port))
                assert client.send(get("/health")).answer().status == 200
            for path in ("/health", "/ready", "/metrics"):
                with RawClient(server.port) as probe:
                    # It may not keep its place.
                    answer = probe.send(get(path)).answer()
                    assert (answer.status, answer.closes) == (200, True)
            for data in (POST, get("/model"), request("POST", "/predict", body=BATCH)):
                with RawClient(server.port) as client:
                    answer = client.send(data).answer()
                    assert (answer.status, answer.closes) == (503, True)
                    assert answer.headers["retry-after"] == "1"
                    assert "connections" in answer.json()["detail"]
            # And beyond a few more nobody is let in.
            more = [stack.enter_context(RawClient(server.port)) for _ in range(140)]
            assert sum(_is_cut(client) for client in more) >= 10
        eventually(lambda: _is_served(server))


def _is_served(server: ServerProcess) -> bool:
    try:
        return server.post("/predict", GOOD).status == 200
    except OSError:
        return False


def _is_cut(client: RawClient) -> bool:
    client.sock.settimeout(0.02)
    try:
        return client.ended()
    except TimeoutError:
        return False


# The end


def test_a_stopped_server_ends_idle_connections_and_waits_for_half_requests_a_little() -> None:
    with (
        ServerProcess(head_timeout="60", body_timeout="60", drain_seconds="2") as server,
        RawClient(server.port) as idle,
        RawClient(server.port) as half,
        RawClient(server.port) as never,
        RawClient(server.port) as head,
        RawClient(server.port, receive_buffer=4096) as deaf,
    ):
        assert idle.send(POST).answer().status == 200
        half.send(POST[:-1])
        never.send(POST[:-1])
        head.send(b"GET /health HTTP/1.1\r\nHost:")
        deaf.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                deaf.send(request("POST", "/predict", body=BATCH))
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
