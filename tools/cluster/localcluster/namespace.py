"""Gives each node Linux namespaces of its own: network, mount, process, host name and IPC.

One process holds them. When it ends, the kernel ends everything inside: daemons, containers,
mounts, bridges, routes and packet filter rules. A link of two ends joins the first node and the
host, and others join the further nodes and the first. There is no default route, so nothing that
runs in a node can reach beyond this machine.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
from pathlib import Path

from . import cgroups, naming
from .component import enter, process_file, running
from .console import ClusterError
from .naming import POD_CIDR, SERVICE_CIDR, Family
from .process import Running, child_of, marked, spawn, wait_until
from .record import Cluster, Node
from .run import output

_NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc")

# Process 1 has to collect orphans; with SIGCHLD ignored, which exec preserves, the kernel does it.
_HOLD = "trap '' CHLD; exec sleep infinity"

_IP: dict[Family, str] = {"ipv4": "ip", "ipv6": "ip -6"}
_FILTER: dict[Family, str] = {"ipv4": "iptables", "ipv6": "ip6tables"}
_FORWARDING: dict[Family, str] = {"ipv4": "ipv4/ip_forward", "ipv6": "ipv6/conf/all/forwarding"}


def ensure(cluster: Cluster) -> list[int]:
    """Make the namespaces of all nodes unless they stand; return the processes that hold them."""
    return [_ensure(node) for node in cluster.nodes]


def _ensure(node: Node) -> int:
    known = holder_of(node)
    if known is not None:
        return known.pid
    _clear(node)
    cgroups.create(node.cgroup)
    for folder in ("kubelet", "containerd", "log"):
        (node.folder / folder).mkdir(parents=True, exist_ok=True)
    holder = _spawn_holder(node)
    try:
        # Network only: the holder's number means nothing in the first node's process namespace.
        outside = [] if _is_first(node) else enter_network(require(node.cluster.nodes[0]))
        _run(*outside, "sh", "-ec", link_script(node, holder.pid))
        _run(*enter(holder.pid), "sh", "-ec", node_script(node))
    except BaseException:
        holder.kill(signal.SIGKILL)
        raise
    # Remembered only now: a half-made node is cleared and made again by the next `up`.
    holder.save(process_file(node.cluster, _holder(node)))
    return holder.pid


def enter_network(pid: int) -> list[str]:
    """Command prefix that runs a program in a node's network, with the caller's files."""
    return ["nsenter", f"--target={pid}", "--net", "--"]


def _is_first(node: Node) -> bool:
    return node.number == 0


def _holder(node: Node) -> str:
    return f"namespaces{node.suffix}"


def holder_of(node: Node) -> Running | None:
    """The process that holds the namespaces, if they can be entered."""
    known = running(node.cluster, _holder(node))
    return known if known is not None and has_namespaces(known.pid) else None


def has_namespaces(pid: int) -> bool:
    """Whether a process can be entered.

    A killed one has no namespaces, but stays until everything that ran in them has ended.
    """
    return Path(f"/proc/{pid}/ns/net").exists()


def require(node: Node) -> int:
    """The holder's process number, or an error if the node does not run."""
    known = holder_of(node)
    if known is None:
        raise ClusterError(
            f"node {node.name} of cluster {node.cluster.name} does not run",
            f"start it: `cluster.py up --name {node.cluster.name}`",
        )
    return known.pid


def _clear(node: Node) -> None:
    """Kill what a crash left behind; it cannot go on without the namespaces.

    Nor can the other nodes without the first, where their links end.
    """
    ending = running(node.cluster, _holder(node))
    if ending is not None:
        wait_until(lambda: not ending.alive(), 10.0)
    mark = _mark(node)
    for process in marked(mark):
        process.kill(signal.SIGKILL)
    if not wait_until(lambda: not marked(mark), 10.0):
        raise ClusterError(f"old processes of node {node.name} do not end")
    if _is_first(node):
        _delete_link(node.cluster)


def _mark(node: Node) -> Path:
    """What the processes that end with the node are marked with."""
    return node.cluster.paths.root if _is_first(node) else node.folder


def _spawn_holder(node: Node) -> Running:
    log = node.cluster.paths.log(_holder(node))
    launched = spawn(
        ["unshare", *_NAMESPACES, "--fork", "--mount-proc", "sh", "-c", _HOLD],
        log,
        marker=_mark(node),
    )
    pid = child_of(launched.pid)
    holder = None if pid is None else Running.of(pid)
    if holder is None or not wait_until(lambda: _command(holder.pid) == "sleep", 5.0):
        raise ClusterError(
            f"cannot make namespaces: {log.read_text().strip()}",
            "in a container, run it with the rights to unshare (privileged), or use CLUSTER=kind",
        )
    return holder


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def link_script(node: Node, namespace_pid: int) -> str:
    """The shell script that makes the link to a node, run at its outer end."""
    cluster = node.cluster
    link = naming.link_name(cluster.index) if _is_first(node) else f"node{node.number + 1}"
    lines = [f"ip link add {link} type veth peer name eth0 netns {namespace_pid}"]
    for family in cluster.families:
        outer, _, length = naming.link_addresses(family, cluster.index, node.number)
        lines.append(f"ip address add {outer}/{length} dev {link} {_at_once(family)}")
    lines.append(f"ip link set {link} up")
    for family in cluster.families:
        _, inner, _ = naming.link_addresses(family, cluster.index, node.number)
        if _is_first(node):
            beyond = naming.link_range(family, cluster.index)
            lines.append(_unreachable_route("replace", family, cluster))
        else:
            beyond = naming.pod_subnet(family, node.number)
        lines.append(f"{_IP[family]} route add {beyond} via {inner}")
    return "\n".join(lines)


