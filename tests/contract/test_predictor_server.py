"""The real server process, asked over loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from unit.predictor.support import HEALTHY, ServerProcess, artifact, changed_copy

from support.api import eventually

HEAD = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)


def connect(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def counts(server: ServerProcess, sample: str) -> bool:
    """Whether its page of metrics has this line."""
    return sample in server.get("/metrics").body.decode().splitlines()


def in_flight(requests: int) -> str:
    """The line for so many, beside the one that asks for the page."""
    return f"riskpredictor_in_flight_requests {requests + 1}"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(max_body_bytes="4096") as running:
        yield running


def test_the_documented_curl_call_works(server: ServerProcess) -> None:
    curl = shutil.which("curl")
    if not curl:
        pytest.skip("curl is not installed")
    body = '{"heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97}'
    command = [curl, "-sS", "-X", "POST", f"127.0.0.1:{server.port}/predict"]
    command += ["-H", "Content-Type: application/json", "-d", body]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert answer["risk_level"] == "Low"
    assert answer["model_version"] == "v1"


@pytest.mark.parametrize("path", ["/health", "/ready", "/predict", "/model", "/"])
def test_hot_and_flask_routes_carry_the_same_headers(server: ServerProcess, path: str) -> None:
    answer = server.post(path, HEALTHY) if path == "/predict" else server.get(path)
    assert answer.status == 200
    assert answer.headers["x-served-by"] == "pod-under-test"
    assert answer.headers["x-model-version"] == "v1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "path", ["/absent", "/%2e%2e/etc/passwd", "/%00", "/%ff", "/predict/", "/%2568ealth"]
)
def test_what_is_not_there_is_a_404_problem(server: ServerProcess, path: str) -> None:
    answer = server.get(path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_wrong_method_type_and_size_are_problems(server: ServerProcess) -> None:
    assert server.get("/predict").status == 405
    assert server.post("/predict", HEALTHY, content_type="text/plain").status == 415
    assert server.post("/predict", b" " * 5000).status == 413
    assert server.post("/absent", b" " * 5000).status == 413
    assert server.post("/predict", b"{").status == 400
    assert server.post("/predict", {}).status == 422


def test_a_chunked_body_is_read_and_bounded(server: ServerProcess) -> None:
    head = HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
    body = json.dumps(HEALTHY).encode()
    with connect(server) as sock:
        sock.sendall(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
    with connect(server) as sock:
        sock.sendall(head + b"1000\r\n" + b" " * 4096 + b"\r\n1000\r\n" + b" " * 4096 + b"\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_callers_request_id_comes_back_through_every_way_in(server: ServerProcess) -> None:
    """In the header of the answer, in its body and in that of an error."""
    for path in ("/predict", "/v2/models/riskpredictor/infer", "/health", "/model", "/absent"):
        body = json.dumps(HEALTHY if path == "/predict" else {}).encode()
        method = "GET" if path in ("/health", "/model") else "POST"
        headers = {"X-Request-Id": f"ward-7:{path.count('/')}", "Content-Type": "application/json"}
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        client.request(method, path, body if method == "POST" else None, headers)
        answer = client.getresponse()
        assert answer.headers.get_all("X-Request-Id") == [headers["X-Request-Id"]], path
        document = json.loads(answer.read())
        if method == "POST":
            assert document["request_id"] == headers["X-Request-Id"], path
        client.close()


def test_stalled_bodies_hold_nobody_up_and_are_ended() -> None:
    with ServerProcess(body_timeout="5", max_pending="40") as server, ExitStack() as connections:
        stalled = [connections.enter_context(connect(server)) for _ in range(40)]
        for sock in stalled:
            sock.sendall(HEAD % 80 + b'{"heart')
        eventually(lambda: counts(server, in_flight(40)))
        for path in ("/health", "/ready"):
            begun = time.monotonic()
            assert server.get(path).status == 200
            # Well before the stalled ones are ended.
            assert time.monotonic() - begun < 2
        # One that came whole, in one piece, takes no place; the 41st unfinished one is refused.
        body = json.dumps(HEALTHY).encode()
        with connect(server) as sock:
            sock.sendall(HEAD % len(body) + body)
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        with connect(server) as sock:
            sock.sendall(HEAD % 80 + b'{"heart')
            refused = sock.recv(4096)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1\r\n" in refused
        assert b"application/problem+json" in refused
        for sock in stalled:
            assert sock.recv(4096).startswith(b"HTTP/1.1 408")
        assert server.post("/predict", HEALTHY).status == 200


def test_a_client_that_leaves_in_the_middle_is_only_counted() -> None:
    with ServerProcess(body_timeout="60") as server:
        with connect(server) as sock:
            sock.sendall(HEAD % 80 + b'{"heart')
            eventually(lambda: counts(server, in_flight(1)))
        left = 'riskpredictor_requests_total{route="/predict",status="499"} 1'
        eventually(lambda: counts(server, left))
        assert counts(server, in_flight(0))
        assert "Traceback" not in server.log()


def test_logs_are_one_json_line_each_without_vitals() -> None:
    with ServerProcess(log_format="json", access_log="on") as server:
        server.post("/predict", HEALTHY | {"heart_rate": 91.25})
        server.post("/predict", HEALTHY | {"heart_rate": 9125})
        server.terminate()
        assert server.process.wait(10) == 0
        lines = [json.loads(line) for line in server.log().splitlines()]
    assert {line["status"] for line in lines if line.get("route") == "/predict"} == {200, 422}
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    assert "91" not in " ".join(line["message"] for line in lines if line.get("route"))


def test_a_damaged_model_is_not_ready_and_says_why(tmp_path: Path) -> None:
    folder = changed_copy(artifact(), tmp_path)
    (folder / "scorer.json").write_text("{}")
    with ServerProcess(folder) as server:
        assert server.get("/health").status == 200
        ready = server.get("/ready")
        assert ready.status == 503
        assert "scorer.json: digest mismatch" in ready.json()["reason"]
        assert server.post("/predict", HEALTHY).status == 503
        assert "riskpredictor_ready 0" in server.get("/metrics").body.decode()
        assert "scorer.json: digest mismatch" in server.log()


def test_connections_end_now_and_then_so_that_new_pods_get_some() -> None:
    request = HEAD % len(json.dumps(HEALTHY)) + json.dumps(HEALTHY).encode()
    with ServerProcess(keepalive_requests="5") as server, connect(server) as sock:
        answered = 0
        while True:
            sock.sendall(request)
            answer = sock.recv(4096)
            if not answer:
                break
            answered += 1
            assert answer.startswith(b"HTTP/1.1 200")
            if b"connection: close" in answer:
                assert sock.recv(1) == b""
                break
            assert answered < 11
        assert 1 <= answered <= 10


def test_a_taken_port_and_a_wrong_setting_end_with_one_line(server: ServerProcess) -> None:
    command = [sys.executable, "-m", "riskpredictor_server", "--port"]
    env = {"PYTHONPATH": str(Path(__file__).parents[2] / "predictor"), "PATH": "/usr/bin:/bin"}
    taken = subprocess.run([*command, str(server.port)], capture_output=True, text=True, env=env)
    assert taken.returncode == 1
    assert taken.stderr.startswith(f"cannot listen on 127.0.0.1:{server.port}:")
    wrong = subprocess.run([*command, "x"], capture_output=True, text=True, env=env)
    assert wrong.returncode == 2
    assert wrong.stderr == "--port=x: must be a whole number from 1 to 65535\n"


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["--port", "x"], "--port=x: must be a whole number from 1 to 65535", 2),
        (["--prot", "1"], "unrecognized arguments: --prot 1; --help lists", 2),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1:5000:", 1),
    ],
)
def test_where_logs_are_json_a_server_that_cannot_start_says_so_in_json(
    arguments: list[str], words: str, code: int
) -> None:
    command = [sys.executable, "-m", "riskpredictor_server", *arguments]
    path = str(Path(__file__).parents[2] / "predictor")
    env = {"PYTHONPATH": path, "RISKPREDICTOR_LOG_FORMAT": "json"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["level"], done.returncode) == ("error", code)
    assert words in line["message"]


def test_serving_imports_neither_scikit_learn_nor_numpy_nor_flask_to_answer() -> None:
    code = (
        "import sys; from pathlib import Path; import riskpredictor_server.__main__;"
        "from riskpredictor_server.asgi import Application;"
        "from riskpredictor_server.api.service import Service;"
        "from riskpredictor_server.settings import Settings;"
        "s = Service(Settings(model=Path(sys.argv[1]))); assert not s.reason, s.reason;"
        "Application(s); s.predict(b'{}', 'application/json', 'x');"
        "heavy = {'sklearn', 'numpy', 'joblib', 'flask', 'prometheus_client'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[2] / "predictor")}
    command = [sys.executable, "-c", code, str(artifact())]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.stdout == "[]\n", done.stderr


def test_sigterm_under_load_loses_no_request() -> None:
    """Clients that get ``Connection: close`` reconnect elsewhere, as through a Service."""
    body = json.dumps(HEALTHY).encode()
    request = HEAD % len(body) + body
    answered: list[int] = []
    failures: list[str] = []
    stop = threading.Event()

    def client(first: ServerProcess, second: ServerProcess) -> None:
        target = first
        while not stop.is_set():
            try:
                with connect(target) as sock:
                    while not stop.is_set():
                        sock.sendall(request)
                        answer = sock.recv(8192)
                        if not answer.startswith(b"HTTP/1.1 200"):
                            failures.append(repr(answer[:80]))
                            return
                        answered.append(target.port)
                        if b"connection: close" in answer:
                            target = second
                            break
            except OSError as error:
                failures.append(repr(error))
                return

    with ServerProcess() as first, ServerProcess() as second:
        threads = [threading.Thread(target=client, args=(first, second)) for _ in range(16)]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: failures or answered.count(first.port) > 500, within=60)
            first.terminate()
            assert first.process.wait(30) == 0
            eventually(lambda: failures or answered.count(second.port) > 100, within=60)
        finally:
            stop.set()
            for thread in threads:
                thread.join(10)
    assert failures == []


def test_connections_that_never_end_do_not_keep_a_stopped_server() -> None:
    with ServerProcess() as server, connect(server) as half, connect(server) as deaf:
        half.sendall(b"GET /health HTTP/1.1\r\nHost:")
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        batch = json.dumps({"instances": [HEALTHY] * 1000}).encode()
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                deaf.sendall(HEAD % len(batch) + batch)
        time.sleep(1)
        server.terminate()
        assert server.process.wait(20) == 0
        assert "connections are still open after 3 s, leaving them" in server.log()


def test_a_second_signal_ends_the_server_at_once() -> None:
    with ServerProcess() as server, connect(server) as sock:
        sock.sendall(HEAD % 80 + b'{"heart')
        time.sleep(0.2)
        server.terminate()
        time.sleep(0.5)
        assert server.process.poll() is None
        server.terminate()
        assert server.process.wait(2) == 128 + signal.SIGTERM
        assert "leaving at once" in server.log()


def test_an_audit_line_is_written_before_the_server_leaves() -> None:
    with ServerProcess(audit_log="on") as server:
        answer = server.post("/predict", HEALTHY).json()
        server.terminate()
        assert server.process.wait(10) == 0
        (line,) = [line for line in server.log().splitlines() if line.startswith('{"audit"')]
    assert json.loads(line)["request_id"] == answer["request_id"]


def test_sigterm_waits_for_a_body_that_is_on_its_way() -> None:
    body = json.dumps(HEALTHY).encode()
    with ServerProcess(body_timeout="60") as server, connect(server) as sock:
        sock.sendall(HEAD % len(body) + body[:20])
        eventually(lambda: counts(server, in_flight(1)))
        server.terminate()
        eventually(lambda: server.get("/ready").status == 503)
        # Longer than it takes to find that nobody asks any more.
        time.sleep(1)
        assert server.process.poll() is None
        sock.sendall(body[20:])
        answer = sock.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert server.process.wait(10) == 0
