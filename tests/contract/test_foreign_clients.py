"""Clients in four languages with their defaults, nginx and HAProxy: each as people have them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from unit.predictor.support import HEALTHY, ServerProcess, free_port

from support import debian, fronts
from support.cluster import ROOT

CLIENTS = ROOT / "tests" / "support" / "clients"
FRONTS = ("none", "nginx", "HAProxy")
REPEATS = 20


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(keepalive_requests="0") as running:
        yield running


@pytest.fixture(scope="module")
def addresses(
    server: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Where the predictor is reached, by what is in front of it."""
    with ExitStack() as stack:
        found = {"none": server.url}
        for name, front in (("nginx", fronts.nginx), ("HAProxy", fronts.haproxy)):
            running = front(tmp_path_factory.mktemp(name), free_port(), server.port)
            found[name] = stack.enter_context(running)
        yield found


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sequence[str]]:
    """How each language's client is run."""
    built = str(tmp_path_factory.mktemp("built"))
    java = debian.ensure("java", "default-jdk-headless")
    # With the flags of the other Go builds, whose cache has the standard library.
    go = [debian.ensure("go", "golang-go"), "build", "-trimpath", "-o", f"{built}/client"]
    for command in (
        [*go, str(CLIENTS / "client.go")],
        [debian.ensure("javac", "default-jdk-headless"), "-d", built, str(CLIENTS / "Client.java")],
    ):
        subprocess.run(command, check=True, env={**os.environ, "CGO_ENABLED": "0"})
    return {
        "Go": [f"{built}/client"],
        "Java": [java, "-cp", built, "Client"],
        "Node": [debian.ensure("node", "nodejs"), str(CLIENTS / "client.mjs")],
        "Python": [sys.executable, str(CLIENTS / "client.py")],
    }


def sockets(port: int) -> int:
    """How many connections to a port there are, and were in the last minute (TIME_WAIT)."""
    wanted, listening = f"0100007F:{port:04X}", "0A"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(wanted in line[1:3] and line[3] != listening for line in lines)


def ask(command: Sequence[str], url: str, bodies: Sequence[Any]) -> list[tuple[int, Any]]:
    """Statuses and documents of requests that one client sends in turn."""
    lines = "".join(json.dumps(body) + "\n" for body in bodies)
    done = subprocess.run([*command, url], input=lines, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answers = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return [(int(status), json.loads(text)) for status, text in answers]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("language", ["Go", "Java", "Node", "Python"])
def test_a_client_keeps_its_connection_and_reads_answers_and_errors(
    server: ServerProcess,
    addresses: dict[str, str],
    commands: dict[str, Sequence[str]],
    language: str,
    front: str,
) -> None:
    before = sockets(server.port)
    celsius = HEALTHY | {"temperature": 37.2}
    url = f"{addresses[front]}/predict"
    *answers, (status, answer) = ask(commands[language], url, [HEALTHY] * REPEATS + [celsius])
    assert [(code, each["risk_level"]) for code, each in answers] == [(200, "Low")] * REPEATS
    # Two at most are opened: the second where the first was not free yet. Each has two ends.
    assert sockets(server.port) - before <= 4
    assert status == 422
    assert 'say so with "temperature_unit": "C"' in answer["detail"]


@pytest.mark.parametrize("front", FRONTS)
def test_the_description_of_the_api_leads_to_where_it_was_read(
    addresses: dict[str, str], front: str
) -> None:
    """Whatever prefix a proxy takes off, as API tools resolve it (RFC 3986, OpenAPI 4.8.5)."""
    read_at = f"{addresses[front]}/openapi.json"
    with urllib.request.urlopen(read_at, timeout=20) as answer:
        document = json.load(answer)
    (described,) = document["servers"]
    base = urljoin(read_at, described["url"]).rstrip("/")
    assert base == addresses[front]


@pytest.mark.parametrize("front", FRONTS)
def test_binary_tensors_pass(addresses: dict[str, str], front: str) -> None:
    vitals = triton.InferInput("vitals", [1, 4], "FP64")
    vitals.set_data_from_numpy(np.array([list(HEALTHY.values())], dtype=np.float64))
    with triton.InferenceServerClient(addresses[front].removeprefix("http://")) as client:
        result = client.infer("riskpredictor", [vitals])
        assert result.as_numpy("risk_level").tolist() == [b"Low"]
        with pytest.raises(triton.InferenceServerException, match="there is no model 'other'"):
            client.infer("other", [vitals])
