"""Versions in MLflow's own server, registered by MLflow's own client."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from unit.predictor.support import artifact

from riskpredictor_server.store import mlflow
from riskpredictor_server.store.errors import FETCH_FAILED, NOT_FOUND, StoreError
from riskpredictor_server.store.http import HttpClient
from riskpredictor_server.store.retry import Retries
from riskpredictor_server.store.transport import FetchContext
from support.stores.mlflow import MLflow, serve

FILES = ("card.json", "scorer.json", "model.joblib")
LIMIT = 1 << 20


@dataclass(frozen=True)
class Registered:
    """A server with two versions of the model ``risk``."""

    server: MLflow
    logged: str
    """Of version 2, ``models:/m-ID``; version 1 was made of a run's files."""

    def read(self, uri: str, path: str = "", name: str = "card.json") -> bytes:
        source = self.server.source(uri, **({"path": path} if path else {}))["mlflow"]
        return mlflow.open(source, self.context()).read(name, LIMIT)

    def context(self, credentials: Mapping[str, str] | None = None) -> FetchContext:
        retries = Retries(60)
        given = self.server.credentials if credentials is None else credentials
        return FetchContext(HttpClient(retries, self.server.authority), retries, given)

    def refusal(self, uri: str, path: str = "") -> tuple[str, str]:
        """Reason and message."""
        with pytest.raises(StoreError) as caught:
            self.read(uri, path)
        return caught.value.reason, caught.value.message


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    with serve("127.0.0.1", tmp_path_factory.mktemp("mlflow")) as server:
        _, (_, logged) = server.register(artifact("v1"), "run", "model")
        yield Registered(server, logged)


@pytest.mark.parametrize("uri", ["models:/risk/1", "models:/risk/2", "models:/risk@champion"])
def test_a_version_is_read_by_number_and_by_alias(uri: str, registered: Registered) -> None:
    source = registered.server.source(uri)["mlflow"]
    reader = mlflow.open(source, registered.context())
    for name in FILES:
        assert reader.read(name, LIMIT) == (artifact("v1") / name).read_bytes()


def test_a_logged_model_is_read_by_its_id(registered: Registered) -> None:
    assert registered.logged.startswith("models:/m-")
    assert registered.read(registered.logged) == (artifact("v1") / "card.json").read_bytes()


def test_an_alias_is_resolved_to_a_number_and_a_digest(registered: Registered) -> None:
    digest = hashlib.sha256((artifact("v1") / "card.json").read_bytes()).hexdigest()
    source = registered.server.source("models:/risk@champion")["mlflow"]
    assert mlflow.resolve(source, registered.context()) == mlflow.Resolved(
        "models:/risk/2", "risk", "2", f"sha256:{digest}", "v1"
    )


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("models:/nowhere/1", "Model Version (name=nowhere, version=1) not found"),
        ("models:/risk/9", "Model Version (name=risk, version=9) not found"),
        ("models:/risk@nobody", "Registered model alias nobody not found"),
        ("models:/nowhere@nobody", "Registered Model with name=nowhere not found"),
        ("models:/m-" + "0" * 32, "Logged model with ID"),
    ],
)
def test_what_is_not_there_is_not_found_in_mlflows_words(
    uri: str, words: str, registered: Registered
) -> None:
    reason, message = registered.refusal(uri)
    assert reason == NOT_FOUND
    assert words in message


def test_files_in_another_folder_are_not_found_with_the_fix(registered: Registered) -> None:
    reason, message = registered.refusal("models:/risk/1", "elsewhere")
    assert reason == NOT_FOUND
    assert "elsewhere/card.json" in message
    assert "name that in spec.model.source.mlflow.path" in message


def test_a_wrong_password_is_refused_in_mlflows_words(registered: Registered) -> None:
    source = registered.server.source("models:/risk/1")["mlflow"]
    for wrong in ({}, {"username": "predictor", "password": "not-the-password"}):
        with pytest.raises(StoreError) as caught:
            mlflow.open(source, registered.context(wrong))
        assert caught.value.reason == FETCH_FAILED
        assert "HTTP 401" in caught.value.message
        assert "check spec.model.credentialsSecret" in caught.value.message


def test_a_file_that_mlflow_lost_is_not_found(registered: Registered, tmp_path: Path) -> None:
    [card] = registered.server.artifacts.glob("0/models/*/artifacts/card.json")
    kept = card.rename(tmp_path / "card.json")
    try:
        reason, message = registered.refusal(registered.logged)
    finally:
        kept.rename(card)
    assert (reason, "No such artifact" in message) == (NOT_FOUND, True)
