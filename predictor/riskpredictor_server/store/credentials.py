"""Reads the files of a mounted Secret, and other files that a RiskPredictor names."""

from __future__ import annotations

from pathlib import Path

from riskpredictor_server.store.errors import FETCH_FAILED, StoreError


def read_credentials(folder: str) -> dict[str, str]:
    """Return the text of each file in ``folder`` by name; none if ``folder`` is empty.

    White space around a value goes, for files made by hand end in a newline. Raises StoreError.
    """
    if not folder:
        return {}
    try:
        files = [path for path in Path(folder).iterdir() if path.is_file()]
        return {path.name: path.read_text(encoding="utf-8").strip() for path in files}
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            FETCH_FAILED,
            f"the Secret of spec.model.credentialsSecret, mounted at {folder}, cannot be read:"
            f" {error.strerror if isinstance(error, OSError) else 'a value is not text'}",
        ) from error


def read_file(path: str, field: str) -> bytes | None:
    """Return the bytes of a file; None if ``path`` is empty. Raises StoreError with the field."""
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StoreError(
            FETCH_FAILED, f"{field}: {path} cannot be read: {error.strerror}"
        ) from error
