"""Routes, headers and errors of the Flask application."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from unit.predictor.support import HEALTHY, service

from riskpredictor_server.web.app import create_app


@pytest.fixture
def client() -> FlaskClient:
    return create_app(service(max_body_bytes=2048)).test_client()


def test_health_and_ready(client: FlaskClient) -> None:
    assert client.get("/health").get_json()["status"] == "alive"
    assert client.get("/ready").get_json() == {"status": "ready", "model_version": "v1"}


def test_a_draining_server_is_not_ready_but_answers() -> None:
    serving = service()
    serving.draining = True
    client = create_app(serving).test_client()
    assert client.get("/ready").status_code == 503
    assert client.post("/predict", json=HEALTHY).status_code == 200


def test_the_model_card_is_served(client: FlaskClient) -> None:
    card = client.get("/model").get_json()
    assert card["model_version"] == "v1"
    assert {row["name"] for row in card["features"]} == set(HEALTHY)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-123", True), ("a b", False), ("x" * 200, False), ("<script>", False)],
)
def test_a_valid_request_id_is_kept(client: FlaskClient, given: str, kept: bool) -> None:
    answer = client.get("/health", headers={"X-Request-Id": given})
    assert (answer.headers["X-Request-Id"] == given) is kept


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/absent", 404),
        ("GET", "/predict", 405),
        ("DELETE", "/model", 405),
        ("POST", "/health", 405),
        ("GET", "/static/absent.js", 404),
        ("GET", "/static/../app.py", 404),
    ],
)
def test_errors_are_problem_documents(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.get_json(force=True)["status"] == status
    if status == 405:
        assert answer.headers["Allow"]


def test_a_body_over_the_limit_is_413(client: FlaskClient) -> None:
    answer = client.post("/predict", data=b" " * 3000, content_type="application/json")
    assert answer.status_code == 413
    assert "2048 bytes" in answer.get_json(force=True)["detail"]


def test_a_bug_is_a_500_problem_with_an_id_and_a_log_line(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    serving = client.application.extensions["riskpredictor"]

    def broken(*_: Any) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr(serving, "predict", broken)
    answer = client.post("/predict", json=HEALTHY)
    assert answer.status_code == 500
    assert answer.content_type == "application/problem+json"
    assert "boom" not in answer.get_data(as_text=True)
    assert "boom" in caplog.text


def test_the_page_has_a_strict_content_security_policy(client: FlaskClient) -> None:
    answer = client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page = answer.get_data(as_text=True)
    assert "Predict Risk Level" in page
    assert "://" not in page
    assert "style=" not in page
    assert "onclick" not in page


def test_the_page_of_a_server_without_a_model_says_so() -> None:
    from pathlib import Path

    client = create_app(service(model=Path("absent"))).test_client()
    answer = client.get("/")
    assert answer.status_code == 200
    assert "Not ready." in answer.get_data(as_text=True)
