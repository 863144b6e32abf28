"""A long-running program of a cluster: its description, starting, stopping and health."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from .console import ClusterError
from .process import Running, child_of, marked_running, spawn, wait_until
from .record import Cluster
from .run import tail

READY_SECONDS = 90.0
HEALTH_SECONDS = 2.0

# The API server may have long-running requests to end.
GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Component:
    """A program, the configuration files that it reads and the URL that tells its health."""

    name: str
    argv: tuple[str, ...]
    health: str
    files: Mapping[Path, str] = field(default_factory=dict)
    node: int = 0
    """The number of the node in which it runs."""

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


def process_file(cluster: Cluster, name: str) -> Path:
    return cluster.paths.processes / f"{name}.json"


def running(cluster: Cluster, name: str) -> Running | None:
    """The component's process, if it is alive."""
    return Running.load(process_file(cluster, name))


def enter(pid: int) -> list[str]:
    """Command prefix that runs a program inside a node, whose namespaces a process holds.

    ``nsenter`` and not ``ip netns exec``: the latter mounts a /sys without the control groups.
    """
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--uts", "--ipc", "--"]


def start(cluster: Cluster, component: Component, namespaces: Sequence[int]) -> bool:
    """Start it unless it runs with exactly this configuration; True if it was started.

    ``namespaces`` are the processes that hold those of the nodes.
    """
    current = running(cluster, component.name)
    if current is not None:
        if current.fingerprint == component.fingerprint():
            return False
        current.stop(GRACE_SECONDS)
    for stray in marked_running(cluster.paths.root, component.argv):
        # Started by an `up` that was killed before it could save the process number.
        stray.stop(GRACE_SECONDS)
    component.write_files()
    prefix = enter(namespaces[component.node]) if namespaces else []
    log = cluster.paths.log(component.name)
    launched = spawn([*prefix, *component.argv], log, marker=cluster.paths.root)
    # nsenter stays outside and waits; the process to remember is the one inside.
    pid = child_of(launched.pid) if namespaces else launched.pid
    process = None if pid is None else Running.of(pid, component.fingerprint())
    if process is None:
        raise _failed(cluster, component, "ended at once")
    process.save(process_file(cluster, component.name))
    return True


def stop(cluster: Cluster, name: str) -> bool:
    """Stop it; False if it did not run."""
    current = running(cluster, name)
    if current is not None:
        current.stop(GRACE_SECONDS)
    process_file(cluster, name).unlink(missing_ok=True)
    return current is not None


def wait_healthy(cluster: Cluster, components: Sequence[Component]) -> None:
    """Wait until all are healthy; raises with the end of the log of one that is not."""
    deadline = time.monotonic() + READY_SECONDS
    for component in components:

        def settled(component: Component = component) -> bool:
            return running(cluster, component.name) is None or is_healthy(cluster, component)

        if not wait_until(settled, max(0.0, deadline - time.monotonic())):
            raise _failed(cluster, component, f"is not healthy after {READY_SECONDS:.0f} s")
        if running(cluster, component.name) is None:
            raise _failed(cluster, component, "ended")


def is_healthy(cluster: Cluster, component: Component) -> bool:
    """True if the component's health URL answers 200."""
    url = urlsplit(component.health)
    try:
        connection = _connect(cluster, url.scheme, url.netloc)
        try:
            connection.request("GET", url.path)
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def _connect(cluster: Cluster, scheme: str, address: str) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(address, timeout=HEALTH_SECONDS)
    tls = ssl.create_default_context(cafile=str(cluster.paths.pki / "ca.crt"))
    return http.client.HTTPSConnection(address, timeout=HEALTH_SECONDS, context=tls)


def _failed(cluster: Cluster, component: Component, how: str) -> ClusterError:
    log = cluster.paths.log(component.name)
    return ClusterError(
        f"{component.name} of cluster {cluster.name} {how}; the end of its log:\n{tail(log)}",
        f"read {log}, then run `up` again: it starts what is not running",
    )
