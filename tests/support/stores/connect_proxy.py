"""An HTTP proxy that tunnels (CONNECT), to whatever host one asks for, to one address."""

from __future__ import annotations

import base64
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ConnectProxy:
    """The proxy; it resolves every name to ``target``."""

    def __init__(self, target: str, user: str = "") -> None:
        """``user``, if given, is the ``name:password`` that it asks for."""
        self.tunnels: list[str] = []
        """HOST:PORT of each request."""
        wanted = "Basic " + base64.b64encode(user.encode()).decode()
        tunnels = self.tunnels

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                tunnels.append(self.path)
                if user and self.headers.get("Proxy-Authorization") != wanted:
                    self.send_error(407)
                    return
                port = int(self.path.rpartition(":")[2])
                with socket.create_connection((target, port)) as upstream:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.flush()
                    _copy_both(self.connection, upstream)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{user + '@' if user else ''}127.0.0.1:{self._server.server_port}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


def _copy_both(one: socket.socket, other: socket.socket) -> None:
    across = {one: other, other: one}
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65_536)
            if not data:
                return
            across[ready].sendall(data)


@contextmanager
def tunnelling(target: str, user: str = "") -> Iterator[ConnectProxy]:
    """Run a proxy for the length of a block."""
    proxy = ConnectProxy(target, user)
    try:
        yield proxy
    finally:
        proxy.stop()
