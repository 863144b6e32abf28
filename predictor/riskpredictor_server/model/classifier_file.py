"""Reads the file of a fitted classifier, and says which scikit-learn wrote it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import re
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

_VERSION = re.compile(
    rb"_sklearn_version(?:\x94|q.|r.{4})?(?:\x8c.|X.{4})(\d+\.\d+(?:\.\d+)?[a-z0-9.]*)", re.DOTALL
)
"""The version of scikit-learn in the state of a pickled estimator, of any protocol since 2."""

_MAGIC = (b"x", b"\x1f\x8b", b"BZ", b"\xfd7zXZ", b"\x5d\x00")
"""Of what joblib compresses: zlib, gzip, bz2, xz, lzma."""


def unpickle(data: bytes) -> Any:
    """Read what ``joblib.dump()`` wrote; raises ValueError and ModuleNotFoundError."""
    import joblib

    if not data.startswith((b"\x80", *_MAGIC)):
        raise ValueError("it is no file of joblib.dump()")
    try:
        with warnings.catch_warnings():
            # Whether an older version's classifier still answers the same is for golden cases.
            warnings.simplefilter("ignore")
            return joblib.load(io.BytesIO(data))
    except Exception as error:  # a pickle can raise anything
        if isinstance(error, ModuleNotFoundError) and not _is_of_sklearn(error):
            raise
        cut_short = isinstance(error, (EOFError, pickle.UnpicklingError)) or "EOF" in str(error)
        other = None if cut_short else of_another_version(written_by(data), error)
        if other:
            raise other from error
        if isinstance(error, AttributeError) and "__main__" in str(error):
            raise ValueError(
                f"it uses what was defined in a notebook or script ({error}): move that into a"
                " module that is installed where the classifier is served"
            ) from error
        raise ValueError(
            f"it is damaged, cut short or no file of joblib.dump() ({error})"
        ) from error


def _is_of_sklearn(error: ModuleNotFoundError) -> bool:
    # Cython's modules name themselves without their package.
    return str(error.name).startswith(("sklearn.", "_"))


def of_another_version(written: str, error: Exception) -> ValueError | None:
    """Return the error that names both versions of scikit-learn, if they differ."""
    import sklearn

    installed = sklearn.__version__
    if written in ("", installed):
        return None
    reason = next(iter(str(error).splitlines()), repr(error))
    return ValueError(
        f"scikit-learn {written} wrote it, and scikit-learn {installed}, which is installed, cannot"
        f" use it ({reason}): fit and dump it again with scikit-learn {installed}"
    )


def written_by(data: bytes) -> str:
    """Return the version of scikit-learn that wrote a joblib file; empty if it does not say."""
    for content in _contents(data):
        found = _VERSION.search(content)
        if found:
            return found[1].decode()
    return ""


def _contents(data: bytes) -> Iterator[bytes]:
    yield data
    for decompress in (zlib.decompress, gzip.decompress, bz2.decompress, lzma.decompress):
        try:
            yield decompress(data)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
            continue
