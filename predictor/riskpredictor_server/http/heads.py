"""Heads of requests that llhttp, the parser, lets pass and RFC 9110 and RFC 9112 forbid."""

from __future__ import annotations

import re

HEAD_BYTES = 16_384
"""Longest head of a request."""
FIELDS = 100
"""Most headers of a request, and most trailers: each takes a hundred bytes beside its own."""
_ONCE = (b"host", b"content-length", b"transfer-encoding", b"content-type", b"expect")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:\d{0,5})?")
_OTHER_PROTOCOL = re.compile(rb" +(RTSP|ICE)/\d")

Headers = list[tuple[bytes, bytes]]
"""Names in lower case, in the order of arrival."""
Fault = tuple[int, str]
"""Status and detail."""
TOO_LONG: Fault = (431, f"the head of a request may have at most {HEAD_BYTES} bytes")
TOO_MANY: Fault = (431, f"a request may have at most {FIELDS} headers")


def is_too_long(method: bytes, target: bytes, headers: Headers) -> bool:
    """Whether the head has more bytes than allowed."""
    size = len(method) + len(target) + len(b"  HTTP/1.1\r\n\r\n")
    return size + sum(len(name) + len(value) + 4 for name, value in headers) > HEAD_BYTES


def names_another_protocol(target: bytes, raw: bytes) -> bool:
    """Whether the request line, somewhere in ``raw``, ends in RTSP or ICE instead of HTTP.

    llhttp takes these names, and does not tell.
    """
    if b"RTSP/" not in raw and b"ICE/" not in raw:
        return False
    return any(
        raw.startswith(target, m.start() - len(target)) for m in _OTHER_PROTOCOL.finditer(raw)
    )


def fault(
    method: bytes, version: str, headers: Headers, fields: dict[bytes, bytes]
) -> Fault | None:
    """What is wrong with a head; ``fields`` are the headers by name, ``version`` is "1.1" and such.

    Chunks beside a length, two lengths and other doubtful framings never come here: llhttp refuses
    them.
    """
    if version not in ("1.1", "1.0"):
        return 505, f"HTTP/{version} is not spoken here, only HTTP/1.1 and HTTP/1.0"
    if len(headers) != len(fields):
        names = [name for name, _ in headers]
        for name in _ONCE:
            if names.count(name) > 1:
                return 400, f"the header {name.decode().title()} is given more than once"
    if b"host" not in fields:
        if version == "1.1":
            return 400, "the header Host is missing"
    elif not _HOST.fullmatch(fields[b"host"].strip()):
        return 400, "the header Host is no host"
    if method == b"CONNECT":
        return 405, "CONNECT is not allowed here; this is no proxy"
    if b"transfer-encoding" in fields:
        if version == "1.0":
            return 400, "HTTP/1.0 has no Transfer-Encoding"
        *others, last = fields[b"transfer-encoding"].lower().split(b",")
        if last.strip() != b"chunked":
            return 400, "a body's last Transfer-Encoding must be chunked, or its end is not known"
        if others:
            return 501, "the only Transfer-Encoding is chunked"
    expected = fields.get(b"expect", b"100-continue") if version == "1.1" else b"100-continue"
    if expected.strip().lower() != b"100-continue":
        return 417, "the only expectation that can be met is 100-continue"
    return None
