"""Decompresses request bodies, never to more than the limit of a body."""

from __future__ import annotations

import zlib

from riskpredictor_server.api.problems import RefusedError

_ACCEPTED = "gzip, deflate"
_GZIP_OR_ZLIB = zlib.MAX_WBITS + 32
"""Has zlib tell the two apart by their headers: some clients name one and send the other."""
_RAW_DEFLATE = -zlib.MAX_WBITS


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a body without its Content-Encoding.

    Raises RefusedError: 415 for an unknown encoding, 400 for a body that is not encoded as it says,
    and 413 as soon as there is more than ``limit``, so that a small body cannot fill the memory.
    """
    name = encoding.strip().lower()
    if not body or name in ("", "identity"):
        return body
    if name not in ("gzip", "x-gzip", "deflate"):
        detail = f"Content-Encoding is {encoding[:64]!r}; send {_ACCEPTED} or none"
        raise RefusedError(415, detail, (("Accept-Encoding", _ACCEPTED),))
    # RFC 9110, 8.4.1.2: "deflate" has the head of zlib, but some clients leave it out.
    has_head = name != "deflate" or int.from_bytes(body[:2], "big") % 31 == 0
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB if has_head else _RAW_DEFLATE)
    try:
        plain = decoder.decompress(body, limit + 1)
    except zlib.error as error:
        raise RefusedError(400, f"the body is not valid {name}: {error}") from None
    if len(plain) > limit:
        raise RefusedError(413, f"the body may have at most {limit} bytes when it is decompressed")
    if not decoder.eof:
        raise RefusedError(400, f"the body is not valid {name}: its end is missing")
    if decoder.unused_data:
        raise RefusedError(400, f"the body is not valid {name}: more follows behind its end")
    return plain
