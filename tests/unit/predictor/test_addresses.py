"""Sockets on machines that cannot be made here: without IPv6 in the kernel, names of any kind."""

from __future__ import annotations

import errno
import logging
import os
import socket
from typing import Any

import pytest

from riskpredictor_server.http.addresses import ListenError, as_ipv4, listen


@pytest.fixture
def without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that was started with ipv6.disable=1."""

    class Socket(socket.socket):
        def __init__(self, family: int = -1, *arguments: Any, **more: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            super().__init__(family, *arguments, **more)

    monkeypatch.setattr(socket, "socket", Socket)


@pytest.mark.parametrize(("host", "address"), [("::", "0.0.0.0"), ("localhost", "127.0.0.1")])
def test_a_kernel_without_ipv6_gets_the_same_of_ipv4(
    without_ipv6: None, host: str, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (sock,) = listen(host, 0)
    with sock:
        assert sock.getsockname()[0] == address
    (line,) = caplog.messages
    assert line.startswith("cannot listen on [::")
    assert line.endswith("Address family not supported by protocol")


def test_an_ipv6_address_without_ipv6_is_refused(without_ipv6: None) -> None:
    with pytest.raises(ListenError, match=r"cannot listen on \[::1\]:5000: Address family not"):
        listen("::1", 5000)


def _name_of(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[int, str]) -> None:
    found = [
        (family, socket.SOCK_STREAM, 6, "", (address, 0, 0, 0)[: 4 if ":" in address else 2])
        for family, address in addresses
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_a_name_stands_for_all_of_its_addresses(
    has_ipv6: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of another machine is left out, and an address found twice is one."""
    _name_of(
        monkeypatch, (socket.AF_INET6, "::1"), (socket.AF_INET, "192.0.2.99"),
        (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.1"),
    )  # fmt: skip
    found = listen("predictor", 0)
    assert [sock.getsockname()[0] for sock in found] == ["::1", "127.0.0.1"]
    for sock in found:
        sock.close()


def test_a_port_that_is_taken_in_one_family_is_refused(has_ipv6: None) -> None:
    """Or each family would have another server's answers."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError, match=rf"cannot listen on \[::1\]:{port}: Address already"):
            listen("localhost", port)
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:0:192.0.2.1", "::ffff:0:192.0.2.1"),
        ("::1", "::1"),
    ],
)
def test_only_an_ipv4_address_in_ipv6_is_written_as_ipv4(address: str, written: str) -> None:
    assert as_ipv4(address) == written
