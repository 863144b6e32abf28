"""What a long-running program of a cluster is: pure description, nothing is started here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Component:
    """A program, the configuration files that it reads and the URL that tells its health.

    ``health`` may be empty: then a component is healthy as long as its process lives.
    """

    name: str
    argv: tuple[str, ...]
    health: str = ""
    files: Mapping[Path, str] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Changes when the command line or a configuration file does: time for a restart."""
        digest = hashlib.sha256("\0".join(self.argv).encode())
        for path, text in sorted(self.files.items()):
            digest.update(f"\0{path}\0{text}".encode())
        return digest.hexdigest()[:16]

    def write_files(self) -> None:
        for path, text in self.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
