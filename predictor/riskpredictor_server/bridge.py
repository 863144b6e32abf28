"""An RSGI request, its body already read, through a WSGI application."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any


def call_wsgi(
    app: Callable[..., Iterable[bytes]], scope: Any, body: bytes, request_id: str
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Run ``app`` (PEP 3333) and collect its status, headers and whole body."""
    started: list[Any] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _exc_info: Any = None
    ) -> Callable[[bytes], None]:
        started[:] = [int(status[:3]), list(headers)]
        return lambda _data: None

    chunks = app(_environ(scope, body, request_id), start_response)
    try:
        data = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close:
            close()
    status, headers = started
    return status, headers, data


def _environ(scope: Any, body: bytes, request_id: str) -> dict[str, Any]:
    host, _, port = scope.server.rpartition(":")
    environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        # PEP 3333: the path's bytes, decoded as latin-1. Granian has resolved the escapes already.
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(body)),
    }
    for name, value in scope.headers.items():
        if name == "content-type":
            environ["CONTENT_TYPE"] = value
        elif name not in ("content-length", "transfer-encoding"):
            environ["HTTP_" + name.replace("-", "_").upper()] = value
    environ["HTTP_X_REQUEST_ID"] = request_id
    return environ
