"""A client that sends exactly the bytes that it is given, and reads answers one by one."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple, Self


class Answer(NamedTuple):
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class RawClient:
    """One connection; a context manager."""

    def __init__(self, port: int, receive_buffer: int = 0, timeout: float = 20) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> Self:
        self.sock.sendall(data)
        return self

    def answer(self, *, bodiless: bool = False) -> Answer:
        """The next one; EOFError if the connection ends before or in it."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        line, *fields = head.removesuffix("\r\n\r\n").split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), f"a header came twice: {head}"
        status = int(line.split(" ")[1])
        size = 0 if bodiless or status < 200 else int(headers.get("content-length", 0))
        while len(self._buffer) < size:
            self._more()
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return Answer(status, headers, body)

    def ended(self) -> bool:
        """Whether the server closed without another byte."""
        try:
            return not self._buffer and self.sock.recv(65536) == b""
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """Leave without a good-bye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._more()
        found, _, self._buffer = self._buffer.partition(end)
        return found + end

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(f"the connection ended after {self._buffer!r}")
        self._buffer += data


def get(path: str, *fields: str, version: str = "1.1", host: bool = True) -> bytes:
    """The bytes of a GET."""
    return request("GET", path, *fields, version=version, host=host)


def request(
    method: str,
    path: str,
    *fields: str,
    body: bytes | None = None,
    version: str = "1.1",
    host: bool = True,
) -> bytes:
    """The bytes of a request, with its length if it has a body."""
    lines = [f"{method} {path} HTTP/{version}", *(["Host: x"] if host else []), *fields]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
