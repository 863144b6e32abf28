"""Folders and files: the state of each cluster, and the cache that all clusters share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .console import ClusterError

# The node mounts empty folders of its own over these, so nothing it needs may live below them.
HIDDEN_IN_NODE = (Path("/run"), Path("/var/run"), Path("/var/lib"), Path("/var/log"))

TOOLS_DIR = Path(__file__).resolve().parent.parent / "go"


def state_root() -> Path:
    """Folder of all clusters: ``RISKPREDICTOR_STATE``, else ``~/.local/state/riskpredictor``."""
    return _root("RISKPREDICTOR_STATE", ".local/state/riskpredictor")


def cache_root() -> Path:
    """Folder of binaries and images: ``RISKPREDICTOR_CACHE``, else ``~/.cache/riskpredictor``."""
    return _root("RISKPREDICTOR_CACHE", ".cache/riskpredictor")


def _root(variable: str, default: str) -> Path:
    value = os.environ.get(variable)
    return Path(value).expanduser().resolve() if value else Path.home().resolve() / default


def refuse_hidden(variable: str, path: Path) -> None:
    """Raise if ``path`` lies where the node's own mounts would hide it."""
    for hidden in HIDDEN_IN_NODE:
        if path.is_relative_to(hidden):
            raise ClusterError(
                f"{variable} is {path}, but a node hides everything below {hidden}",
                f"set {variable} to a folder elsewhere, for example in your home folder",
            )


@dataclass(frozen=True)
class ClusterPaths:
    """The files of one cluster, all below ``root``."""

    root: Path

    @classmethod
    def of(cls, name: str) -> ClusterPaths:
        return cls(state_root() / "clusters" / name)

    @property
    def record(self) -> Path:
        return self.root / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def processes(self) -> Path:
        return self.root / "processes"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def loaded_images(self) -> Path:
        return self.root / "images.json"

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"


def write_private(path: Path, text: str) -> None:
    """Write a file at once, readable by its owner only: it holds keys."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
    temporary.replace(path)
