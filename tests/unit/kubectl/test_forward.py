"""What kubectl port-forward prints, understood."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import cast

import pytest
from unit.kubectl import bodies

from riskpredictor_kubectl import forward
from riskpredictor_kubectl.client import Client, Target
from riskpredictor_kubectl.errors import PluginError


class _Cluster:
    """A client with a kubectl that prints this text."""

    namespace = "ward"

    def __init__(self, folder: Path, text: str) -> None:
        program = folder / "kubectl"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.target = Target(kubectl=str(program))

    def predictor(self, *_: str) -> bodies.Body:
        return bodies.ready()

    def find(self, _: str) -> bodies.Body:
        return bodies.service()


def _url(folder: Path, text: str) -> str:
    with forward.forwarding(cast("Client", _Cluster(folder, text)), "risk") as forwarding:
        return forwarding.url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("Forwarding from 127.0.0.1:4711 -> 5000\nForwarding from [::1]:4711 -> 5000",
         "http://127.0.0.1:4711"),
        ("Forwarding from 127.0.0.1:4711 -> 5000", "http://127.0.0.1:4711"),
        ("Forwarding from [::1]:4711 -> 5000", "http://[::1]:4711"),
    ],
    ids=["both families", "IPv4 only", "IPv6 only"],
)  # fmt: skip
def test_the_address_is_of_a_family_that_this_machine_has(
    tmp_path: Path, text: str, url: str
) -> None:
    assert _url(tmp_path, text) == url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("error: unable to forward port because pod is not running. Current status=Pending",
         "no pod of risk can be reached"),
        ("error: unable to listen on any of the requested ports: [{80 5000}]",
         "kubectl port-forward: unable to listen"),
    ],
)  # fmt: skip
def test_an_error_of_kubectl_is_told(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        _url(tmp_path, text)
