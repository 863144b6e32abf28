"""Bring the components of a cluster to the state they should be in, and look at them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from . import health
from .component import Component
from .errors import ClusterError
from .process import Running, child_of, marked_running, spawn, wait_until
from .progress import tail
from .record import Cluster

READY_SECONDS = 90.0

# The API server may have long-running requests to end.
GRACE_SECONDS = 5.0


def process_file(cluster: Cluster, name: str) -> Path:
    return cluster.paths.processes / f"{name}.json"


def running(cluster: Cluster, name: str) -> Running | None:
    """The component's process if it lives."""
    return Running.load(process_file(cluster, name))


def enter(holder: int) -> list[str]:
    """Command prefix that runs a program inside the node.

    ``nsenter`` and not ``ip netns exec``: the latter mounts a /sys without the control groups.
    """
    return ["nsenter", f"--target={holder}", "--mount", "--net", "--pid", "--uts", "--ipc", "--"]


def start(cluster: Cluster, component: Component, holder: int | None) -> bool:
    """Start it unless it runs with just this configuration; True if it was started."""
    current = running(cluster, component.name)
    if current is not None:
        if current.fingerprint == component.fingerprint():
            return False
        current.stop(GRACE_SECONDS)
    for stray in marked_running(cluster.paths.root, component.argv):
        # Started by a command that was killed before it could note the process.
        stray.stop(GRACE_SECONDS)
    component.write_files()
    prefix = enter(holder) if holder is not None else []
    log = cluster.paths.log(component.name)
    launched = spawn([*prefix, *component.argv], log, marker=cluster.paths.root)
    # nsenter stays outside and waits; the process to remember is the one inside.
    pid = launched.pid if holder is None else child_of(launched.pid)
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


def wait_healthy(
    cluster: Cluster, components: Sequence[Component], timeout: float = READY_SECONDS
) -> None:
    """Wait for all of them. Raises with the end of the log of the first that died or is unwell."""
    deadline = time.monotonic() + timeout
    for component in components:
        if not wait_until(
            lambda c=component: _settled(cluster, c),  # type: ignore[misc]
            max(0.0, deadline - time.monotonic()),
        ):
            raise _failed(cluster, component, f"is not healthy after {timeout:.0f} s")
        if running(cluster, component.name) is None:
            raise _failed(cluster, component, "ended")


def _settled(cluster: Cluster, component: Component) -> bool:
    return running(cluster, component.name) is None or health.answers(cluster, component)


def _failed(cluster: Cluster, component: Component, how: str) -> ClusterError:
    log = cluster.paths.log(component.name)
    return ClusterError(
        f"{component.name} of cluster {cluster.name} {how}; the end of its log:\n{tail(log)}",
        f"read {log}, then run `up` again: it starts what is not running",
    )
