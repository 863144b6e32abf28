"""The server without sockets: the limit of open files, deadlines and log lines."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import resource
import sys
from typing import Any

import pytest
from unit.predictor.support import service

from riskpredictor_server.asgi import Application
from riskpredictor_server.http.protocol import Connection
from riskpredictor_server.http.server import Server, connection_limit
from riskpredictor_server.logs import JsonFormatter

UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "most_granted", "asked", "connections"),
    [
        ((1024, 4096), UNLIMITED, [4096], 2048),
        ((256, 1024), UNLIMITED, [1024], 1024 - 192),
        ((64, 100), UNLIMITED, [100], 1),
        ((256, UNLIMITED), 10_240, [65_536, 10_240], 2048),
        ((256, UNLIMITED), 100, [65_536, 10_240], 64),
        ((1024, 4096), 0, [4096], 1024 - 192),
    ],
    ids=["enough", "few", "very few", "macOS", "refused, unlimited", "refused"],
)
def test_the_connection_limit_follows_the_limit_of_open_files(
    limits: tuple[int, int],
    most_granted: int,
    asked: list[int],
    connections: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def setrlimit(_what: int, wanted: tuple[int, int]) -> None:
        seen.append(wanted[0])
        assert wanted[1] == limits[1]
        if most_granted != UNLIMITED and wanted[0] > most_granted:
            raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _what: limits)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert connection_limit(2048) == connections
    assert seen == asked


def test_windows_has_no_limit_of_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert connection_limit(2048) == 2048


async def test_lack_of_file_descriptors_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    server, loop = Server(Application(service())), asyncio.get_running_loop()
    caplog.clear()
    for _ in range(1000):
        server._loop_error(loop, {"exception": OSError(errno.EMFILE, "Too many open files")})
    assert [record.getMessage() for record in caplog.records] == [
        "out of file descriptors: new connections wait; raise the limit (ulimit -n)"
    ]
    server._loop_error(loop, {"message": "another", "exception": ValueError("x")})
    assert len(caplog.records) == 2


async def test_a_bug_in_one_connection_does_not_stop_deadlines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Transport(asyncio.Transport):
        aborted = False

        def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None: ...

        def abort(self) -> None:
            self.aborted = True

    server = Server(Application(service(head_timeout=-1.0)))
    server.config.load()
    transports = [Transport(), Transport()]
    for transport in transports:
        connection = Connection(
            config=server.config, server_state=server.server_state, app_state={}
        )
        connection.connection_made(transport)
    monkeypatch.setattr(Connection, "expire", lambda _: 1 / 0)
    assert not await server.on_tick(1)
    assert all(transport.aborted for transport in transports)
    assert "could not be ended" in caplog.text


def test_json_lines_have_the_operators_format() -> None:
    """The operator's own test expects the same keys."""
    try:
        int("boom")
    except ValueError:
        record = logging.LogRecord("r", logging.ERROR, "f", 1, "%s", ("failed",), sys.exc_info())
    record.created, record.status, record.request_id = 0.0, 500, "id"
    line = json.loads(JsonFormatter().format(record))
    assert list(line) == ["time", "level", "logger", "message", "request_id", "status", "traceback"]
    assert (line["time"], line["level"]) == ("1970-01-01T00:00:00.000+00:00", "error")
    assert line["traceback"].endswith("'boom'")
