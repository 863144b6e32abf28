"""A request, its body already read, through a WSGI application."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any

from riskpredictor_server.http.request import Request

_FRAMING = frozenset((b"content-length", b"transfer-encoding"))


def call_wsgi(
    app: Callable[..., Iterable[bytes]], request: Request, body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Run ``app`` (PEP 3333) and collect its status, headers and whole body."""
    started: list[Any] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _exc_info: Any = None
    ) -> Callable[[bytes], None]:
        started[:] = [int(status[:3]), list(headers)]
        return lambda _data: None

    chunks = app(_environ(request, body), start_response)
    try:
        data = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close:
            close()
    status, headers = started
    return status, headers, data


def _environ(request: Request, body: bytes) -> dict[str, Any]:
    path, query, host = request.split()
    local = request.transport.get_extra_info("sockname") or ("", 0)
    # None when the client has left already.
    peer = request.transport.get_extra_info("peername") or ("",)
    environ = {
        "REQUEST_METHOD": request.method.decode("latin-1"),
        "SCRIPT_NAME": "",
        "PATH_INFO": path.decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": local[0],
        "SERVER_PORT": str(local[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": peer[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(body)),
    }
    for name, value in request.fields:
        # With an underscore a name could pass for another one with a hyphen.
        if name in _FRAMING or b"_" in name:
            continue
        key, text = (
            name.decode("latin-1").replace("-", "_").upper(),
            value.strip().decode("latin-1"),
        )
        key = key if key == "CONTENT_TYPE" else "HTTP_" + key
        # Several of one name are one list (RFC 9110, 5.3).
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    if host:
        # What an absolute target says counts, not the header (RFC 9112, 3.2.2).
        environ["HTTP_HOST"] = host.decode("latin-1")
    environ["HTTP_X_REQUEST_ID"] = request.id
    return environ
