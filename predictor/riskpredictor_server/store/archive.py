"""Reads single files of a tar archive in memory; nothing of it is ever written anywhere."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import PurePosixPath

from riskpredictor_server.store.errors import REJECTED, StoreError

UNPACKED_LIMIT = 1024 * 1024 * 1024
"""Most bytes that are unpacked in search of one file."""
_GZIP = b"\x1f\x8b"


def member(data: bytes, name: str, limit: int, what: str) -> bytes | None:
    """Return the file ``name``, in whichever folder of the archive it is; None if there is none.

    ``data`` is a tar archive, as it is or by gzip. ``what`` opens messages. Raises StoreError for
    an archive that cannot be read or is too large, and for a name that is there twice or is a link.
    """
    packed = io.BytesIO(data)
    source = gzip.GzipFile(fileobj=packed) if data.startswith(_GZIP) else packed
    found: bytes | None = None
    try:
        with tarfile.open(fileobj=_Bounded(source, what), mode="r|") as archive:
            for each in archive:
                path = PurePosixPath(each.name)
                if path.name != name:
                    continue
                if not each.isreg() or ".." in path.parts or path.is_absolute():
                    raise _rejected(what, f"{each.name!r} is not a file inside the archive")
                if found is not None:
                    raise _rejected(what, f"there is more than one {name}; pack one model")
                if each.size > limit:
                    raise _rejected(what, f"{name} is larger than {limit} bytes")
                content = archive.extractfile(each)
                found = content.read() if content else b""
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise _rejected(what, f"the archive cannot be read ({error}); pack it again") from error
    return found


class _Bounded(io.RawIOBase):
    """A stream that ends with an error instead of more than UNPACKED_LIMIT bytes."""

    def __init__(self, source: io.BufferedIOBase, what: str) -> None:
        self._source, self._what, self._left = source, what, UNPACKED_LIMIT

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes."""
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _rejected(self._what, f"unpacks to more than {UNPACKED_LIMIT} bytes")
        return data


def _rejected(what: str, text: str) -> StoreError:
    return StoreError(REJECTED, f"{what}: {text}")