def _at_once(family: Family) -> str:
    """Whoever binds to an address that is still looked for on the link is refused."""
    return "nodad" if family == "ipv6" else ""


def _unreachable_route(action: str, family: Family, cluster: Cluster) -> str:
    """Takes over should the node die: else packets to it would follow the host's default route."""
    links = naming.link_range(family, cluster.index)
    return f"{_IP[family]} route {action} unreachable {links} metric 4000000000"


def node_script(node: Node) -> str:
    """The shell script that sets the namespaces up, run inside them."""
    own = {name: shlex.quote(str(node.folder / name)) for name in ("kubelet", "containerd", "log")}
    networks = "\n".join(_network_script(node, family) for family in node.cluster.families)
    return f"""
echo {node.name} > /proc/sys/kernel/hostname
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind {own["log"]} /var/log
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir /var/lib/kubelet /var/lib/containerd
mount --bind {own["kubelet"]} /var/lib/kubelet
mount --bind {own["containerd"]} /var/lib/containerd
for tables in iptables ip6tables; do
  if [ -e /proc/sys/net/bridge/bridge-nf-call-$tables ]; then
    echo 1 > /proc/sys/net/bridge/bridge-nf-call-$tables
  fi
done
ip link set lo up
ip link set eth0 up
{networks}
"""


def _network_script(node: Node, family: Family) -> str:
    ip, cluster = _IP[family], node.cluster
    outer, inner, length = naming.link_addresses(family, cluster.index, node.number)
    lines = [
        f"echo 1 > /proc/sys/net/{_FORWARDING[family]}",
        f"ip address add {inner}/{length} dev eth0 {_at_once(family)}",
        "# A service address that kube-proxy has not programmed is refused here.",
        f"{ip} route add local {SERVICE_CIDR[family]} dev lo",
    ]
    if _is_first(node):
        filters, pods = _FILTER[family], POD_CIDR[family]
        lines += [
            "# Pods reach the host as from the node: it has no route to a pod's address, so its",
            "# replies would leave this machine. Nothing further is reached.",
            f"{filters} -t nat -A POSTROUTING -s {pods} -d {outer} -o eth0 -j MASQUERADE",
            f"{filters} -A FORWARD -o eth0 -d {outer} -j ACCEPT",
            f"{filters} -A FORWARD -o eth0 -m conntrack --ctstate NEW -j REJECT",
        ]
    else:
        others = (naming.link_range(family, cluster.index), POD_CIDR[family])
        lines += [f"{ip} route add {subnet} via {outer}" for subnet in others]
    return "\n".join(lines)


def _run(*argv: str) -> None:
    hint = "run `down`, then `up` again; in a container it has to be privileged"
    output(*argv, what="the node's namespaces could not be set up", hint=hint)


def destroy(cluster: Cluster) -> None:
    """End everything inside the nodes at once."""
    holders = [known for node in cluster.nodes if (known := running(cluster, _holder(node)))]
    for known in holders:
        known.kill(signal.SIGKILL)
    wait_until(lambda: not any(known.alive() for known in holders), 10.0)
    for node in cluster.nodes:
        process_file(cluster, _holder(node)).unlink(missing_ok=True)


def remove_traces(cluster: Cluster) -> None:
    """Remove what the kernel does not take away with the namespaces."""
    _delete_link(cluster)
    for family in cluster.families:
        _delete_route(family, cluster)
    for node in cluster.nodes:
        cgroups.remove(node.cgroup)


def _delete_link(cluster: Cluster) -> None:
    link = naming.link_name(cluster.index)
    if not _link_exists(link):
        return
    done = subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
    # It may go by itself between the look and the command: then there is nothing to report.
    if done.returncode != 0 and _link_exists(link):
        raise ClusterError(f"cannot remove link {link}: {done.stderr.decode().strip()}")


def _link_exists(link: str) -> bool:
    return Path("/sys/class/net", link).exists()


def _delete_route(family: Family, cluster: Cluster) -> None:
    listing = (
        f"{_IP[family]} route show type unreachable {naming.link_range(family, cluster.index)}"
    )
    if subprocess.run(listing.split(), capture_output=True, check=True).stdout.strip():
        subprocess.run(_unreachable_route("delete", family, cluster).split(), check=True)
