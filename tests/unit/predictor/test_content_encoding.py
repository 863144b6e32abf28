"""Compressed bodies: decompressed up to the limit, or refused by name."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib

import pytest

from riskpredictor_server.api.content_encoding import decompress
from riskpredictor_server.api.problems import RefusedError

BODY = b'{"heart_rate": 85}' * 10


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS, strategy=zlib.Z_FIXED)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("deflate", gzip.compress(BODY)),
        ("gzip", zlib.compress(BODY)),
        ("gzip", gzip.compress(BODY[:50]) + gzip.compress(b"") + gzip.compress(BODY[50:])),
        ("identity, gzip", gzip.compress(BODY)),
        ("gzip,IDENTITY", gzip.compress(BODY)),
        ("gzip, ,", gzip.compress(BODY)),
        ("identity, identity", BODY),
        ("identity", BODY),
        (",", BODY),
        ("", BODY),
    ],
    ids=[
        "gzip", "capitals", "x-gzip", "zlib", "raw deflate", "gzip as deflate", "zlib as gzip",
        "several members", "identity first", "identity last", "empty members", "identity twice",
        "identity", "comma", "none",
    ],
)  # fmt: skip
def test_known_encodings_are_taken_off(encoding: str, sent: bytes) -> None:
    assert decompress(sent, encoding, limit=len(BODY)) == BODY


def test_raw_deflate_whose_first_bytes_add_up_as_a_head_of_zlib_would() -> None:
    """Six spaces at the beginning are enough for that: RFC 1950's remainder of 31 is no proof."""
    indented = b" " * 6 + BODY
    sent = raw_deflate(indented)
    assert int.from_bytes(sent[:2], "big") % 31 == 0
    assert decompress(sent, "deflate", limit=1000) == indented


def test_many_members_take_time_in_proportion_to_them() -> None:
    """zlib copies all that follows a member: fed in one piece, they take the square of that."""
    begun = time.process_time()
    assert decompress(gzip.compress(b"") * 200_000, "gzip", limit=10) == b""
    assert time.process_time() - begun < 2


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
        ("gzip", gzip.compress(BODY) + gzip.compress(b"")[:-1], 400, "its end is missing"),
        ("deflate", zlib.compress(BODY) + zlib.compress(BODY), 400, "more follows"),
        ("gzip", gzip.compress(BODY + b" "), 413, "180 bytes when it is decompressed"),
        ("gzip", gzip.compress(BODY) + gzip.compress(b" "), 413, "180 bytes"),
    ],
    ids=[
        "unknown", "twice", "no gzip", "no zlib", "cut", "checksum", "more", "second member cut",
        "no members", "too large", "too large together",
    ],
)  # fmt: skip
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
