"""What a transport is: a way to read the files of an artifact from one kind of store.

A module ``store/NAME.py`` provides ``open(source, context) -> Reader`` and, where the store can be
written, ``open_writer(source, context) -> Writer``; ``sources.py`` lists the modules.
``source`` is the mapping below the kind, such as ``{"bucket": "models", "prefix": "risk/v2"}``.
Opening may already contact the store. Everything is synchronous.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from riskpredictor_server.store.http import HttpClient
from riskpredictor_server.store.retry import Retries

Source = Mapping[str, Any]


class Reader(Protocol):
    """One artifact in a store."""

    def read(self, name: str, limit: int) -> bytes:
        """Return the whole of one file, such as ``card.json``, of at most ``limit`` bytes.

        Raises StoreError: NOT_FOUND if the store says that there is none, else FETCH_FAILED.
        """
        ...


class Writer(Protocol):
    """A place in a store where an artifact is put."""

    def write(self, files: Mapping[str, bytes]) -> str:
        """Write all files, card.json last; return the reference that reads exactly them.

        Raises StoreError.
        """
        ...


@dataclass(frozen=True)
class FetchContext:
    """What all transports share."""

    http: HttpClient
    """For requests of one's own: retries, deadlines, proxies, certificates, messages."""
    retries: Retries
    """For calls of a library, which must not retry by itself."""
    credentials: Mapping[str, str]
    """Contents of the mounted Secret's files by name, without white space around them."""
    authority: Path | None = None
    """PEM file of certificates that are trusted beside the system's."""
    idle_seconds: float = 10.0
    """Longest silence of a store; ``http`` keeps to it by itself."""
    claim: Path = Path("/models-source")
    """Where the claim of a ``pvc`` source is mounted."""
    incoming: Path = Path("/models/incoming")
    """Where the files of an ``image`` source were copied to."""

    def credential(self, name: str) -> str | None:
        """Return the content of one of the Secret's files; None if it is missing or empty."""
        return self.credentials.get(name) or None
