"""Which addresses the real server answers at, on machines with one family or both."""

from __future__ import annotations

import asyncio
import re
import socket
import urllib.error
from contextlib import suppress
from typing import Any, cast

import pytest
from unit.predictor.support import HEALTHY, ServerProcess, service

from riskpredictor_server.asgi import Application
from riskpredictor_server.http.addresses import listen
from riskpredictor_server.http.protocol import Connection
from riskpredictor_server.http.server import Server
from support.api import eventually
from support.network import IPV4, IPV6, network
from support.rawhttp import get

DUAL = {"ipv4": True, "ipv6": True}
IPV4_ONLY = {"ipv4": True, "ipv6": False}
IPV6_ONLY = {"ipv4": False, "ipv6": True}
V6ONLY_SOCKETS = {**DUAL, "bindv6only": True}
LOOPBACK4, LOOPBACK6 = "127.0.0.1", "[::1]"
FOUR, SIX = {LOOPBACK4, IPV4}, {LOOPBACK6, f"[{IPV6}]"}


@pytest.mark.parametrize(
    ("machine", "host", "answered", "told"),
    [
        (DUAL, None, {LOOPBACK4, LOOPBACK6}, "http://127.0.0.1:{port} and http://[::1]:{port}"),
        (DUAL, "::", FOUR | SIX, "http://[::]:{port}"),
        (DUAL, "[::]", FOUR | SIX, "http://[::]:{port}"),
        (DUAL, "0.0.0.0", FOUR, "http://0.0.0.0:{port}"),
        (DUAL, "[::1]", {LOOPBACK6}, "http://[::1]:{port}"),
        (DUAL, IPV6, {f"[{IPV6}]"}, f"http://[{IPV6}]:{{port}}"),
        (DUAL, IPV4, {IPV4}, f"http://{IPV4}:{{port}}"),
        (DUAL, f"::ffff:{IPV4}", {IPV4}, f"http://{IPV4}:{{port}}"),
        (V6ONLY_SOCKETS, "::", FOUR | SIX, "http://[::]:{port}"),
        (IPV4_ONLY, "::", FOUR, "http://[::]:{port}"),
        (IPV4_ONLY, None, {LOOPBACK4}, "http://127.0.0.1:{port}"),
        (IPV6_ONLY, "::", SIX, "http://[::]:{port}"),
        (IPV6_ONLY, None, {LOOPBACK6}, "http://[::1]:{port}"),
    ],
    ids=[
        "default", "every address", "in brackets", "every IPv4 address", "IPv6 loopback",
        "an IPv6 address", "an IPv4 address", "an IPv4 address in IPv6", "bindv6only",
        "IPv6 switched off", "IPv6 switched off, default", "no IPv4", "no IPv4, default",
    ],
)  # fmt: skip
def test_it_answers_at_the_addresses_that_the_machine_has(
    machine: dict[str, bool], host: str | None, answered: set[str], told: str
) -> None:
    with (
        network(**machine),
        ServerProcess(address=min(answered), host=host)
        if host
        else ServerProcess(address=min(answered)) as server,
    ):
        assert {at for at in FOUR | SIX if _answers(server, at)} == answered
        eventually(lambda: "listening on" in server.log())
        assert re.findall(r"listening on (.*)", server.log()) == [told.format(port=server.port)]


def _answers(server: ServerProcess, address: str) -> bool:
    server.url = f"http://{address}:{server.port}"
    try:
        return server.post("/predict", HEALTHY).status == 200
    except urllib.error.URLError:
        return False


async def test_an_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address(has_ipv6: None) -> None:
    """Also for the application, and whatever the client claims in X-Forwarded-For."""
    scopes: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        scopes.append(scope)

    app.service = service()  # type: ignore[attr-defined]
    server = Server(cast(Application, app))
    server.config.load()
    (sock,) = listen("::", 0)
    port = sock.getsockname()[1]
    listening = await asyncio.get_running_loop().create_server(
        lambda: Connection(server.config, server.server_state, app_state={}), sock=sock
    )
    async with listening:
        for address in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(address, port)
            writer.write(get("/health", "X-Forwarded-For: 203.0.113.9"))
            await asyncio.to_thread(eventually, lambda address=address: _client(scopes) == address)
            assert scopes[-1]["server"] == (address, port)
            assert scopes[-1]["client"] == writer.get_extra_info("sockname")[:2]
            # The application never answers, so neither side ends by itself.
            for connection in server.server_state.connections:
                connection.transport.abort()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
    await asyncio.to_thread(eventually, lambda: not server.server_state.connections)


def _client(scopes: list[Any]) -> str:
    return str(scopes[-1]["client"][0]) if scopes else ""


def test_a_redirect_of_a_client_without_host_header_has_brackets(has_ipv6: None) -> None:
    with (
        ServerProcess(host="::1", address="[::1]") as server,
        socket.create_connection(("::1", server.port)) as sock,
    ):
        sock.sendall(get("/v2//health/live", version="1.0", host=False))
        head = b"".join(iter(lambda: sock.recv(65536), b"")).split(b"\r\n\r\n")[0].decode()
    assert f"location: http://[::1]:{server.port}/v2/health/live" in head.lower()
