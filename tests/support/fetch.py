"""Runs the fetch step as the operator's init container does, and fills stores."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riskpredictor_server.store import library

if TYPE_CHECKING:
    from support.stores import Store

FOREIGN = (
    *("AWS_", "AZURE_", "GOOGLE_", "GCE_"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_"),
)
"""Variables of this machine that a pod does not have."""


@dataclass(frozen=True)
class Outcome:
    """What became of one run."""

    status: int
    log: str
    folder: Path
    reason: str = ""
    message: str = ""
    """Of the termination log."""

    def files(self) -> dict[str, bytes]:
        """What is in the folder by name; nothing if there is no folder."""
        if not self.folder.exists():
            return {}
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


def digest_of(artifact: Path) -> str:
    """The identity of an artifact."""
    return "sha256:" + hashlib.sha256((artifact / "card.json").read_bytes()).hexdigest()


def push(folder: Path, where: Mapping[str, Any], store: Store) -> None:
    """Put an artifact into a store."""
    library.push(folder, where, library.new_context(store.credentials, store.authority))


def fetch(
    home: Path,
    source: Mapping[str, Any],
    digest: str,
    *,
    version: str = "v1",
    credentials: Mapping[str, str] | None = None,
    authority: Path | None = None,
    **variables: str,
) -> Outcome:
    """Run it below ``home``, the pod's volume; ``variables`` as RISKPREDICTOR_NAME, or whole."""
    home.mkdir(parents=True, exist_ok=True)
    ended = home / "termination-log"
    ended.write_bytes(b"")
    environment = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)
    }
    # Nobody's identity: a metadata server would be looked for in the network.
    environment |= {"GCE_METADATA_HOST": "127.0.0.1:1"}
    settings = {
        "MODEL": str(home / "models" / "stable"),
        "MODEL_VERSION": version,
        "MODEL_DIGEST": digest,
        "MODEL_SOURCE": json.dumps(source, sort_keys=True, separators=(",", ":")),
        "TERMINATION_LOG": str(ended),
        "LOG_FORMAT": "json",
    }
    if credentials:
        folder = home / "credentials"
        folder.mkdir(exist_ok=True)
        for name, value in credentials.items():
            (folder / name).write_text(value + "\n")
        settings["MODEL_CREDENTIALS"] = str(folder)
    if authority is not None:
        settings["MODEL_CA"] = str(authority)
    for name, value in variables.items():
        if name.upper().startswith(FOREIGN):
            environment[name] = value
        else:
            settings[name] = value
    environment |= {f"RISKPREDICTOR_{name}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "riskpredictor_server", "fetch"],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = json.loads(ended.read_text() or "{}")
    return Outcome(done.returncode, done.stderr, Path(settings["MODEL"]), **said)
