"""Brings a cluster up and down, and stops and starts its components on purpose."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import AbstractContextManager
from functools import partial
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
from .record import Cluster, Options
from .run import file_lock

KUBECONFIG_USERS = ("controller-manager", "scheduler", "kwok")
NODE_KUBECONFIG_USERS = ("kube-proxy", "metrics-server")

# Those whose names begin so are started first; the others need an API server that answers.
FOUNDATION = ("etcd", "kube-apiserver", "containerd")


def components(cluster: Cluster) -> list[Component]:
    """All components of a cluster in starting order."""
    found = control_plane.components(cluster)
    for each in cluster.nodes:
        found += node.components(each)
    if cluster.has_node:
        found.append(addons.metrics_server(cluster))
    if cluster.kwok_nodes:
        found.append(addons.kwok(cluster))
    return found


def up(name: str, options: Options) -> Cluster:
    """Make the cluster, or repair what is not running in it. Returns once it is usable."""
    validate_name(name)
    prerequisites.check(options)
    start = time.monotonic()
    with _lock(name):
        cluster = record.allocate(name, options)
        prerequisites.ensure(cluster)
        pki.ensure(cluster)
        _write_kubeconfigs(cluster)
        _start(cluster, namespace.ensure(cluster))
        _wait_usable(cluster)
    say(f"cluster {name} ({options.profile}) is up: {time.monotonic() - start:.1f} s")
    return cluster


def _write_kubeconfigs(cluster: Cluster) -> None:
    cluster.paths.config.mkdir(exist_ok=True)
    users = KUBECONFIG_USERS + (NODE_KUBECONFIG_USERS if cluster.has_node else ())
    kubelets = [f"kubelet{each.suffix}" for each in cluster.nodes]
    for user in (*users, *kubelets):
        path = cluster.paths.config / f"{user}.kubeconfig"
        write_private(path, pki.kubeconfig(cluster, user))
    write_private(cluster.paths.kubeconfig, pki.kubeconfig(cluster, "admin"))


def _start(cluster: Cluster, namespaces: list[int]) -> None:
    wanted = components(cluster)
    first = [c for c in wanted if c.name.startswith(FOUNDATION)]
    _start_all(cluster, first, namespaces)
    for namespace_pid in namespaces:
        images.ensure_pause_image(namespace_pid)
    if cluster.has_node:
        addons.register_metrics_server(cluster)
    if cluster.assigned_users:
        addons.assign_users(cluster)
    addons.create_fake_nodes(cluster)
    _start_all(cluster, [c for c in wanted if c not in first], namespaces)


def _start_all(cluster: Cluster, wanted: list[Component], namespaces: list[int]) -> None:
    with step(f"starting {', '.join(c.name for c in wanted)}"):
        for each in wanted:
            component.start(cluster, each, namespaces)
        component.wait_healthy(cluster, wanted)


def _wait_usable(cluster: Cluster) -> None:
    """Wait until pods can be created and, where there is a node, run."""
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    if not wait_until(lambda: api.get(cluster, account) is not None, READY_SECONDS, interval=0.2):
        raise ClusterError(
            "the controller manager made no default service account",
            f"read {cluster.paths.log('kube-controller-manager')}",
        )
    for each in cluster.nodes:
        if not wait_until(partial(node.is_ready, each), READY_SECONDS, interval=0.2):
            logs = (str(cluster.paths.log(f"{c}{each.suffix}")) for c in ("kubelet", "containerd"))
            raise ClusterError(
                f"node {each.name} did not become Ready", f"read {' and '.join(logs)}"
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
        namespaces = [namespace.require(each) for each in cluster.nodes]
        started = component.start(cluster, found, namespaces)
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
