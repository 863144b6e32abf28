"""What runs in a cluster, as text for people and as JSON for scripts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from . import component, gobuild, lifecycle, namespace
from .record import Cluster, Node


@dataclass(frozen=True)
class ComponentStatus:
    """``healthy`` implies ``running``; ``pid`` is the host's number and None if not running."""

    name: str
    pid: int | None
    running: bool
    healthy: bool
    log: str


@dataclass(frozen=True)
class NodeStatus:
    """``namespace_pid`` is the process that holds the node's namespaces; None if it is down."""

    name: str
    addresses: tuple[str, ...]
    namespace_pid: int | None


@dataclass(frozen=True)
class ClusterStatus:
    """``running`` is true when every component is healthy."""

    name: str
    profile: str
    running: bool
    kubeconfig: str
    api_server: str
    nodes: list[NodeStatus]
    audit_log: str
    bin: str
    state: str
    components: list[ComponentStatus]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def to_text(self) -> str:
        lines = [
            f"cluster     {self.name} ({self.profile}), {'running' if self.running else 'DOWN'}",
            f"api server  {self.api_server}",
            *(f"node        {each.name} {', '.join(each.addresses)}" for each in self.nodes),
            f"kubeconfig  {self.kubeconfig}",
            f"kubectl     {self.bin}/kubectl",
            f"audit log   {self.audit_log}",
            *(_line(each) for each in self.components),
        ]
        return "\n".join(lines)


def _line(found: ComponentStatus) -> str:
    word = "healthy" if found.healthy else "UNHEALTHY" if found.running else "STOPPED"
    return f"  {found.name:<24} {word:<10} {found.pid or ''}"


def of(cluster: Cluster) -> ClusterStatus:
    """Look at every component once; takes at most a few seconds if some hang."""
    found = []
    for each in lifecycle.components(cluster):
        process = component.running(cluster, each.name)
        healthy = process is not None and component.is_healthy(cluster, each)
        log = str(cluster.paths.log(each.name))
        pid = process.pid if process else None
        found.append(ComponentStatus(each.name, pid, process is not None, healthy, log))
    return ClusterStatus(
        name=cluster.name,
        profile=cluster.profile,
        running=all(each.healthy for each in found),
        kubeconfig=str(cluster.paths.kubeconfig),
        api_server=cluster.api_server,
        nodes=[_node(each) for each in cluster.nodes],
        audit_log=str(cluster.paths.audit_log),
        bin=str(gobuild.KUBERNETES.bin_dir()),
        state=str(cluster.paths.root),
        components=found,
    )


def _node(node: Node) -> NodeStatus:
    holder = namespace.holder_of(node)
    return NodeStatus(node.name, node.addresses, holder.pid if holder else None)
