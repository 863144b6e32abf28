"""A volume: a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.stores import Source


class Volume:
    """A claim's volume as it is mounted in a pod."""

    authority: Path | None = None

    def __init__(self, home: Path) -> None:
        self.root = home
        self.credentials: Mapping[str, str] = {}

    def put(self, folder: Path) -> Source:
        """See ``Store``."""
        shutil.copytree(folder, self.root / "risk" / "v2")
        return {"pvc": {"claimName": "models", "path": "risk/v2"}}

    def absent(self) -> Source:
        """See ``Store``."""
        return {"pvc": {"claimName": "models", "path": "risk/nowhere"}}

    def stop(self) -> None:
        """See ``Store``."""
        shutil.rmtree(self.root)


@contextmanager
def serve(address: str, home: Path) -> Iterator[Volume]:
    """A volume that is ``home``."""
    del address
    yield Volume(home)
