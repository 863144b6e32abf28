"""Gives a node Linux namespaces of its own: network, mount, process, host name and IPC.

One process holds them. When it ends, the kernel ends everything inside: daemons, containers,
mounts, bridges, routes and packet filter rules. A link of two addresses joins node and host; there
is no default route, so nothing that runs in the node can reach beyond this machine.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
from pathlib import Path

from . import cgroups, naming
from .component import enter, process_file, running
from .console import ClusterError
from .control_plane import SERVICE_CIDR
from .process import Running, child_of, marked, spawn, wait_until
from .record import Cluster
from .run import output

HOLDER = "namespaces"
BRIDGE = "cni0"

_NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc")

# Process 1 has to collect orphans; with SIGCHLD ignored, which exec preserves, the kernel does it.
_HOLD = "trap '' CHLD; exec sleep infinity"


def ensure(cluster: Cluster) -> int:
    """Make the namespaces unless they stand; return the process that holds them."""
    known = holder_of(cluster)
    if known is not None:
        return known.pid
    _clear(cluster)
    cgroups.create(cluster.cgroup)
    for folder in ("kubelet", "containerd", "log"):
        (cluster.paths.node / folder).mkdir(parents=True, exist_ok=True)
    holder = _spawn_holder(cluster)
    try:
        _run("sh", "-ec", host_script(cluster, holder.pid))
        _run(*enter(holder.pid), "sh", "-ec", node_script(cluster))
    except BaseException:
        holder.kill(signal.SIGKILL)
        raise
    # Remembered only now: a half-made node is cleared and made again by the next `up`.
    holder.save(process_file(cluster, HOLDER))
    return holder.pid


def holder_of(cluster: Cluster) -> Running | None:
    """The process that holds the namespaces, if they can be entered."""
    known = running(cluster, HOLDER)
    return known if known is not None and has_namespaces(known.pid) else None


def has_namespaces(pid: int) -> bool:
    """Whether a process can be entered.

    A killed one has no namespaces, but stays until everything that ran in them has ended.
    """
    return Path(f"/proc/{pid}/ns/net").exists()


def require(cluster: Cluster) -> int:
    """The holder's process number, or an error if the node does not run."""
    known = holder_of(cluster)
    if known is None:
        raise ClusterError(
            f"the node of cluster {cluster.name} does not run",
            f"start it: `cluster.py up --name {cluster.name}`",
        )
    return known.pid


def _clear(cluster: Cluster) -> None:
    """Kill what a crash left behind; it cannot go on without the namespaces."""
    ending = running(cluster, HOLDER)
    if ending is not None:
        wait_until(lambda: not ending.alive(), 10.0)
    for process in marked(cluster.paths.root):
        process.kill(signal.SIGKILL)
    if not wait_until(lambda: not marked(cluster.paths.root), 10.0):
        raise ClusterError(f"old processes of cluster {cluster.name} do not end")
    _delete_link(cluster)


def _spawn_holder(cluster: Cluster) -> Running:
    log = cluster.paths.log(HOLDER)
    launched = spawn(
        ["unshare", *_NAMESPACES, "--fork", "--mount-proc", "sh", "-c", _HOLD],
        log,
        marker=cluster.paths.root,
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


def host_script(cluster: Cluster, namespace_pid: int) -> str:
    """The shell script that makes the host's end of the link."""
    link = naming.link_name(cluster.index)
    return f"""
{_unreachable_route("replace", cluster)}
ip link add {link} type veth peer name eth0 netns {namespace_pid}
ip address add {naming.host_address(cluster.index)}/30 dev {link}
ip link set {link} up
"""


def _unreachable_route(action: str, cluster: Cluster) -> str:
    """Takes over should the node die: else packets to it would follow the host's default route."""
    subnet = naming.link_subnet(cluster.index)
    return f"ip route {action} unreachable {subnet} metric 4000000000"


def node_script(cluster: Cluster) -> str:
    """The shell script that sets the namespaces up, run inside them."""
    node = {
        name: shlex.quote(str(cluster.paths.node / name))
        for name in ("kubelet", "containerd", "log")
    }
    return f"""
echo {cluster.node_name} > /proc/sys/kernel/hostname
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind {node["log"]} /var/log
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir /var/lib/kubelet /var/lib/containerd
mount --bind {node["kubelet"]} /var/lib/kubelet
mount --bind {node["containerd"]} /var/lib/containerd
echo 1 > /proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
  echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
fi
ip link set lo up
ip address add {naming.node_address(cluster.index)}/30 dev eth0
ip link set eth0 up
# A service address that kube-proxy has not programmed is refused here.
ip route add local {SERVICE_CIDR} dev lo
# Pods answer the host but open no connections to it: its replies to a pod's address, which it has
# no route for, would leave this machine.
iptables -A FORWARD -i {BRIDGE} -o eth0 -m conntrack --ctstate NEW -j REJECT
"""


def _run(*argv: str) -> None:
    hint = "run `down`, then `up` again; in a container it has to be privileged"
    output(*argv, what="the node's namespaces could not be set up", hint=hint)


def destroy(cluster: Cluster) -> None:
    """End everything inside the node at once."""
    known = running(cluster, HOLDER)
    if known is not None:
        known.kill(signal.SIGKILL)
        wait_until(lambda: not known.alive(), 10.0)
    process_file(cluster, HOLDER).unlink(missing_ok=True)


def remove_traces(cluster: Cluster) -> None:
    """Remove what the kernel does not take away with the namespaces."""
    _delete_link(cluster)
    _delete_route(cluster)
    cgroups.remove(cluster.cgroup)


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


def _delete_route(cluster: Cluster) -> None:
    listing = ["ip", "route", "show", "type", "unreachable", naming.link_subnet(cluster.index)]
    if subprocess.run(listing, capture_output=True, check=True).stdout.strip():
        subprocess.run(_unreachable_route("delete", cluster).split(), check=True)
