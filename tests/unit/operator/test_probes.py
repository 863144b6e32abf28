"""Specification of the server of probes and metrics; tests/contract asks it for each path."""

from __future__ import annotations

import errno
import logging
import socket
import subprocess
import sys
from typing import Any

import aiohttp
import pytest
from unit.operator.builders import KEY

from riskpredictor_operator import metrics
from riskpredictor_operator.runtime.probes import ProbeServer
from riskpredictor_operator.settings import Settings
from support.cluster import ROOT
from support.network import need_ipv6


async def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = ProbeServer("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await server.start()
        await server.stop()


ASK_BOTH = """
import asyncio, sys
from unit.operator import test_probes
asyncio.run(test_probes.tell_who_answers(sys.argv[1]))
"""
NETWORKS = {
    "both families": ("true", ["127.0.0.1", "::1"]),
    "IPv6 only": ("ip addr del 127.0.0.1/8 dev lo", ["::1"]),
    "IPv6 switched off": ("sysctl -qw net.ipv6.conf.all.disable_ipv6=1", ["127.0.0.1"]),
}


async def tell_who_answers(host: str) -> None:
    """Print the loopback addresses at which the probes of a server at ``host`` answer."""
    server = ProbeServer(host, 8080)
    await server.start()
    async with aiohttp.ClientSession() as client:
        for address in ("127.0.0.1", "[::1]"):
            try:
                async with client.get(f"http://{address}:8080/healthz") as answer:
                    assert await answer.text() == "ok\n"
                print(address.strip("[]"))
            except aiohttp.ClientConnectionError:
                pass
    await server.stop()


@pytest.mark.parametrize("network", NETWORKS)
def test_the_default_address_is_every_one_that_the_network_has(network: str) -> None:
    """In a network namespace of the kernel's, which needs no root."""
    change, answering = NETWORKS[network]
    script = f'set -e; ip link set lo up; {change}; exec "$@"'
    host = Settings().http_host
    unshare = ["unshare", "-rn"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True, text=True, timeout=60)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace may be made here: {error.stderr.strip()}")
    done = subprocess.run(
        [*unshare, "sh", "-c", script, "sh", sys.executable, "-c", ASK_BOTH, host],
        cwd=ROOT / "tests", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == answering, done.stderr


@pytest.mark.parametrize(
    "fault", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL], ids=errno.errorcode.get
)
async def test_on_a_kernel_without_ipv6_it_is_every_one_of_ipv4(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: int
) -> None:
    create = socket.create_server

    def without_ipv6(address: Any, **options: Any) -> socket.socket:
        if options.get("family") == socket.AF_INET6:
            raise OSError(fault, "no IPv6")
        return create(address, **options)

    monkeypatch.setattr(socket, "create_server", without_ipv6)
    caplog.set_level(logging.INFO)
    server = ProbeServer("::", 0)
    await server.start()
    await server.stop()
    assert "http://0.0.0.0:" in caplog.text


@pytest.mark.parametrize(
    ("host", "url"),
    [("::", "http://[::]:"), ("::1", "http://[::1]:"), ("127.0.0.1", "http://127.0.0.1:")],
)
async def test_the_log_has_the_address_as_a_url(
    host: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    if ":" in host:
        need_ipv6()
    caplog.set_level(logging.INFO)
    server = ProbeServer(host, 0)
    await server.start()
    await server.stop()
    assert url in caplog.text


def test_a_predictor_that_is_gone_is_no_longer_reported() -> None:
    metrics.READY.labels("shop", "risk").set(1)
    metrics.SUSPENDED.labels("shop", "risk").set(0)
    metrics.forget_predictor(KEY)
    metrics.forget_predictor(KEY)
    assert ("shop", "risk") not in metrics.READY._metrics
    assert ("shop", "risk") not in metrics.SUSPENDED._metrics
