"""A web server with a certificate of an authority of its own, which asks for a password."""

from __future__ import annotations

import base64
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.stores import Source
from support.stores.server import Authority, host

USERNAME, PASSWORD = "predictor", "a-secret-of-a-test"
DATED = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
"""What an object store always tells."""
Misbehaviour = Callable[["Handler"], None]
"""What the server does instead of answering with a file."""


@dataclass
class _Site:
    root: Path
    next: list[Misbehaviour] = field(default_factory=list)
    """What becomes of the next requests."""
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    """Path and header fields of each; the names in lower case."""
    guarded: bool = True


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    site: _Site

    def do_GET(self) -> None:
        """Answer with a file, or misbehave."""
        fields = {name.lower(): value for name, value in self.headers.items()}
        self.site.requests.append((self.path, fields))
        if self.site.next:
            self.site.next.pop(0)(self)
            return
        wanted = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if self.site.guarded and fields.get("authorization") != wanted:
            self.answer(401, b"who are you?", {"WWW-Authenticate": "Basic"})
            return
        file = self.site.root / self.path.partition("?")[0].lstrip("/")
        if not file.is_file():
            self.answer(404, f"there is no {self.path}".encode())
            return
        self.whole_or_rest(file.read_bytes(), fields)

    def do_POST(self) -> None:
        """Take the body, and answer as to a GET."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def whole_or_rest(self, data: bytes, fields: Mapping[str, str]) -> None:
        """A file, or the range that was asked for."""
        tag = f'"{sha256(data).hexdigest()[:12]}"'
        if "range" in fields and fields.get("if-range") == tag:
            start = int(fields["range"].removeprefix("bytes=").rstrip("-"))
            span = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            self.answer(206, data[start:], {"ETag": tag, **DATED, **span})
        else:
            self.answer(200, data, {"ETag": tag, **DATED})

    def answer(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, cut: int = 0
    ) -> None:
        """Send an answer, ``cut`` bytes of it missing at the end, and then hang up."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - cut])
        self.close_connection = bool(cut)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: that a client gives up is what tests are about."""


class WebServer:
    """The server; misbehaves when it is told to."""

    def __init__(self, address: str, home: Path, secure: bool = True, port: int = 0) -> None:
        self.root = home / "site"
        self.root.mkdir(parents=True)
        self.site = _Site(self.root)
        self.credentials: Mapping[str, str] = {"username": USERNAME, "password": PASSWORD}
        self.authority: Path | None = None
        handler = type("SiteHandler", (Handler,), {"site": self.site})
        self._server = _QuietServer((address, port), handler)
        self._server.daemon_threads = True
        if secure:
            authority = Authority(home / "authority")
            self.authority = authority.file
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*authority.certificate(address, "localhost"))
            # The connection's thread does the handshake, so that one client holds up no other.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if secure else "http"
        self.url = f"{scheme}://{host(address)}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    def put(self, folder: Path) -> Source:
        """See ``Store``."""
        shutil.copytree(folder, self.root / "risk" / "v2", dirs_exist_ok=True)
        return {"http": {"url": f"{self.url}/risk/v2/"}}

    def absent(self) -> Source:
        """See ``Store``."""
        return {"http": {"url": f"{self.url}/risk/nowhere/"}}

    def misbehave(self, *next_requests: Misbehaviour) -> None:
        """Say what becomes of the next requests."""
        self.site.next[:] = next_requests

    def stop(self) -> None:
        """See ``Store``."""
        self._server.shutdown()
        self._server.server_close()


def refuse(status: int, body: bytes = b"", **headers: str) -> Misbehaviour:
    """Answer with a status."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.answer(status, body, fields)


def truncate(data: bytes, missing: int, headers: Mapping[str, str] | None = None) -> Misbehaviour:
    """Send all of it but the last ``missing`` bytes, and hang up."""
    return lambda handler: handler.answer(200, data, headers, cut=missing)


def stall(data: bytes, seconds: float, headers: Mapping[str, str] | None = None) -> Misbehaviour:
    """Send the head and half of the body, then nothing more."""

    def misbehave(handler: Handler) -> None:
        handler.send_response(200)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data[: len(data) // 2])
        handler.wfile.flush()
        time.sleep(seconds)
        handler.close_connection = True

    return misbehave


def dribble(handler: Handler) -> None:
    """Send a header field byte by byte, without end, until the client hangs up."""
    handler.send_response(200)
    handler.flush_headers()
    while True:
        handler.wfile.write(b"X")
        time.sleep(0.1)


@contextmanager
def serve(address: str, home: Path) -> Iterator[WebServer]:
    """Run the server by HTTPS."""
    store = WebServer(address, home)
    try:
        yield store
    finally:
        store.stop()
