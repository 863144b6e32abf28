"""Files out of tar archives that somebody else packed."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from hashlib import sha256

import pytest

from riskpredictor_server.store import archive
from riskpredictor_server.store.archive import member
from riskpredictor_server.store.errors import REJECTED, StoreError

Entry = tuple[str, bytes]


def tar(*entries: Entry, change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            change(info)
            packed.addfile(info, io.BytesIO(data))
    return out.getvalue()


def refusal(data: bytes, limit: int = 100) -> str:
    with pytest.raises(StoreError) as caught:
        member(data, "card.json", limit, "the archive")
    assert caught.value.reason == REJECTED
    assert caught.value.message.startswith("the archive: ")
    return caught.value.message


@pytest.mark.parametrize("name", ["card.json", "./card.json", "risk/card.json", "a/b/card.json"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "tar.gz"])
def test_a_file_is_found_in_any_folder(name: str, pack: Callable[[bytes], bytes]) -> None:
    data = pack(tar(("notes.txt", b"x"), (name, b"{}"), ("scorer.json", b"[]")))
    assert member(data, "card.json", 100, "the archive") == b"{}"
    assert member(data, "model.joblib", 100, "the archive") is None


@pytest.mark.parametrize("name", ["../card.json", "a/../../card.json", "/etc/card.json"])
def test_a_path_out_of_the_archive_is_refused(name: str) -> None:
    assert "is not a file inside the archive" in refusal(tar((name, b"{}")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_is_refused(kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    assert "is not a file inside the archive" in refusal(tar(("card.json", b""), change=change))


def test_a_name_that_is_there_twice_is_refused() -> None:
    data = tar(("card.json", b"{}"), ("b/card.json", b"{}"))
    assert "there is more than one card.json" in refusal(data)


def test_a_file_over_the_limit_is_refused_by_its_head() -> None:
    data = tar(("card.json", b"x" * 100))
    assert member(data, "card.json", 100, "the archive") == b"x" * 100
    assert "card.json is larger than 99 bytes" in refusal(data, 99)


def test_a_bomb_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "UNPACKED_LIMIT", 1 << 20)
    data = gzip.compress(tar(("zeros", bytes(2 << 20)), ("card.json", b"{}")))
    assert len(data) < 1 << 14
    assert "unpacks to more than 1048576 bytes" in refusal(data)


LONG = gzip.compress(tar(("card.json", b"".join(b"%d," % i for i in range(16_000)))))
NOISE = sha256(b"2000").digest() * 8
WHOLE = gzip.compress(tar(("card.json", b"{}" * 5000)))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"no archive" * 1000, id="another file"),
        pytest.param(WHOLE[: len(WHOLE) // 2], id="cut"),
        pytest.param(WHOLE[:40] + b"\0" * 20 + WHOLE[60:], id="damaged"),
        pytest.param(b"\x1f\x8bnot gzip", id="not gzip"),
        pytest.param(LONG[:9000] + NOISE + LONG[9256:], id="damaged in the file"),
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(600), id="zstd"),
    ],
)
def test_what_cannot_be_unpacked_is_told(data: bytes) -> None:
    assert "the archive cannot be read" in refusal(data, 100_000)
