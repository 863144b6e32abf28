"""What is made of an API server's answers, and of a kubeconfig."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from riskpredictor_kubectl.client import Client, Target, contexts
from riskpredictor_kubectl.errors import PluginError, ServerError

Answers = dict[str, tuple[int, Any]]


@pytest.fixture
def answers() -> Answers:
    """Status and body by path and query; what is not in it is not found, in plain text."""
    return {}


@pytest.fixture
def config(answers: Answers, tmp_path: Path) -> Iterator[Path]:
    """Kubeconfig of a server that gives these answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, "404 page not found"))
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_PATCH(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answers["sent"] = 0, (self.headers["Content-Type"], json.loads(body))
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        path = tmp_path / "config"
        path.write_text(yaml.safe_dump(_kubeconfig(f"http://127.0.0.1:{server.server_port}")))
        yield path
        server.shutdown()
        thread.join()


def _kubeconfig(address: str) -> dict[str, Any]:
    return {
        "current-context": "ward",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [
            {"name": "ward", "context": {"cluster": "c", "user": "u", "namespace": "icu"}},
            {"name": "plain", "context": {"cluster": "c", "user": "u"}},
        ],
    }


LIST = "/apis/healthtech.dev/v1alpha1/namespaces/icu/riskpredictors"


def _said(client: Client) -> str:
    with pytest.raises(PluginError) as caught:
        client.predictor("icu", "risk")
    return str(caught.value)


def test_the_namespace_is_the_flags_or_the_contexts_or_default(config: Path) -> None:
    path = str(config)
    assert Client(Target(path)).namespace == "icu"
    assert Client(Target(path, "plain")).namespace == "default"
    assert Client(Target(path, "plain", "ward")).namespace == "ward"
    assert contexts(Target(path)) == ["ward", "plain"]


def test_a_server_without_the_crd_is_told_apart_from_a_missing_object(
    config: Path, answers: Answers
) -> None:
    client = Client(Target(str(config)))
    without = 'error: the server doesn\'t have a resource type "riskpredictors"; install'
    assert _said(client).startswith(without)
    with pytest.raises(PluginError, match="doesn't have a resource type"):
        client.predictors("icu")
    message = 'riskpredictors.healthtech.dev "risk" not found'
    answers[f"{LIST}/risk"] = 404, {"reason": "NotFound", "message": message}
    assert _said(client) == f"Error from server (NotFound): {message}"


def test_an_answer_of_something_else_is_passed_on(config: Path, answers: Answers) -> None:
    answers[f"{LIST}/risk"] = 502, "<html>Bad Gateway</html>"
    assert _said(Client(Target(str(config)))) == "Error from server: <html>Bad Gateway</html>"


def test_a_long_list_is_read_to_its_end(config: Path, answers: Answers) -> None:
    answers[f"{LIST}?limit=500"] = 200, {"items": [{"a": 1}], "metadata": {"continue": "there"}}
    answers[f"{LIST}?limit=500&continue=there"] = 200, {"items": [{"a": 2}], "metadata": {}}
    assert Client(Target(str(config))).predictors("icu") == [{"a": 1}, {"a": 2}]


def test_a_change_is_a_merge_patch(config: Path, answers: Answers) -> None:
    answers[f"{LIST}/risk"] = 200, {"kind": "RiskPredictor"}
    change = {"metadata": {"annotations": {"a": "b"}, "uid": None}}
    client = Client(Target(str(config)))
    assert client.merge_patch(f"{LIST}/risk", change) == {"kind": "RiskPredictor"}
    assert answers["sent"][1] == ("application/merge-patch+json", change)
    answers[f"{LIST}/risk"] = 409, {"reason": "Conflict", "message": "it was modified"}
    with pytest.raises(ServerError, match="it was modified") as caught:
        client.merge_patch(f"{LIST}/risk", change)
    assert caught.value.status == 409


def test_lines_come_as_they_are_even_without_an_end(config: Path, answers: Answers) -> None:
    answers["/log?follow=true"] = 200, "one\ntwo\nthr"
    assert list(Client(Target(str(config))).lines("/log", 5, follow="true")) == [
        "one", "two", "thr",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{contexts: [], clusters: [], users: []}", "has no current context"),
        ("{current-context: a, contexts: [], clusters: [], users: []}",
         'context "a" does not exist'),
        ("{current-context: a, contexts: [{name: a, context: {cluster: c}}]}", "c"),
        ("[", "kubeconfig"),
        ("", "is empty"),
    ],
)  # fmt: skip
def test_a_kubeconfig_that_says_nothing_is_an_error(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(PluginError) as caught:
        Client(Target(str(path)))
    assert said in str(caught.value)
    assert str(caught.value).startswith("error: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("excluded", ["", "127.0.0.0/8,10.0.0.0/8", "*"])
def test_no_proxy_of_the_environment_is_asked_for_a_cluster_on_this_machine(
    config: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch, excluded: str
) -> None:
    answers[f"{LIST}?limit=500"] = 200, {"items": [], "metadata": {}}
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, excluded)
    assert Client(Target(str(config))).predictors("icu") == []


def test_but_one_that_the_kubeconfig_names_is(
    config: Path, answers: Answers, tmp_path: Path
) -> None:
    """The proxy of a bastion, where the cluster's address is one of the bastion itself."""
    body = yaml.safe_load(config.read_text())
    cluster = body["clusters"][0]["cluster"]
    cluster["proxy-url"], cluster["server"] = cluster["server"], "http://127.0.0.1:1"
    path = tmp_path / "bastion"
    path.write_text(yaml.safe_dump(body))
    answers[f"http://127.0.0.1:1{LIST}?limit=500"] = 200, {"items": [], "metadata": {}}
    assert Client(Target(str(path))).predictors("icu") == []
