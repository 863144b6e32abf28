"""The real server process, over loopback."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from unit.predictor.support import HEALTHY, PREDICTOR, ServerProcess, artifact, changed_copy

from support.api import eventually
from support.rawhttp import RawClient, request

IN_FLIGHT = "riskpredictor_in_flight_requests"
POST = request("POST", "/predict", body=json.dumps(HEALTHY).encode())


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(max_body_bytes="4096") as running:
        yield running


@pytest.mark.parametrize("path", ["/health", "/ready", "/predict", "/model", "/", "/absent"])
def test_hot_and_flask_routes_have_the_same_headers(server: ServerProcess, path: str) -> None:
    answer = server.post(path, HEALTHY) if path == "/predict" else server.get(path)
    assert answer.status == (404 if path == "/absent" else 200)
    assert answer.headers["x-served-by"] == "pod-under-test"
    assert answer.headers["x-model-version"] == "v1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "path", ["/absent", "/%2e%2e/etc/passwd", "/%00", "/%ff", "/predict/", "/%2568ealth"]
)
def test_an_unknown_path_is_a_404_problem(server: ServerProcess, path: str) -> None:
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


def test_every_route_returns_the_callers_request_id(server: ServerProcess) -> None:
    """In the header, and in the body of predictions and errors."""
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


def test_stalled_bodies_block_nobody_and_time_out() -> None:
    with ServerProcess(body_timeout="5", max_pending="40") as server, ExitStack() as connections:
        clients = [connections.enter_context(RawClient(server.port)) for _ in range(42)]
        *stalled, whole, refused = clients
        for client in stalled:
            client.send(POST[:-20])
        eventually(lambda: server.sample(IN_FLIGHT) == 41)
        for path in ("/health", "/ready"):
            begun = time.monotonic()
            assert server.get(path).status == 200
            # Long before the stalled bodies time out.
            assert time.monotonic() - begun < 2
        # A complete body is answered; the 41st incomplete one is refused.
        assert whole.send(POST).answer().status == 200
        answer = refused.send(POST[:-20]).answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["content-type"] == "application/problem+json"
        assert {client.answer().status for client in stalled} == {408}
        assert server.post("/predict", HEALTHY).status == 200


def test_a_client_that_leaves_during_its_body_is_counted() -> None:
    with ServerProcess(body_timeout="60") as server:
        with RawClient(server.port) as client:
            client.send(POST[:-20])
            eventually(lambda: not server.is_idle())
        eventually(lambda: server.answered("/predict", 499) == 1)
        assert server.is_idle()
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
        eventually(lambda: "scorer.json: digest mismatch" in server.log())


def test_connections_are_closed_after_some_answers() -> None:
    with ServerProcess(keepalive_requests="5") as server, RawClient(server.port) as client:
        answers = [client.send(POST).answer()]
        while not answers[-1].closes:
            answers.append(client.send(POST).answer())
        assert client.ended()
        assert len(answers) <= 10
        assert {answer.status for answer in answers} == {200}


TAKEN = (
    "Address already in use; another process has the port; set --port (RISKPREDICTOR_PORT) to"
    " another one"
)
OF_ANOTHER = (
    "Cannot assign requested address; set --host (RISKPREDICTOR_HOST) to an address of this"
    " machine, or to :: for all of it"
)


@pytest.mark.parametrize("log_format", ["human", "json"])
@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["--port", "{taken}"], "cannot listen on 127.0.0.1:{taken}: " + TAKEN, 1),
        (["--host", "192.0.2.99"], "cannot listen on 192.0.2.99:5000: " + OF_ANOTHER, 1),
        (["--host", "2001:db8::99"], "cannot listen on [2001:db8::99]:5000: " + OF_ANOTHER, 1),
        (["--host", "predictor.invalid"], "cannot listen on predictor.invalid: ", 1),
        (["--host", "a..b"], "cannot listen on a..b: ", 1),
        (["--host", "[::1]:80"], "--host=[::1]:80: must be an IPv4 or IPv6 address or a name,", 2),
        (["--port", "x"], "--port=x: must be a whole number from 1 to 65535", 2),
        (["--prot", "1"], "unrecognized arguments: --prot 1; --help lists", 2),
    ],
    ids=[
        "port in use", "address of another machine", "IPv6 address of another machine",
        "unknown name", "impossible name", "port in the host", "wrong setting", "unknown flag",
    ],
)  # fmt: skip
def test_a_server_that_cannot_start_prints_one_line(
    server: ServerProcess, arguments: list[str], message: str, code: int, log_format: str
) -> None:
    arguments = [each.format(taken=server.port) for each in arguments]
    command = [sys.executable, "-m", "riskpredictor_server", *arguments]
    env = {"PYTHONPATH": str(PREDICTOR), "RISKPREDICTOR_LOG_FORMAT": log_format}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    (line,) = done.stderr.splitlines()
    if log_format == "json":
        entry = json.loads(line)
        assert entry["level"] == "error"
        line = entry["message"]
    assert line.startswith(message.format(taken=server.port))
    assert done.returncode == code


def test_predictions_need_neither_scikit_learn_nor_numpy_nor_flask() -> None:
    code = (
        "import sys; from pathlib import Path; import riskpredictor_server.__main__;"
        "from riskpredictor_server.asgi import Application;"
        "from riskpredictor_server.api.service import Service;"
        "from riskpredictor_server.settings import Settings;"
        "s = Service(Settings(model=Path(sys.argv[1]))); assert not s.reason, s.reason;"
        "Application(s); s.predict(b'{}', 'application/json', 'x');"
        "heavy = {'sklearn', 'numpy', 'joblib', 'flask', 'prometheus_client', 'pandas', 'yaml',"
        " 'obstore', 'cryptography', 'riskpredictor_server.store'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    env = {"PYTHONPATH": str(PREDICTOR)}
    command = [sys.executable, "-c", code, str(artifact())]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.stdout == "[]\n", done.stderr


def test_sigterm_under_load_fails_no_request() -> None:
    """Clients that get ``Connection: close`` connect to another pod, as through a Service."""
    answered: list[int] = []
    failures: list[str] = []
    stop = threading.Event()

    def ask(*ports: int) -> None:
        at = 0
        try:
            while not stop.is_set():
                with RawClient(ports[at]) as client:
                    closes = False
                    while not (stop.is_set() or closes):
                        answer = client.send(POST).answer()
                        assert answer.status == 200
                        answered.append(ports[at])
                        closes = answer.closes
                    at = 1
        except (OSError, EOFError, AssertionError) as error:
            failures.append(repr(error))

    with ServerProcess() as first, ServerProcess() as second:
        threads = [threading.Thread(target=ask, args=(first.port, second.port)) for _ in range(16)]
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


def test_a_second_signal_exits_at_once() -> None:
    with ServerProcess() as server, RawClient(server.port) as client:
        client.send(POST[:-20])
        time.sleep(0.2)
        server.terminate()
        time.sleep(0.5)
        assert server.process.poll() is None
        server.terminate()
        assert server.process.wait(2) == 128 + signal.SIGTERM
        assert "leaving at once" in server.log()


def test_the_audit_log_is_written_out_before_exit() -> None:
    with ServerProcess(audit_log="on") as server:
        answer = server.post("/predict", HEALTHY).json()
        server.terminate()
        assert server.process.wait(10) == 0
        (line,) = [line for line in server.log().splitlines() if line.startswith('{"audit"')]
    assert json.loads(line)["request_id"] == answer["request_id"]
