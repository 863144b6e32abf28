"""Checks of request heads that llhttp, the parser, accepts and RFC 9110 or RFC 9112 forbid."""

from __future__ import annotations

import re

HEAD_BYTES = 16_384
"""Most bytes of the head of a request."""
MAX_HEADERS = 100
"""Most headers, and most trailers, of a request: each takes a hundred bytes beside its own."""
_SINGLE_HEADERS = (b"host", b"content-length", b"transfer-encoding", b"content-type", b"expect")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:\d{0,5})?")
_OTHER_PROTOCOL = re.compile(rb" +(RTSP|ICE)/\d")

Headers = list[tuple[bytes, bytes]]
"""Names in lower case, in the order of arrival."""
HttpError = tuple[int, str]
"""Status and detail of a refusal."""
HEAD_TOO_LONG: HttpError = (431, f"the head of a request may have at most {HEAD_BYTES} bytes")
TOO_MANY_HEADERS: HttpError = (431, f"a request may have at most {MAX_HEADERS} headers")


def is_too_long(method: bytes, target: bytes, headers: Headers) -> bool:
    """Whether the head has more bytes than allowed."""
    size = len(method) + len(target) + len(b"  HTTP/1.1\r\n\r\n")
    return size + sum(len(name) + len(value) + 4 for name, value in headers) > HEAD_BYTES


def names_another_protocol(target: bytes, data: bytes) -> bool:
    """Whether the request line, somewhere in ``data``, names RTSP or ICE instead of HTTP.

    llhttp accepts these names, and does not report which one it found.
    """
    if b"RTSP/" not in data and b"ICE/" not in data:
        return False
    return any(
        data.startswith(target, m.start() - len(target)) for m in _OTHER_PROTOCOL.finditer(data)
    )


def find_error(
    method: bytes, version: str, headers: Headers, fields: dict[bytes, bytes]
) -> HttpError | None:
    """Return what is wrong with a head, if anything.

    ``version`` is "1.1" or the like; ``fields`` has the headers by name. llhttp has refused a
    length beside chunks, two lengths and other ambiguous framings before.
    """
    if version not in ("1.1", "1.0"):
        return 505, f"HTTP/{version} is not spoken here, only HTTP/1.1 and HTTP/1.0"
    if len(headers) != len(fields):
        names = [name for name, _ in headers]
        for name in _SINGLE_HEADERS:
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
    if (
        b"expect" in fields
        and version == "1.1"
        and (fields[b"expect"].strip().lower() != b"100-continue")
    ):
        return 417, "the only expectation that can be met is 100-continue"
    return None
