"""What is stored about a cluster between two commands, and which place a new one gets."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, cast

from . import naming
from .console import ClusterError
from .paths import ClusterPaths, state_root
from .run import file_lock

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

    def save(self) -> None:
        self.paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.paths.record.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")
        temporary.replace(self.paths.record)


def load(name: str) -> Cluster | None:
    """The stored cluster, or None if there is none (or ``up`` died before it had a place)."""
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


def existing(name: str) -> Cluster:
    """The stored cluster, or an error that says how to make it."""
    cluster = load(naming.validate_name(name))
    if cluster is None:
        raise ClusterError(f"there is no cluster {name}", f"make it: `cluster.py up --name {name}`")
    return cluster


def names() -> list[str]:
    """All clusters that left a trace in the state folder, half-made ones included."""
    root = state_root() / "clusters"
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.exists() else []


def allocate(name: str, profile: Profile, kwok_nodes: int) -> Cluster:
    """The stored cluster of that name, or a new one with an index that no other cluster uses."""
    naming.validate_name(name)
    with file_lock(state_root() / "locks" / "allocation.lock", "the list of clusters"):
        known = load(name)
        if known is None:
            taken = {c.index for c in map(load, names()) if c is not None}
            index = naming.allocate_index(taken, lambda i: _is_free(i, profile))
            cluster = Cluster(name, profile, index, kwok_nodes)
        elif known.profile != profile:
            raise ClusterError(
                f"cluster {name} exists with profile {known.profile}, not {profile}",
                f"use another --name, or first `cluster.py down --name {name}`",
            )
        else:
            cluster = replace(known, kwok_nodes=max(kwok_nodes, known.kwok_nodes))
        if cluster != known:
            cluster.save()
        return cluster


def _is_free(index: int, profile: Profile) -> bool:
    if profile == "node":
        return not Path("/sys/class/net", naming.link_name(index)).exists()
    return all(_bindable(port) for port in naming.loopback_ports(index).values())


def _bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Like the servers themselves: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
