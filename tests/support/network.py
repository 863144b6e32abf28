"""Network namespaces for tests: which families of addresses a machine has."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

IPV4, IPV6 = "192.0.2.7", "2001:db8::7"
"""Addresses of the machine beside those of loopback."""
_NEW_NETWORK = 0x40000000
_SYSCTL = Path("/proc/sys/net/ipv6")
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def network(*, ipv4: bool = True, ipv6: bool = True, bindv6only: bool = False) -> Iterator[None]:
    """Have this thread, and the processes that it starts, in a network of their own.

    Without ``ipv6`` it is switched off as administrators do, by sysctl; without ``ipv4`` there is
    no such address.
    """
    if not _SYSCTL.exists():
        pytest.skip("this kernel has no IPv6 (no /proc/sys/net/ipv6)")
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        try:
            _call(_LIBC.unshare, _NEW_NETWORK)
        except PermissionError as error:
            pytest.skip(f"only root, and not in every container, may make a network: {error}")
        try:
            _configure(ipv4, ipv6, bindv6only)
            yield
        finally:
            _call(_LIBC.setns, before.fileno(), _NEW_NETWORK)


def need_ipv6() -> None:
    """Skip the test where this machine has no IPv6 address, as containers by default."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no address ::1: {error}")


def _configure(ipv4: bool, ipv6: bool, bindv6only: bool) -> None:
    for name, value in (
        ("conf/all/disable_ipv6", not ipv6),
        ("conf/default/disable_ipv6", not ipv6),
        ("bindv6only", bindv6only),
    ):
        try:
            (_SYSCTL / name).write_text(str(int(value)))
        except OSError as error:
            pytest.skip(f"IPv6 of a network cannot be configured here: {error}")
    _ip("link", "set", "lo", "up")
    if ipv4:
        _ip("address", "add", f"{IPV4}/32", "dev", "lo")
    else:
        _ip("address", "delete", "127.0.0.1/8", "dev", "lo")
    if ipv6:
        _ip("address", "add", f"{IPV6}/128", "dev", "lo", "nodad")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _call(function: object, *arguments: int) -> None:
    if function(*arguments) != 0:  # type: ignore[operator]
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
