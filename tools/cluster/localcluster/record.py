"""What is remembered about a cluster between two commands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal, cast

from . import naming
from .errors import ClusterError
from .paths import ClusterPaths, state_root

Profile = Literal["control-plane", "node"]
PROFILES: tuple[Profile, ...] = ("control-plane", "node")


@dataclass(frozen=True)
class Cluster:
    """A cluster's identity. Everything else (addresses, ports, file names) follows from it."""

    name: str
    profile: Profile
    index: int
    kwok_nodes: int = 0

    @property
    def paths(self) -> ClusterPaths:
        return ClusterPaths.of(self.name)

    @property
    def has_node(self) -> bool:
        return self.profile == "node"

    @property
    def address(self) -> str:
        """Where the API server answers, from the host and from the node alike."""
        return naming.node_address(self.index) if self.has_node else "127.0.0.1"

    @property
    def ports(self) -> dict[str, int]:
        return naming.node_ports() if self.has_node else naming.loopback_ports(self.index)

    @property
    def api_server(self) -> str:
        return f"https://{self.address}:{self.ports['kube-apiserver']}"

    @property
    def node_name(self) -> str:
        return f"{self.name}-node"

    @property
    def cgroup(self) -> str:
        """Name of the cluster's own group below every cgroup hierarchy's root."""
        return f"riskpredictor-{self.index}-{self.name}"

    def with_kwok_nodes(self, count: int) -> Cluster:
        return replace(self, kwok_nodes=count)

    def save(self) -> None:
        self.paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.paths.record.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")
        temporary.replace(self.paths.record)


def load(name: str) -> Cluster | None:
    """The remembered cluster, or None if there is none (or ``up`` died before it had a place)."""
    path = ClusterPaths.of(name).record
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text())
        return Cluster(
            name=str(data["name"]),
            profile=cast(Profile, data["profile"]),
            index=int(data["index"]),
            kwok_nodes=int(data["kwok_nodes"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"{path} cannot be read: {error!r}", f"remove it with `cluster.py down --name {name}`"
        ) from error


def names() -> list[str]:
    """All clusters that left a trace in the state folder, half-made ones included."""
    root = state_root() / "clusters"
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.exists() else []
