"""The life of a cluster: up, down, and single components stopped and started on purpose."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path

from . import (
    claim,
    control_plane,
    debian,
    kubeconfig,
    kwok,
    metrics_server,
    namespace,
    node,
    pause,
    pki,
    record,
    supervise,
    toolbox,
)
from .api import Api
from .component import Component
from .errors import ClusterError
from .lock import file_lock
from .naming import validate_name
from .paths import ClusterPaths, state_root
from .process import marked, wait_until
from .progress import say, step
from .record import Cluster, Profile
from .toolbox import Toolbox

KUBECONFIG_USERS = ("controller-manager", "scheduler", "kwok")
NODE_KUBECONFIG_USERS = ("kubelet", "kube-proxy", "metrics-server")

# These are started first; the others need an API server that answers.
FOUNDATION = ("etcd", "kube-apiserver", "containerd")


def components(cluster: Cluster) -> list[Component]:
    """All components of a cluster in starting order."""
    tools = Toolbox.locate()
    found = control_plane.components(cluster, debian.find("etcd") or "etcd", tools.kubernetes)
    if cluster.has_node:
        found += node.components(cluster, tools)
        found.append(metrics_server.component(cluster, tools))
    if cluster.kwok_nodes:
        found.append(kwok.component(cluster, tools))
    return found


def up(name: str, profile: Profile, kwok_nodes: int = 0) -> Cluster:
    """Make the cluster, or repair what is not running in it. Returns once it is usable."""
    validate_name(name)
    toolbox.require_platform(profile)
    start = time.monotonic()
    with _lock(name):
        cluster = claim.claim(name, profile, kwok_nodes)
        toolbox.prepare(profile, kwok=cluster.kwok_nodes > 0)
        pki.ensure(cluster)
        _write_kubeconfigs(cluster)
        holder = namespace.ensure(cluster) if cluster.has_node else None
        _start(cluster, holder)
        _wait_usable(cluster)
    say(f"cluster {name} ({profile}) is up: {time.monotonic() - start:.1f} s")
    return cluster


def _write_kubeconfigs(cluster: Cluster) -> None:
    cluster.paths.config.mkdir(exist_ok=True)
    users = KUBECONFIG_USERS + (NODE_KUBECONFIG_USERS if cluster.has_node else ())
    for user in users:
        kubeconfig.write(cluster, user, cluster.paths.config / f"{user}.kubeconfig")
    kubeconfig.write(cluster, "admin", cluster.paths.kubeconfig)


def _start(cluster: Cluster, holder: int | None) -> None:
    wanted = components(cluster)
    first = [c for c in wanted if c.name in FOUNDATION]
    rest = [c for c in wanted if c.name not in FOUNDATION]
    with step(f"starting {', '.join(c.name for c in first)}"):
        for component in first:
            supervise.start(cluster, component, holder)
        supervise.wait_healthy(cluster, first)
    api = Api(cluster)
    if holder is not None:
        pause.ensure_image(holder)
        metrics_server.register(cluster, api)
    kwok.ensure_nodes(cluster, api)
    with step(f"starting {', '.join(c.name for c in rest)}"):
        for component in rest:
            supervise.start(cluster, component, holder)
        supervise.wait_healthy(cluster, rest)


def _wait_usable(cluster: Cluster) -> None:
    """Wait until pods can be created and, where there is a node, run."""
    api = Api(cluster)
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    if not wait_until(lambda: api.get(account) is not None, supervise.READY_SECONDS):
        raise ClusterError(
            "the controller manager made no default service account",
            f"read {cluster.paths.log('kube-controller-manager')}",
        )
    if cluster.has_node and not wait_until(
        lambda: node.is_ready(api, cluster), supervise.READY_SECONDS
    ):
        raise ClusterError(
            f"node {cluster.node_name} did not become Ready",
            f"read {cluster.paths.log('kubelet')} and {cluster.paths.log('containerd')}",
        )


def down(name: str) -> bool:
    """Remove everything that the cluster made; False if there was nothing."""
    validate_name(name)
    paths = ClusterPaths.of(name)
    with _lock(name):
        if not paths.root.exists():
            return False
        cluster = _load_or_none(name)
        if cluster is not None and cluster.has_node:
            namespace.destroy(cluster)
        _end_processes(paths.root)
        if cluster is not None and cluster.has_node:
            namespace.remove_traces(cluster)
        shutil.rmtree(paths.root)
    return True


def _load_or_none(name: str) -> Cluster | None:
    try:
        return record.load(name)
    except ClusterError as error:
        say(f"{error.message}; ending its processes by their mark")
        return None


def _end_processes(root: Path) -> None:
    """End what carries the cluster's mark, also what a crash kept from being remembered.

    At once: there is no data to be kept.
    """

    def ended() -> bool:
        for process in marked(root):
            process.kill(signal.SIGKILL)
        return not marked(root)

    if not wait_until(ended, 30):
        raise ClusterError(
            f"processes of {root.name} do not end: {[p.pid for p in marked(root)]}",
            "look at them with `ps`, then run `down` again",
        )


def existing(name: str) -> Cluster:
    """The remembered cluster, or an error that says how to make it."""
    validate_name(name)
    cluster = record.load(name)
    if cluster is None:
        raise ClusterError(f"there is no cluster {name}", f"make it: `cluster.py up --name {name}`")
    return cluster


def stop_component(name: str, component: str) -> bool:
    """Stop one component and leave it stopped; False if it did not run."""
    cluster = existing(name)
    with _lock(name):
        return supervise.stop(cluster, _component(cluster, component).name)


def start_component(name: str, component: str) -> bool:
    """Start one component and wait until it is healthy; False if it ran already."""
    cluster = existing(name)
    with _lock(name):
        wanted = _component(cluster, component)
        holder = namespace.require(cluster) if cluster.has_node else None
        started = supervise.start(cluster, wanted, holder)
        supervise.wait_healthy(cluster, [wanted])
    return started


def _component(cluster: Cluster, name: str) -> Component:
    found = {component.name: component for component in components(cluster)}
    if name not in found:
        raise ClusterError(
            f"cluster {cluster.name} ({cluster.profile}) has no component {name!r}",
            f"one of: {', '.join(found)}",
        )
    return found[name]


def _lock(name: str) -> AbstractContextManager[None]:
    return file_lock(state_root() / "locks" / f"cluster-{name}.lock", f"cluster {name}")
