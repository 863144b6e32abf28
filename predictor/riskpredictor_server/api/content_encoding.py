"""Decompresses request bodies, never to more than the limit of a body."""

from __future__ import annotations

import zlib

from riskpredictor_server.api.problems import RefusedError

_ACCEPTED = "gzip, deflate"
_GZIP_HEAD = b"\x1f\x8b"
_GZIP = zlib.MAX_WBITS + 16
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS
_PIECE_BYTES = 4096
"""Fed at once: zlib copies what follows the end of a member, and there may be many."""


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a body without its Content-Encoding.

    Raises RefusedError: 415 for an unknown encoding, 400 for a body that is not encoded as it says,
    and 413 as soon as there is more than ``limit``, so that a small body cannot fill the memory.
    """
    names = [name for each in encoding.split(",") if (name := each.strip().lower())]
    names = [name for name in names if name != "identity"]
    if not body or not names:
        return body
    name = names[0]
    if len(names) > 1 or name not in ("gzip", "x-gzip", "deflate"):
        detail = f"Content-Encoding is {encoding[:64]!r}; send {_ACCEPTED} or none"
        raise RefusedError(415, detail, (("Accept-Encoding", _ACCEPTED),))
    form = _form(body, name)
    decoder = zlib.decompressobj(form)
    plain = bytearray()
    at = 0
    while at < len(body):
        if decoder.eof:
            # RFC 1952, 2.2: gzip is one member or several.
            if form != _GZIP or not body.startswith(_GZIP_HEAD, at):
                raise RefusedError(400, f"the body is not valid {name}: more follows its end")
            decoder = zlib.decompressobj(form)
        piece = body[at : at + _PIECE_BYTES]
        try:
            plain += decoder.decompress(piece, limit + 1 - len(plain))
        except zlib.error as error:
            raise RefusedError(400, f"the body is not valid {name}: {error}") from None
        if len(plain) > limit:
            detail = f"the body may have at most {limit} bytes when it is decompressed"
            raise RefusedError(413, detail)
        at += len(piece) - len(decoder.unused_data)
    if not decoder.eof:
        raise RefusedError(400, f"the body is not valid {name}: its end is missing")
    return bytes(plain)


def _form(body: bytes, name: str) -> int:
    """Return which form of zlib's a body has. Some clients name one and send another.

    RFC 9110, 8.4.1.2: "deflate" has the head of zlib (RFC 1950, 2.2), but some leave it out.
    """
    if body.startswith(_GZIP_HEAD):
        return _GZIP
    if body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0:
        return _ZLIB
    return _RAW_DEFLATE if name == "deflate" else _GZIP
