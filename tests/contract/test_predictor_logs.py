"""The log of the real server, while nobody reads it or it cannot be written."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from unit.predictor.support import HEALTHY, PREDICTOR, ServerProcess, artifact, free_port

from support.api import eventually
from support.rawhttp import RawClient, request

LINES = 1500
"""Of three hundred bytes: many times what a pipe takes."""


def asked(number: int) -> bytes:
    fields = (f"X-Request-Id: {number:05}-{'x' * 120}",)
    return request("POST", "/predict", *fields, body=json.dumps(HEALTHY).encode())


def answered(server: ServerProcess) -> None:
    """Ask for many predictions, each of which comes soon."""
    with RawClient(server.port, timeout=5) as client:
        for number in range(LINES):
            assert client.send(asked(number)).answer().status == 200


@contextmanager
def logging_to(stderr: IO[Any], audit: str = "off") -> Iterator[ServerProcess]:
    with ServerProcess(
        stderr=stderr, access_log="on", audit_log=audit, log_format="json", keepalive_requests="0"
    ) as server:
        yield server


@contextmanager
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The end to read from, and the one to write to."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb") as sink:
        yield source, sink


def ends_soon_after_sigterm(server: ServerProcess) -> None:
    begun = time.monotonic()
    server.terminate()
    assert server.process.wait(15) == 0
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("audit", ["off", "on"])
def test_a_pipe_that_nobody_reads_holds_up_neither_answers_nor_the_end(audit: str) -> None:
    with pipe() as (_, sink), logging_to(sink, audit) as server:
        answered(server)
        assert server.get("/ready").status == 200
        ends_soon_after_sigterm(server)


def test_what_nobody_read_for_a_while_is_kept_in_order_and_written_before_the_end() -> None:
    with pipe() as (source, sink), logging_to(sink) as server:
        answered(server)
        sink.close()
        server.terminate()
        told = [json.loads(line) for line in source]
        assert server.process.wait(15) == 0
    numbers = [line["request_id"][:5] for line in told if line.get("route") == "/predict"]
    assert numbers == [f"{number:05}" for number in range(LINES)]
    assert told[-1]["message"] == "stopped"


def test_a_reader_that_is_gone_changes_nothing_but_a_metric() -> None:
    with pipe() as (source, sink), logging_to(sink) as server:
        source.close()
        answered(server)
        eventually(lambda: server.sample("riskpredictor_log_lost_total") >= LINES)
        ends_soon_after_sigterm(server)


def test_a_full_disk_changes_nothing_but_a_metric() -> None:
    with Path("/dev/full").open("wb") as full, logging_to(full) as server:
        answered(server)
        eventually(lambda: server.sample("riskpredictor_log_lost_total") >= LINES)
        ends_soon_after_sigterm(server)


def test_closed_standard_files_do_not_become_connections_that_get_the_log() -> None:
    port = free_port()
    arguments = [str(artifact()), f"--port={port}", "--access-log=on", "--audit-log=on"]
    command = 'exec "$0" -m riskpredictor_server --model "$@" <&- >&- 2>&-'
    environment = {**os.environ, "PYTHONPATH": str(PREDICTOR)}
    with subprocess.Popen(
        ["sh", "-c", command, sys.executable, *arguments], env=environment
    ) as process:
        try:
            eventually(lambda: _is_listening(port))
            opened = Path(f"/proc/{process.pid}/fd")
            assert {(opened / number).readlink() for number in "012"} == {Path(os.devnull)}
            with RawClient(port) as client:
                assert client.send(asked(0)).answer().status == 200
        finally:
            process.terminate()
        assert process.wait(15) == 0


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_a_reason_not_to_start_that_nobody_reads_ends_the_process_all_the_same() -> None:
    command = [sys.executable, "-m", "riskpredictor_server", "--port=x"]
    with pipe() as (source, sink):
        source.close()
        done = subprocess.run(
            command, stderr=sink, env={**os.environ, "PYTHONPATH": str(PREDICTOR)}, timeout=60
        )
    assert done.returncode == 2
