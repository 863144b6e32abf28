"""A small HTTP server in place of predictor pods, for what the operator reads from them: the files
of their models, and anything else that a test gives it.

Fake nodes start pods without running them. The pods are given the server's address, which is one of
loopback, where the operator under test runs as well.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from unit.operator.models import digest_of

from riskpredictor_operator.core.api import CONFIG_MAP, CONTAINER_PORT, POD
from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api, Body, eventually

_NUMBERS = itertools.count(os.getpid() * 1000)


def _next_address() -> str:
    """A loopback address that no other test uses, most likely: the port is the predictor's."""
    number = next(_NUMBERS)
    return f"127.{1 + number // 62_500 % 250}.{number // 250 % 250}.{1 + number % 250}"


def declared(files: Mapping[str, bytes], **source: Any) -> dict[str, Any]:
    """The fields of a spec for a model: where it is (else at some address), and its version."""
    place = source or {"http": {"url": "https://models.example.com/risk/"}}
    version = json.loads(files["card.json"])["model_version"]
    return {"modelVersion": version, "model": {"digest": digest_of(files), "source": place}}


class PodServer(ThreadingHTTPServer):
    """Answers for a predictor at its port, on an address of its own."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes], candidate: Mapping[str, bytes]) -> None:
        super().__init__((_next_address(), CONTAINER_PORT), _Handler)
        self.files = files
        self.candidate = candidate
        """Files of the candidate."""
        self.answers: dict[str, bytes | Callable[[], bytes]] = {}
        """What is answered to other paths, such as ``/rollout``."""
        self.hangs = threading.Event()
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: PodServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.hangs.is_set():
            while self.server.hangs.wait(0.1) and self.server.hangs.is_set():
                pass
        folder, _, name = self.path.rpartition("/")
        held = {"/model/files": self.server.files, "/model/candidate/files": self.server.candidate}
        content = held.get(folder, {}).get(name, self.server.answers.get(self.path))
        if callable(content):
            content = content()
        self.send_response(200 if content is not None else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(
    files: Mapping[str, bytes], candidate: Mapping[str, bytes] | None = None
) -> Iterator[PodServer]:
    """A server in place of pods, with the files of their model and of their candidate."""
    server = PodServer(files, candidate or {})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.hangs.clear()
        server.shutdown()
        thread.join()
        server.server_close()


def pods_of(api: Api, key: Key) -> list[Body]:
    """The pods of the namespace that are not on their way out."""
    found = api.items(POD, key.namespace)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def lead_to(api: Api, key: Key, server: PodServer) -> None:
    """Give the pods of the namespace the server's address."""
    address = server.server_address[0]
    for pod in pods_of(api, key):
        name = Key(key.namespace, pod["metadata"]["name"])
        status = {"podIP": address, "podIPs": [{"ip": address}]}
        api.patch(POD, name, {"status": status}, sub="status")


def copy_of(api: Api, key: Key, files: Mapping[str, bytes]) -> Body | None:
    """The ConfigMap with the copy of a model, if there is one."""
    digest = digest_of(files)
    return api.get(CONFIG_MAP, Key(key.namespace, f"{key.name}-model-{digest[7:19]}"))


def until(api: Api, key: Key, state: str, within: float = 60.0) -> Body:
    """Wait for what the status says of the copy; the status."""

    def said() -> Body | None:
        status: Body = api.need(RISKPREDICTOR, key)["status"]
        return status if status.get("model", {}).get("copy", "") == state else None

    found = eventually(said, within=within, what=f"{key}: copy {state}")
    assert found is not None
    return found
