"""Compressed bodies: decompressed up to the limit, or refused by name."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from riskpredictor_server.api.content_encoding import decompress
from riskpredictor_server.api.problems import RefusedError

BODY = b'{"heart_rate": 85}' * 10


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("identity", BODY),
        ("", BODY),
    ],
    ids=["gzip", "capitals", "x-gzip", "zlib", "raw deflate", "identity", "none"],
)
def test_known_encodings_are_taken_off(encoding: str, sent: bytes) -> None:
    assert decompress(sent, encoding, limit=len(BODY)) == BODY


def test_without_a_body_there_is_nothing_to_decompress() -> None:
    assert decompress(b"", "gzip", limit=10) == b""


@pytest.mark.parametrize(
    ("encoding", "sent", "status", "words"),
    [
        ("br", b"x", 415, "'br'; send gzip, deflate or none"),
        ("gzip, gzip", b"x", 415, "'gzip, gzip'"),
        ("gzip", BODY, 400, "not valid gzip"),
        ("deflate", BODY, 400, "not valid deflate"),
        ("gzip", gzip.compress(BODY)[:-1], 400, "its end is missing"),
        ("gzip", gzip.compress(BODY)[:-8] + bytes(8), 400, "not valid gzip"),
        ("gzip", gzip.compress(BODY) + b"x", 400, "more follows"),
        ("gzip", gzip.compress(BODY + b" "), 413, "180 bytes when it is decompressed"),
    ],
    ids=["unknown", "twice", "no gzip", "no zlib", "cut", "checksum", "more", "too large"],
)
def test_a_refusal_has_the_status_of_its_cause(
    encoding: str, sent: bytes, status: int, words: str
) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        decompress(sent, encoding, limit=len(BODY))
    assert caught.value.status == status
    # RFC 9110, 12.5.3
    accepted = (("Accept-Encoding", "gzip, deflate"),) if status == 415 else ()
    assert caught.value.headers == accepted


def test_a_bomb_takes_no_more_memory_than_the_limit() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError, match="at most 100000 bytes"):
            decompress(bomb, "gzip", limit=100_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
