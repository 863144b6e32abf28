"""A reverse proxy that serves a predictor below a path, as an Ingress with a rewrite does."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DROPPED = frozenset(("host", "connection", "keep-alive", "transfer-encoding", "content-length"))


@contextmanager
def behind_prefix(target: str, prefix: str) -> Iterator[str]:
    """The address below which ``target`` answers; anything else of the proxy is a 404."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._forward(None)

        def do_POST(self) -> None:
            self._forward(self.rfile.read(int(self.headers["Content-Length"])))

        def _forward(self, body: bytes | None) -> None:
            if not self.path.startswith(prefix + "/"):
                self.send_error(404)
                return
            headers = {k: v for k, v in self.headers.items() if k.lower() not in DROPPED}
            url = target + self.path.removeprefix(prefix)
            try:
                answer = urllib.request.urlopen(urllib.request.Request(url, body, headers))
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                data = answer.read()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in DROPPED:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """The tests look at the browser."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}{prefix}"
    server.shutdown()
    server.server_close()
