"""Brings a cluster up and down, and stops and starts its components on purpose."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path

from . import (
    addons,
    api,
    component,
    control_plane,
    images,
    namespace,
    node,
    pki,
    prerequisites,
    record,
)
from .component import READY_SECONDS, Component
from .console import ClusterError, say, step
from .naming import validate_name
from .paths import ClusterPaths, state_root, write_private
from .process import marked, wait_until
from .record import Cluster, Profile
from .run import file_lock

KUBECONFIG_USERS = ("controller-manager", "scheduler", "kwok")
NODE_KUBECONFIG_USERS = ("kubelet", "kube-proxy", "metrics-server")

# These are started first; the others need an API server that answers.
FOUNDATION = ("etcd", "kube-apiserver", "containerd")


def components(cluster: Cluster) -> list[Component]:
    """All components of a cluster in starting order."""
    found = control_plane.components(cluster)
    if cluster.has_node:
        found += [*node.components(cluster), addons.metrics_server(cluster)]
    if cluster.kwok_nodes:
        found.append(addons.kwok(cluster))
    return found


def up(name: str, profile: Profile, kwok_nodes: int = 0) -> Cluster:
    """Make the cluster, or repair what is not running in it. Returns once it is usable."""
    validate_name(name)
    prerequisites.check(profile)
    start = time.monotonic()
    with _lock(name):
        cluster = record.allocate(name, profile, kwok_nodes)
        prerequisites.ensure(cluster)
        pki.ensure(cluster)
        _write_kubeconfigs(cluster)
        namespace_pid = namespace.ensure(cluster) if cluster.has_node else None
        _start(cluster, namespace_pid)
        _wait_usable(cluster)
    say(f"cluster {name} ({profile}) is up: {time.monotonic() - start:.1f} s")
    return cluster


def _write_kubeconfigs(cluster: Cluster) -> None:
    cluster.paths.config.mkdir(exist_ok=True)
    users = KUBECONFIG_USERS + (NODE_KUBECONFIG_USERS if cluster.has_node else ())
    for user in users:
        path = cluster.paths.config / f"{user}.kubeconfig"
        write_private(path, pki.kubeconfig(cluster, user))
    write_private(cluster.paths.kubeconfig, pki.kubeconfig(cluster, "admin"))


def _start(cluster: Cluster, namespace_pid: int | None) -> None:
    wanted = components(cluster)
    _start_all(cluster, [c for c in wanted if c.name in FOUNDATION], namespace_pid)
    if namespace_pid is not None:
        images.ensure_pause_image(namespace_pid)
        addons.register_metrics_server(cluster)
    addons.create_fake_nodes(cluster)
    _start_all(cluster, [c for c in wanted if c.name not in FOUNDATION], namespace_pid)


def _start_all(cluster: Cluster, wanted: list[Component], namespace_pid: int | None) -> None:
    with step(f"starting {', '.join(c.name for c in wanted)}"):
        for each in wanted:
            component.start(cluster, each, namespace_pid)
        component.wait_healthy(cluster, wanted)


def _wait_usable(cluster: Cluster) -> None:
    """Wait until pods can be created and, where there is a node, run."""
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    if not wait_until(lambda: api.get(cluster, account) is not None, READY_SECONDS, interval=0.2):
        raise ClusterError(
            "the controller manager made no default service account",
            f"read {cluster.paths.log('kube-controller-manager')}",
        )
    if cluster.has_node and not wait_until(
        lambda: node.is_ready(cluster), READY_SECONDS, interval=0.2
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
        say(f"{error.message}; ending all processes that carry its mark")
        return None


def _end_processes(root: Path) -> None:
    """Kill every process that carries the cluster's mark (``process.marked``), recorded or not."""

    def ended() -> bool:
        for process in marked(root):
            process.kill(signal.SIGKILL)
        return not marked(root)

    if not wait_until(ended, 30):
        raise ClusterError(
            f"processes of {root.name} do not end: {[p.pid for p in marked(root)]}",
            "look at them with `ps`, then run `down` again",
        )


def stop_component(name: str, wanted: str) -> bool:
    """Stop one component and leave it stopped; False if it did not run."""
    cluster = record.existing(name)
    with _lock(name):
        return component.stop(cluster, _find(cluster, wanted).name)


def start_component(name: str, wanted: str) -> bool:
    """Start one component and wait until it is healthy; False if it ran already."""
    cluster = record.existing(name)
    with _lock(name):
        found = _find(cluster, wanted)
        namespace_pid = namespace.require(cluster) if cluster.has_node else None
        started = component.start(cluster, found, namespace_pid)
        component.wait_healthy(cluster, [found])
    return started


def _find(cluster: Cluster, name: str) -> Component:
    found = {each.name: each for each in components(cluster)}
    if name not in found:
        raise ClusterError(
            f"cluster {cluster.name} ({cluster.profile}) has no component {name!r}",
            f"one of: {', '.join(found)}",
        )
    return found[name]


def _lock(name: str) -> AbstractContextManager[None]:
    return file_lock(state_root() / "locks" / f"cluster-{name}.lock", f"cluster {name}")
