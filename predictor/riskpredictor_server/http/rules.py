"""What llhttp lets pass and a server must refuse (RFC 9110, RFC 9112)."""

from __future__ import annotations

from riskpredictor_server.http.request import Request

HEAD_BYTES = 16_384
"""Longest head of a request."""
FIELDS = 100
"""Most headers of a request, and most trailers: each takes a hundred bytes beside its own."""
_ONCE = (b"host", b"content-length", b"transfer-encoding", b"content-type", b"expect")

Fault = tuple[int, str]
"""Status and detail."""
TOO_MANY: Fault = (431, f"a request may have at most {FIELDS} headers")
TOO_LONG: Fault = (431, f"the head of a request may have at most {HEAD_BYTES} bytes")


def fault(request: Request, version: str) -> Fault | None:
    """Judge a head, and note on the request how its body is framed.

    ``version`` is "1.1" and the like. Chunks beside a length, two lengths and other doubtful
    framings never come here: llhttp refuses them.
    """
    if version not in ("1.1", "1.0"):
        return 505, f"HTTP/{version} is not spoken here, only HTTP/1.1 and HTTP/1.0"
    headers = request.headers
    if len(headers) != len(request.fields):
        names = [name for name, _ in request.fields]
        for name in _ONCE:
            if names.count(name) > 1:
                return 400, f"the header {name.decode().title()} is given more than once"
    if version == "1.0":
        # Kept open on demand only, by a header of its own; closing is always right.
        request.keep_alive = False
    elif b"host" not in headers:
        return 400, "the header Host is missing"
    if request.method == b"CONNECT":
        return 405, "CONNECT is not allowed here; this is no proxy"
    if b"transfer-encoding" in headers:
        if version == "1.0":
            return 400, "HTTP/1.0 has no Transfer-Encoding"
        *others, last = request.header(b"transfer-encoding").lower().split(",")
        if last.strip() != "chunked":
            return 400, "a body's last Transfer-Encoding must be chunked, or its end is not known"
        if others:
            return 501, "the only Transfer-Encoding is chunked"
        request.chunked = True
    elif b"content-length" in headers:
        # llhttp bounds the number, not its zeros, of which int() takes no more than 4,300.
        request.length = int(headers[b"content-length"].strip().lstrip(b"0") or 0)
    if b"expect" in headers and version == "1.1":
        if request.header(b"expect").lower() != "100-continue":
            return 417, "the only expectation that can be met is 100-continue"
        request.expects = request.chunked or request.length > 0
    return None


def too_long(request: Request) -> bool:
    """Whether the head has more bytes than allowed."""
    size = len(request.method) + len(request.target) + len(b"  HTTP/1.1\r\n\r\n")
    return size + sum(len(name) + len(value) + 4 for name, value in request.fields) > HEAD_BYTES
