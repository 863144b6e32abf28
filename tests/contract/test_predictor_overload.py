"""The real server under overload: memory stays bounded, answers and probes quick."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median
from typing import Any

import pytest
from bench.predictor.crowd import crowd
from unit.predictor.support import HEALTHY, ServerProcess, repeating

from support.api import eventually
from support.rawhttp import RawClient, request

MIB = 1024 * 1024
INFER = "/v2/models/riskpredictor/infer"
BATCH = json.dumps({"instances": [HEALTHY] * 1000}).encode()
TENSOR = {"name": "v", "shape": [1000, 4], "datatype": "FP64"}
TENSORS = json.dumps({"inputs": [TENSOR | {"data": list(HEALTHY.values()) * 1000}]}).encode()


def head(path: str, length: int, *fields: str) -> bytes:
    """The head of a request whose body is sent separately."""
    json_body = ("Content-Type: application/json", f"Content-Length: {length}")
    return request("POST", path, *json_body, *fields)


def connect(server: ServerProcess, timeout: float = 20) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=timeout)


@pytest.mark.parametrize("path", ["/predict", INFER, "/absent"])
def test_unfinished_uploads_do_not_fill_the_memory(path: str) -> None:
    with ServerProcess(body_timeout="60") as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(server)) for _ in range(200)]

        def send(sock: socket.socket) -> None:
            with contextlib.suppress(OSError):
                sock.sendall(head(path, MIB) + b" " * (MIB - 1))

        senders = [threading.Thread(target=send, args=(sock,)) for sock in socks]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(60)
        # 200 MiB were sent; a pod has 256 MiB in all.
        assert server.resident_mib() < 160
        assert server.get("/health").status == 200
        # Small bodies are still accepted; another large one is refused at once.
        assert server.post("/predict", HEALTHY).status == 200
        refused = server.post("/predict", b" " * MIB)
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert "memory" in refused.json()["detail"]
        for sock in socks:
            sock.close()
        eventually(lambda: server.post("/predict", BATCH).status == 200, within=10)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as running:
        yield running


@pytest.mark.parametrize("body", [b" " * 8 * MIB, None], ids=["8 MiB", "8 MiB in chunks"])
@pytest.mark.parametrize("path", ["/predict", INFER, "/absent"])
def test_a_client_that_sends_far_too_much_reads_why(
    server: ServerProcess, path: str, body: bytes | None
) -> None:
    """A connection closed with unread input is reset, and the client loses the answer."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    data: Any = body or iter([b" " * 65536] * 128)
    client.request("POST", path, data, {"Content-Type": "application/json"})
    answer = client.getresponse()
    assert answer.status == 413
    assert "at most 1048576 bytes" in json.loads(answer.read())["detail"]
    client.close()


@pytest.mark.parametrize("fields", [(), ("Expect: 100-continue",)])
def test_a_length_that_is_too_large_is_refused_before_the_body(
    server: ServerProcess, fields: tuple[str, ...]
) -> None:
    with RawClient(server.port) as client:
        assert client.send(head("/predict", 10 * MIB, *fields)).answer().status == 413


@pytest.mark.parametrize(("path", "body"), [("/predict", BATCH), (INFER, TENSORS)])
def test_a_burst_of_batches_is_partly_refused(path: str, body: bytes) -> None:
    answers: list[tuple[bytes, float]] = []

    def ask(server: ServerProcess, barrier: threading.Barrier) -> None:
        with connect(server, timeout=60) as sock:
            barrier.wait(30)
            begun = time.monotonic()
            sock.sendall(head(path, len(body)) + body)
            first = sock.recv(65536)
            answers.append((first[:12], time.monotonic() - begun))

    with (
        ServerProcess(max_lag="0.05") as server,
        repeating(lambda: server.get("/health", timeout=10).status, 0.05) as probes,
    ):
        assert server.post(path, body).status == 200
        barrier = threading.Barrier(100)
        askers = [threading.Thread(target=ask, args=(server, barrier)) for _ in range(100)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(60)
    statuses = [status for status, _ in answers]
    assert len(statuses) == 100
    assert set(statuses) == {b"HTTP/1.1 200", b"HTTP/1.1 503"}
    # A batch takes about 5 ms, so some ten are accepted in 0.05 s, on a busy machine more.
    assert statuses.count(b"HTTP/1.1 503") > 30
    # No answer, whatever its status, took as long as all batches would have.
    assert max(seconds for _, seconds in answers) < 15
    assert set(probes) == {200}


@pytest.mark.parametrize("path", ["//predict", "/predict/", "/%70redict"])
def test_no_spelling_of_a_path_bypasses_admission(path: str) -> None:
    """Flask's answers cost twenty times as much, and take the interpreter from the event loop."""
    body = json.dumps(HEALTHY).encode()
    probes: list[float] = []
    with (
        # In another process, so that the probes measure the server and not this interpreter.
        ProcessPoolExecutor(1, get_context("spawn")) as attackers,
        ServerProcess(max_lag="0.05", keepalive_requests="0") as server,
    ):
        server.get("/model")
        attack = attackers.submit(crowd, server.port, path, body, 60, 4)
        while not attack.done():
            begun = time.monotonic()
            assert server.get("/ready").status == 200
            probes.append(time.monotonic() - begun)
            time.sleep(0.05)
        statuses = {status: len(times) for status, times in attack.result().items()}
    if path == "/predict/":
        assert statuses.get(503, 0) > statuses[404]
    assert set(statuses) <= {200, 404, 503}, statuses
    assert median(probes) < 0.2, sorted(probes)


def test_out_of_file_descriptors_is_one_log_line_and_passes() -> None:
    with ServerProcess(open_files=200) as server:
        crowd = []
        for _ in range(400):
            with contextlib.suppress(OSError):
                crowd.append(connect(server, timeout=1))
        time.sleep(1.5)
        for sock in crowd:
            sock.close()
        eventually(server.serves)
        assert "Traceback" not in server.log()
        assert server.log().count("\n") < 6, server.log()
