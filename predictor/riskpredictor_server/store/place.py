"""Puts an artifact into its folder as a whole: written beside it, synced, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from riskpredictor_server.store.errors import FETCH_FAILED, StoreError


def remove_leftovers(target: Path) -> None:
    """Remove what killed runs left beside ``target``."""
    for folder in target.parent.glob(f"{_prefix(target)}*"):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def beside(target: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write the files into a folder beside ``target``, which is removed in the end.

    Readable by every user: a cluster may run the server as another one. Raises StoreError.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        made = folder / target.name
        try:
            _write(made, files)
        except OSError as error:
            raise _cannot_write(target, error) from error
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put(made: Path, target: Path) -> None:
    """Rename ``made``, a folder of ``beside``, to ``target``; raises StoreError."""
    try:
        if target.exists():
            target.rename(made.parent / "before")
        made.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise _cannot_write(target, error) from error


def _prefix(target: Path) -> str:
    return f".{target.name}-fetch-"


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        path = folder / name
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        path.chmod(0o444)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    _sync(folder)


def _sync(folder: Path) -> None:
    """Make names last; a system that has no folders to sync needs none."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _cannot_write(target: Path, error: OSError) -> StoreError:
    return StoreError(
        FETCH_FAILED,
        f"{target} cannot be written: {error.strerror}; the volume must have room, and be writable"
        " by the user of the pod",
    )
