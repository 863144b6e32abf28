"""The table of routes in Flask, in the ASGI application and under another WSGI server."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Sequence
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from unit.predictor.support import HEALTHY, service

from riskpredictor_server.admission import Admission
from riskpredictor_server.api.routes import ROUTES, hot_route
from riskpredictor_server.asgi import Application, Message, Scope
from riskpredictor_server.web.app import create_app
from support.rawhttp import RawClient, get, request

BODY = json.dumps(HEALTHY).encode()
INFER = "/v2/models/riskpredictor/infer"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_flask_has_every_route_and_hot_ones_are_found_without_it(route: Any) -> None:
    rules = {
        (method, rule.rule)
        for rule in create_app(service()).url_map.iter_rules()
        for method in rule.methods or ()
    }
    assert (route.method, route.path) in rules
    path = route.path.replace("<name>", "m").replace("<version>", "v1")
    found, arguments = hot_route(route.method, path)
    assert found is (route if route.hot else None)
    if found and "<" in route.path:
        assert arguments == {"name": "m", "version": "v1"} or arguments == {"name": "m"}


def test_head_is_answered_like_get_and_other_paths_are_not_hot() -> None:
    assert hot_route("HEAD", "/health")[0] is hot_route("GET", "/health")[0]
    for method, path in (("GET", "/predict"), ("POST", "/v2/models//infer"), ("POST", "/predict/")):
        assert hot_route(method, path)[0] is None


async def ask(
    application: Application,
    method: str,
    path: str,
    body: bytes = BODY,
    encoding: str = "identity",
    lines: Sequence[tuple[str, str]] = (),
    **more: Any,
) -> tuple[int, Any]:
    """Call the application as an ASGI server does; return status and document."""
    headers = [(b"host", b"x"), (b"content-type", b"application/json")]
    headers.append((b"content-length", b"%d" % len(body)))
    headers.append((b"content-encoding", encoding.encode()))
    headers += [(name.lower().encode(), value.encode()) for name, value in lines]
    scope: Scope = {"type": "http", "method": method, "path": path, "http_version": "1.1", **more}
    scope.update(headers=headers, query_string=b"")
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/predict", 200),
        ("//predict", 200),
        ("/predict/", 404),
        ("/v2/models/riskpredictor/infer", 400),
        ("/v2//models/riskpredictor/infer", 308),
        ("/absent", 404),
    ],
)
async def test_overload_refuses_every_spelling_of_a_path(
    path: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = Application(service())
    if status != 308:
        assert (await ask(application, "POST", path))[0] == status
    for name in ("lag", "free_bytes"):
        with monkeypatch.context() as patch:
            patch.setattr(application.admission, name, 9.0 if name == "lag" else -1)
            found, problem = await ask(application, "POST", path)
            assert (found, problem["title"]) == (503, "Service unavailable")
            for probe in ("/health", "//ready", "/rollout"):
                assert (await ask(application, "GET", probe))[0] == 200


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", gzip.compress(BODY), 200),
        ("deflate", zlib.compress(BODY), 200),
        ("gzip", BODY, 400),
        ("gzip", gzip.compress(b" " * 2049), 413),
        ("br", BODY, 415),
    ],
    ids=["gzip", "deflate", "no gzip", "too large", "unknown"],
)
async def test_a_compressed_body_is_answered_alike_by_both(
    encoding: str, body: bytes, status: int
) -> None:
    serving = service(max_body_bytes=2048)
    found, answer = await ask(Application(serving), "POST", "/predict", body, encoding)
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    flask = create_app(serving).test_client().post("/predict", data=body, headers=headers)
    expected = flask.get_json(force=True)
    assert (found, flask.status_code) == (status, status)
    assert answer | {"request_id": ""} == expected | {"request_id": ""}
    assert flask.headers.get("Accept-Encoding") == ("gzip, deflate" if status == 415 else None)


@pytest.mark.parametrize(
    ("path", "name", "values", "body", "status"),
    [
        ("/predict", "Content-Encoding", ("gzip", "identity"), gzip.compress(BODY), 200),
        ("/predict", "Content-Encoding", ("gzip", "gzip"), gzip.compress(BODY), 415),
        (INFER, "Inference-Header-Content-Length", (str(len(BODY)),), BODY, 400),
        (INFER, "Inference-Header-Content-Length", ("1", str(len(BODY))), BODY, 400),
    ],
    ids=["encodings", "an encoding twice", "one length", "two lengths"],
)
async def test_header_lines_of_the_same_name_are_one_list_for_both(
    path: str, name: str, values: Sequence[str], body: bytes, status: int
) -> None:
    """RFC 9110, 5.3. Of two lengths neither may be taken silently."""
    serving = service()
    lines = [(name, value) for value in values]
    found, answer = await ask(Application(serving), "POST", path, body, lines=lines)
    sent = [("Content-Encoding", "identity"), *lines, ("Content-Type", "application/json")]
    flask = create_app(serving).test_client().post(path, data=body, headers=sent)
    expected = flask.get_json(force=True)
    assert (found, flask.status_code) == (status, status)
    assert answer | {"request_id": ""} == expected | {"request_id": ""}
    if len(values) == 2 and status == 400:
        assert f"is '1, {len(BODY)}'; send a whole number" in answer["detail"]


async def test_a_body_counts_against_the_memory_as_it_is_when_decompressed() -> None:
    application = Application(service(max_body_bytes=100_000, max_pending_bytes=100_000))
    body = gzip.compress(BODY + b" " * 90_000)
    assert (await ask(application, "POST", "/predict", body, "gzip"))[0] == 200
    application.admission.free_bytes = 50_000
    found, problem = await ask(application, "POST", "/predict", body, "gzip")
    assert (found, "memory" in problem["detail"]) == (503, True)
    assert application.admission.free_bytes == 50_000


async def test_the_prefix_of_a_proxy_is_not_part_of_the_route() -> None:
    application = Application(service())
    status, answer = await ask(application, "POST", "/risk/predict", root_path="/risk")
    assert (status, answer["risk_level"]) == (200, "Low")


async def test_a_bug_is_a_500_problem_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    application = Application(service())
    monkeypatch.setattr(Admission, "reserve", lambda *_: 1 / 0)
    status, answer = await ask(application, "POST", "/predict")
    assert (status, answer["title"]) == (500, "Internal error")
    assert "division" in caplog.text
    assert application.service.metrics.in_flight == 0


def test_flask_serves_all_routes_under_another_wsgi_server() -> None:
    """riskpredictor_server.wsgi is no more than this application."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    with make_server("127.0.0.1", 0, create_app(service()), handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for sent, status in (
            (get("/health"), 200),
            (get("/metrics"), 200),
            (request("POST", "/predict", body=BODY), 200),
            (request("POST", "/v2/models/riskpredictor/infer", body=b"{}"), 400),
        ):
            with RawClient(server.server_port) as client:
                assert client.send(sent).answer().status == status
        server.shutdown()
