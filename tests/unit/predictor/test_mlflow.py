"""Addresses of MLflow, and where it says that files are; answers as its server gives them."""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast

import pytest

from riskpredictor_server.store import mlflow, sources
from riskpredictor_server.store.errors import FETCH_FAILED, NOT_FOUND, REJECTED, StoreError
from riskpredictor_server.store.http import Answer, HttpClient
from riskpredictor_server.store.retry import Retries
from riskpredictor_server.store.transport import FetchContext

SERVER = "https://mlflow.example/base"
API = f"{SERVER}/api/2.0"
FILES = f"{API}/mlflow-artifacts/artifacts"


class Recorded:
    """A client that answers from a list, and keeps what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, str]]()

    def request(self, url: str, _: int, **options: Any) -> Answer:
        """See HttpClient."""
        self.asked.append((url, options["headers"].get("Authorization", "")))
        answer = self.answers.pop(0)
        if isinstance(answer, StoreError):
            raise answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return Answer(200, {}, body)


def context(http: Recorded, **credentials: str) -> FetchContext:
    return FetchContext(cast(HttpClient, http), Retries(1), credentials)


def source(uri: str = "models:/risk/2", **more: str) -> dict[str, str]:
    return {"server": SERVER, "uri": uri, **more}


def refusal(given: dict[str, str], *answers: Any) -> StoreError:
    with pytest.raises(StoreError) as caught:
        mlflow.open(given, context(Recorded(*answers))).read("card.json", 9)
    return caught.value


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/risk/Production", "is a stage; MLflow gave stages up"),
        ("models:/risk/latest", "is a stage; MLflow gave stages up"),
        ("models:/risk/v2", "'v2' is not the number of a version; an alias is NAME@ALIAS"),
        ("models:/risk", "must be models:/NAME/NUMBER, models:/NAME@ALIAS or models:/m-ID"),
        ("models:/risk/2/card.json", "must be models:/NAME/NUMBER"),
        ("models:/m-12", "must be models:/NAME/NUMBER"),
        ("runs:/12/model", "must be models:/NAME/NUMBER"),
        ("", "must be models:/NAME/NUMBER"),
    ],
)
def test_a_uri_of_another_form_is_refused_before_anybody_is_asked(uri: str, message: str) -> None:
    error = refusal(source(uri))
    assert error.reason == FETCH_FAILED
    assert error.message.startswith("spec.model.source.mlflow.uri: ")
    assert message in error.message


@pytest.mark.parametrize(
    "server", ["mlflow.example", "ftp://mlflow.example", "https://", "https://me:x@mlflow.example"]
)
def test_a_server_of_another_form_is_refused(server: str) -> None:
    error = refusal({"server": server, "uri": "models:/risk/2"})
    assert error.message.startswith("spec.model.source.mlflow.server: ")
    assert "me:x" not in error.message


@pytest.mark.parametrize(
    ("uri", "path", "url"),
    [
        ("mlflow-artifacts:/0/ab/artifacts/model", "", f"{FILES}/0/ab/artifacts/model"),
        ("mlflow-artifacts:/0/a b/", "/x/", f"{FILES}/0/a%20b/x"),
        ("mlflow-artifacts://mlflow.example/0/ab", "", f"{FILES}/0/ab"),
        (f"{FILES}/0/ab", "x", f"{FILES}/0/ab/x"),
    ],
)
def test_files_that_the_server_hands_out_are_asked_for_there(uri: str, path: str, url: str) -> None:
    http = Recorded({"artifact_uri": uri}, b"{}")
    reader = mlflow.open(source(path=path), context(http, token="T"))
    assert reader.read("card.json", 9) == b"{}"
    where = f"{API}/mlflow/model-versions/get-download-uri?name=risk&version=2"
    assert http.asked == [(where, "Bearer T"), (f"{url}/card.json", "Bearer T")]


def test_names_may_have_blanks() -> None:
    http = Recorded(
        {"model_version": {"version": "7"}}, {"artifact_uri": "mlflow-artifacts:/0"}, b"{}"
    )
    mlflow.open(source("models:/ward%20risk@the%20best"), context(http))
    assert [url.rpartition("/")[2] for url, _ in http.asked] == [
        "alias?name=ward+risk&alias=the+best", "get-download-uri?name=ward+risk&version=7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "kind"), [("s3://models/risk/v2", "s3"), ("gs://models/risk/v2", "gcs")]
)
def test_files_in_a_store_are_read_there(
    uri: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[sources.Place] = []
    monkeypatch.setattr(sources.Place, "open", lambda place, _: opened.append(place))
    mlflow.open(source(path="model"), context(Recorded({"artifact_uri": uri})))
    assert opened == [sources.Place(kind, {"bucket": "models", "prefix": "risk/v2/model"})]


@pytest.mark.parametrize(
    "uri",
    [
        "/srv/mlruns/0/ab", "file:///srv/mlruns", "dbfs:/models", "mlflow-artifacts://else.where/0",
        "https://else.where/api/2.0/mlflow-artifacts/artifacts/0", "wasbs://c@a.example/risk",
        "s3://", "s3://models", "s3:../models",
    ],
)  # fmt: skip
def test_files_anywhere_else_are_refused_with_the_fix(uri: str) -> None:
    error = refusal(source(), {"artifact_uri": uri})
    assert error.reason == FETCH_FAILED
    assert "start the server with --serve-artifacts and register the model again" in error.message


def test_any_other_failure_is_told_as_it_is() -> None:
    failed = StoreError(FETCH_FAILED, "no answer")
    assert refusal(source(), {"artifact_uri": "mlflow-artifacts:/0"}, failed) is failed


@pytest.mark.parametrize("answer", [b"<html>", b"[]", {}, {"model_version": 1}, b"[" * 200_000])
@pytest.mark.parametrize("uri", ["models:/risk/2", "models:/risk@best", "models:/m-" + "a" * 32])
def test_what_is_not_mlflow_is_told(answer: Any, uri: str) -> None:
    error = refusal(source(uri), answer)
    assert error.reason == FETCH_FAILED
    assert "does not answer as MLflow does; check spec.model.source.mlflow.server" in error.message


def test_an_alias_is_resolved_to_what_it_means_now() -> None:
    http = Recorded(
        {"model_version": {"version": "7"}},
        {"artifact_uri": "mlflow-artifacts:/0"},
        b'{"model_version": "v2"}',
    )
    digest = "sha256:" + hashlib.sha256(b'{"model_version": "v2"}').hexdigest()
    assert mlflow.resolve(source("models:/ward%20risk@best"), context(http)) == mlflow.Resolved(
        "models:/ward%20risk/7", "ward risk", "7", digest, "v2"
    )


@pytest.mark.parametrize("card", [b"<html>", b"[]", b"{}", b"1"])
def test_what_is_no_card_is_not_resolved(card: bytes) -> None:
    http = Recorded({"artifact_uri": "mlflow-artifacts:/0"}, card)
    with pytest.raises(StoreError, match=r"card\.json has no model_version") as caught:
        mlflow.resolve(source(), context(http))
    assert caught.value.reason == REJECTED


def test_a_missing_file_says_which_field_names_the_folder() -> None:
    missing = StoreError(NOT_FOUND, "GET x: HTTP 404")
    error = refusal(source(), {"artifact_uri": "mlflow-artifacts:/0"}, missing)
    assert error.message.startswith("GET x: HTTP 404; models:/risk/2 must hold the files")
