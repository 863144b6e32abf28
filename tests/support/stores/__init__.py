"""Real stores, each started by a test: one module per kind, with ``serve(address, home)``.

``address`` is what to listen on and be reached at, 127.0.0.1 or one that pods reach; ``home`` is an
empty folder for the store's own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

Source = dict[str, Any]
"""``spec.model.source``: ``{"s3": {...}}``."""


class Store(Protocol):
    """A store that runs."""

    credentials: Mapping[str, str]
    """Files of the Secret that ``spec.model.credentialsSecret`` names."""
    authority: Path | None
    """PEM file for ``spec.model.caBundle``."""

    def put(self, folder: Path) -> Source:
        """Put an artifact into the store, and return the source that reads it."""
        ...

    def absent(self) -> Source:
        """Return a source in this store that nothing was put to."""
        ...

    def stop(self) -> None:
        """End the server at once: an outage. Nothing listens any more."""
        ...


NAMES = ("s3", "gcs", "azure", "http", "pvc", "oci", "mlflow")
"""Modules of this folder that are stores."""


def serve(name: str, address: str, home: Path) -> AbstractContextManager[Store]:
    """Run one of the stores for the length of a block."""
    module = import_module(f"support.stores.{name}")
    return cast("AbstractContextManager[Store]", module.serve(address, home))
