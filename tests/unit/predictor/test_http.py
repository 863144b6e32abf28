"""Parts of the HTTP connection that need no socket."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any, cast

import pytest
from unit.predictor.support import service

from riskpredictor_server.api.problems import JSON, Reply
from riskpredictor_server.bridge import call_wsgi
from riskpredictor_server.front import Front
from riskpredictor_server.http.body import Body
from riskpredictor_server.http.budget import DRAIN_BYTES, LARGE_BYTES, Budget
from riskpredictor_server.http.connection import Connection
from riskpredictor_server.http.hub import Hub
from riskpredictor_server.http.inbound import Inbound
from riskpredictor_server.http.listener import bind, serve
from riskpredictor_server.http.request import Request
from riskpredictor_server.http.rules import HEAD_BYTES, fault, too_long
from riskpredictor_server.http.wire import Wire, http_date
from riskpredictor_server.settings import Settings

NO_TRANSPORT = cast(asyncio.Transport, None)


def made(method: str = "GET", target: str = "/", **headers: str) -> Request:
    fields = [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
    return Request(method.encode(), target.encode(), fields, True, NO_TRANSPORT)


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        ("/a/b", "/a/b", "", ""),
        ("/a%20b%2Fc?x=%41", "/a b/c", "x=%41", ""),
        ("/%2568ealth", "/%68ealth", "", ""),
        ("/%zz%4", "/%zz%4", "", ""),
        ("http://h:8/p?q", "/p", "q", "h:8"),
        ("HTTP://h", "/", "", "h"),
        ("http://h?q", "/", "q", "h"),
        ("/http://h/p", "/http://h/p", "", ""),
        ("*", "*", "", ""),
    ],
)
def test_a_target_is_path_query_and_sometimes_host(
    target: str, path: str, query: str, host: str
) -> None:
    assert made(target=target).split() == (path.encode(), query.encode(), host.encode())


def test_what_flask_is_told_of_a_request() -> None:
    given: dict[str, Any] = {}

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        given.update(environ)
        start("200 OK", [])
        return [environ["wsgi.input"].read()]

    fields = [(b"host", b"x"), (b"accept", b"a"), (b"accept", b"b "), (b"accept_x", b"forged"),
              (b"content-type", b"t/p"), (b"content-length", b"9")]  # fmt: skip
    transport: Any = SimpleNamespace(get_extra_info=lambda _name: ("::1", 80, 0, 0))
    request = Request(b"PUT", b"http://h/%C3%A9%2F?q=%20", fields, True, transport)
    request.id = "i"
    assert call_wsgi(app, request, b"body") == (200, [], b"body")
    assert given["PATH_INFO"].encode("latin-1") == "/é/".encode()
    assert (given["QUERY_STRING"], given["HTTP_HOST"]) == ("q=%20", "h")
    assert (given["CONTENT_TYPE"], given["CONTENT_LENGTH"]) == ("t/p", "4")
    assert (given["REMOTE_ADDR"], given["SERVER_PORT"]) == ("::1", "80")
    assert given["HTTP_X_REQUEST_ID"] == "i"
    # A name with an underscore would pass for the one with a hyphen.
    assert {name for name in given if "ACCEPT" in name} == {"HTTP_ACCEPT"}
    assert given["HTTP_ACCEPT"] == "a,b"


def test_escapes_need_not_be_text() -> None:
    assert made(target="/%ff%00").split()[0] == b"/\xff\0"


@pytest.mark.parametrize(
    ("version", "headers", "status"),
    [
        ("1.1", {"host": "x"}, None),
        ("1.0", {}, None),
        ("1.1", {}, 400),
        ("2.0", {"host": "x"}, 505),
        ("0.9", {}, 505),
        ("1.0", {"transfer_encoding": "chunked"}, 400),
        ("1.1", {"host": "x", "transfer_encoding": "Chunked "}, None),
        ("1.1", {"host": "x", "transfer_encoding": "gzip, chunked"}, 501),
        ("1.1", {"host": "x", "transfer_encoding": "gzip"}, 400),
        ("1.1", {"host": "x", "content_length": "5", "expect": "100-Continue"}, None),
        ("1.1", {"host": "x", "content_length": "5", "expect": "tea"}, 417),
    ],
)
def test_what_a_head_must_be(version: str, headers: dict[str, str], status: int | None) -> None:
    found = fault(made(**headers), version)
    assert (found[0] if found else None) == status


def test_a_head_tells_how_its_body_is_framed() -> None:
    lengthy = made("POST", host="x", content_length="12 ", expect="100-continue")
    assert fault(lengthy, "1.1") is None
    assert (lengthy.length, lengthy.chunked, lengthy.expects) == (12, False, True)
    padded = made("POST", host="x", content_length="0" * 5000 + "12")
    assert fault(padded, "1.1") is None
    assert padded.length == 12
    old = made("POST", content_length="12", expect="100-continue")
    assert fault(old, "1.0") is None
    # HTTP/1.0 knows neither interim answers nor connections that stay open.
    assert (old.expects, old.keep_alive) == (False, False)


def test_a_head_is_measured_with_its_punctuation() -> None:
    fits = made(fill="x" * (HEAD_BYTES - len("GET / HTTP/1.1\r\nfill: \r\n\r\n")))
    assert not too_long(fits)
    fits.fields.append((b"", b""))
    assert too_long(fits)


def test_dates_are_those_of_the_standard_library() -> None:
    for second in (0, 951_782_400, 1_795_599_166):
        assert http_date(second) == formatdate(second, usegmt=True)


def test_an_answer_is_one_head_and_one_body() -> None:
    wire = Wire([("X-Served-By", "pod")])
    reply = Reply(503, JSON, b"{}", (("Retry-After", "1"),))
    head, body = wire.reply(reply, "id", close=True).split(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    assert (line, body) == ("HTTP/1.1 503 Service Unavailable", b"{}")
    assert re.match(r"Date: \w{3}, ", lines.pop(0))
    assert lines == ["X-Served-By: pod", "Content-Type: application/json", "X-Request-Id: id",
                     "Retry-After: 1", "Connection: close", "Content-Length: 2"]  # fmt: skip
    assert wire.reply(reply, "id", close=False, head_only=True).endswith(b": 2\r\n\r\n")
    assert b"Connection" not in wire.reply(reply, "id", close=False)


def test_the_date_moves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    wire, now = Wire(()), time.time()
    before = wire.reply(Reply(200, JSON, b""), "id", close=False)
    monkeypatch.setattr("time.time", lambda: now + 1)
    assert wire.reply(Reply(200, JSON, b""), "id", close=False) == before
    wire.tick()
    assert wire.reply(Reply(200, JSON, b""), "id", close=False) != before


def test_a_body_is_kept_in_one_piece_up_to_its_limit() -> None:
    body = Body(10)
    data = b"12345"
    assert body.add(data)
    assert body.take() is data
    assert all(body.add(b"%d" % n) for n in range(10))
    assert not body.add(b"x")
    body.refuse(Reply(413, JSON, b""))
    assert body.add(b"x" * DRAIN_BYTES)
    assert not body.add(b"x")
    assert cast(Any, body.take()).status == 413
    assert body.take() == b""


def test_the_budget_is_whole_again_when_all_is_given_back() -> None:
    budget = Budget(max_body=10_000, max_memory=15_000, max_unfinished=1)
    small, large, more, chunked = made(), made(), made(), made()
    small.length, large.length, more.length, chunked.chunked = LARGE_BYTES - 1, 9000, 6001, True
    assert budget.admit(small) is None
    assert budget.free == 15_000
    assert budget.admit(large) is None
    assert cast(Reply, budget.admit(more)).status == 503
    more.length = 10_001
    assert cast(Reply, budget.admit(more)).status == 413
    budget.settle(large, 5000)
    assert budget.free == 10_000
    assert budget.admit(chunked) is None
    assert budget.free == 0
    budget.settle(chunked, 10)
    for request in (small, large, more, chunked):
        budget.release(request)
    assert budget.free == 15_000
    assert budget.await_rest(small) is None
    assert cast(Reply, budget.await_rest(large)).status == 503


class DeadTransport:
    """Its client reset the connection, which asyncio has not noticed."""

    aborted = False

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, data: bytes) -> None: ...

    def write_eof(self) -> None:
        raise OSError(107, "Transport endpoint is not connected")

    def abort(self) -> None:
        self.aborted = True


async def test_no_connection_ends_the_watch_over_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    front = Front(service())
    hub = Hub(front, front.budget, Settings(head_timeout=-1.0))
    dead: list[Any] = [DeadTransport(), DeadTransport()]
    connections = [Connection(hub), Connection(hub)]
    for connection, transport in zip(connections, dead, strict=True):
        connection.connection_made(transport)
    hub.sweep()
    assert all(transport.aborted for transport in dead)
    assert not caplog.records
    # Nor does a fault of our own.
    monkeypatch.setattr(Connection, "expire", lambda _: 1 / 0)
    for connection, transport in zip(connections, dead, strict=True):
        connection.deadline, transport.aborted = 0.0, False
    hub.sweep()
    assert all(transport.aborted for transport in dead)
    assert "could not be ended" in caplog.text


async def test_an_ended_connection_is_freed_without_the_garbage_collector() -> None:
    """It is set to run seldom, and a client may open a connection for each request."""
    front = Front(service())
    sock = bind("127.0.0.1", 0)
    server = await serve(Hub(front, front.budget, Settings()), sock)
    gc.collect()
    gc.disable()
    before = {id(each) for each in gc.get_objects()}
    try:
        for _ in range(3):
            reader, writer = await asyncio.open_connection(*sock.getsockname())
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
            await writer.wait_closed()
        for _ in range(100):
            found = [each for each in gc.get_objects() if isinstance(each, Connection | Inbound)]
            left = [each for each in found if id(each) not in before]
            del found
            if not left:
                break
            del left
            await asyncio.sleep(0.02)
        else:
            pytest.fail("a connection is left")
    finally:
        gc.enable()
        server.close()
