"""What is stored about a cluster between two commands, and which place a new one gets."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, cast

from . import naming
from .console import ClusterError
from .naming import Family
from .paths import ClusterPaths, state_root
from .run import file_lock

Profile = Literal["control-plane", "node"]
PROFILES: tuple[Profile, ...] = ("control-plane", "node")
IpFamily = Literal["ipv4", "ipv6", "dual"]
IP_FAMILIES: tuple[IpFamily, ...] = ("ipv4", "ipv6", "dual")


@dataclass(frozen=True)
class Options:
    """What ``up`` is asked for; without an ``ip_family``, whatever the cluster has."""

    profile: Profile = "node"
    kwok_nodes: int = 0
    nodes: int = 1
    ip_family: IpFamily | None = None
    assigned_users: bool = False


@dataclass(frozen=True)
class Cluster:
    """A cluster's identity. Everything else (addresses, ports, file names) follows from it."""

    name: str
    profile: Profile
    index: int
    kwok_nodes: int = 0
    node_count: int = 1
    ip_family: IpFamily = "ipv4"
    assigned_users: bool = False

    @property
    def paths(self) -> ClusterPaths:
        return ClusterPaths.of(self.name)

    @property
    def has_node(self) -> bool:
        return self.profile == "node"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The real nodes; the control plane runs in the first."""
        return tuple(
            Node(self, number) for number in range(self.node_count if self.has_node else 0)
        )

    @property
    def families(self) -> tuple[Family, ...]:
        """The address families, the preferred one first."""
        return ("ipv4", "ipv6") if self.ip_family == "dual" else (self.ip_family,)

    @property
    def address(self) -> str:
        """Where the API server answers, from the host and from the nodes alike."""
        return self.nodes[0].address if self.has_node else naming.LOOPBACK[self.families[0]]

    @property
    def ports(self) -> dict[str, int]:
        return naming.node_ports() if self.has_node else naming.loopback_ports(self.index)

    def authority(self, service: str) -> str:
        """Address and port of a service of the control plane, as in a URL."""
        return naming.authority(self.address, self.ports[service])

    @property
    def api_server(self) -> str:
        return f"https://{self.authority('kube-apiserver')}"

    @property
    def service_cidrs(self) -> str:
        return ",".join(naming.SERVICE_CIDR[family] for family in self.families)

    def save(self) -> None:
        self.paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.paths.record.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")
        temporary.replace(self.paths.record)


@dataclass(frozen=True)
class Node:
    """A node of a cluster; the first has the number 0."""

    cluster: Cluster
    number: int

    @property
    def suffix(self) -> str:
        """Tells its components and files from those of the first node, which have none."""
        return f"-{self.number + 1}" if self.number else ""

    @property
    def name(self) -> str:
        return f"{self.cluster.name}-node{self.suffix}"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of each family of the cluster."""
        return tuple(
            naming.link_addresses(family, self.cluster.index, self.number)[1]
            for family in self.cluster.families
        )

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def folder(self) -> Path:
        """What the node mounts over folders of the host."""
        return self.cluster.paths.root / f"node{self.suffix}"

    @property
    def cgroup(self) -> str:
        """Name of the node's own group below every cgroup hierarchy's root.

        None begins with the name of another: a kubelet looks at all groups that begin with its own.
        """
        dotted = f".{self.number + 1}" if self.number else ""
        return f"riskpredictor-{self.cluster.index}{dotted}-{self.cluster.name}"


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
            # Records of earlier releases lack these.
            node_count=int(data.get("node_count", 1)),
            ip_family=cast(IpFamily, data.get("ip_family", "ipv4")),
            assigned_users=bool(data.get("assigned_users", False)),
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


def allocate(name: str, options: Options) -> Cluster:
    """The stored cluster of that name, or a new one with an index that no other cluster uses."""
    naming.validate_name(name)
    _validate(options)
    with file_lock(state_root() / "locks" / "allocation.lock", "the list of clusters"):
        known = load(name)
        cluster = _new(name, options) if known is None else _grown(known, options)
        if cluster != known:
            cluster.save()
        return cluster


def _validate(options: Options) -> None:
    if not 1 <= options.nodes <= naming.MAX_NODES:
        raise ClusterError(f"--nodes {options.nodes}: a cluster has 1 to {naming.MAX_NODES} nodes")
    if options.nodes > 1 and options.profile != "node":
        raise ClusterError(
            f"--nodes is for --profile node, not {options.profile}", "use --kwok for fake nodes"
        )


def _new(name: str, options: Options) -> Cluster:
    place = Cluster(
        name, options.profile, 0, options.kwok_nodes, options.nodes, options.ip_family or "ipv4",
        options.assigned_users,
    )  # fmt: skip
    taken = {c.index for c in map(load, names()) if c is not None}
    index = naming.allocate_index(taken, lambda i: _is_free(replace(place, index=i)))
    return replace(place, index=index)


def _grown(known: Cluster, options: Options) -> Cluster:
    """The stored cluster with what is asked for in addition; what it is cannot change."""
    wanted = (options.profile, options.ip_family or known.ip_family)
    if wanted != (known.profile, known.ip_family):
        raise ClusterError(
            f"cluster {known.name} exists with profile {known.profile} and {known.ip_family}, not "
            f"{' and '.join(wanted)}",
            f"use another --name, or first `cluster.py down --name {known.name}`",
        )
    return replace(
        known,
        kwok_nodes=max(options.kwok_nodes, known.kwok_nodes),
        node_count=max(options.nodes, known.node_count),
        assigned_users=options.assigned_users or known.assigned_users,
    )


def _is_free(place: Cluster) -> bool:
    if place.has_node:
        return not Path("/sys/class/net", naming.link_name(place.index)).exists()
    return all(_bindable(place.address, port) for port in place.ports.values())


def _bindable(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Like the servers themselves: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
