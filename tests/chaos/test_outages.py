"""API server and etcd go away and come back."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from support.api import Api, eventually
from support.changes import Changes
from support.cluster import LocalCluster
from support.endstate import await_order
from support.operator import Supervisor


def test_etcd_is_restored_from_a_backup(
    cluster: LocalCluster, api: Api, operator_config: Path, namespace: str, tmp_path: Path
) -> None:
    """The cluster's past comes back under an operator that has seen its future.

    It has no Lease, for losing it would end the process, whose successor remembers nothing.
    """
    flags = ("--leader-election=false", "--resync-seconds=10")
    with Supervisor(operator_config, tmp_path / "operator.log", *flags) as operator:
        _restore(cluster, api, namespace, tmp_path / "backup")
        assert operator.exits == [1]
    assert "was the cluster restored?" in operator.says()
    assert "Traceback" not in operator.says()


def _await_ready(cluster: LocalCluster) -> None:
    """Until the API server reaches etcd again."""
    ask = ("get", "--raw", "/readyz")
    eventually(lambda: cluster.try_kubectl(*ask).returncode == 0, within=90, every=0.5)


def _restore(cluster: LocalCluster, api: Api, namespace: str, backup: Path) -> None:
    data = cluster.kubeconfig.parent / "etcd"
    changes = Changes(api, namespace, seed=4, count=5)
    await_order(api, namespace, changes.wanted)
    cluster.component("stop", "etcd")
    shutil.copytree(data, backup)
    cluster.component("start", "etcd")
    _await_ready(cluster)
    then = dict(changes.wanted)
    changes.some(20)
    await_order(api, namespace, changes.wanted)
    # As kubeadm's documentation has it: the API server is stopped, the others are restarted.
    for name in ("kube-apiserver", "etcd"):
        cluster.component("stop", name)
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    for name in ("etcd", "kube-apiserver"):
        cluster.component("start", name)
    _await_ready(cluster)
    for name in ("kube-controller-manager", "kube-scheduler", "kwok"):
        cluster.component("restart", name)
    await_order(api, namespace, then, within=120)
    changes.wanted = then
    changes.some(10)
    await_order(api, namespace, changes.wanted, within=120)


def test_the_api_server_is_away_for_a_while(
    cluster: LocalCluster, api: Api, operator: Supervisor, namespace: str, long: bool
) -> None:
    changes = Changes(api, namespace, seed=1, count=10)
    await_order(api, namespace, changes.wanted)
    changes.some(10)
    # As where the machine of the control plane is away. A controller that comes back before the
    # fake nodes do marks their pods unready, and those never say that they are ready again.
    for name in ("kube-controller-manager", "kube-apiserver"):
        cluster.component("stop", name)
    try:
        time.sleep(120 if long else 15)
    finally:
        cluster.component("start", "kube-apiserver")
        cluster.component("restart", "kwok")
        cluster.component("start", "kube-controller-manager")
    changes.some(10)
    await_order(api, namespace, changes.wanted, within=180)


def test_etcd_restarts_under_way(
    cluster: LocalCluster, api: Api, operator: Supervisor, namespace: str, long: bool
) -> None:
    changes = Changes(api, namespace, seed=2)
    for _ in range(5 if long else 1):
        changes.create(5)
        cluster.component("restart", "etcd")
        _await_ready(cluster)
        changes.some(5)
    # A fake pod whose start met a refused write is not tried again, until kwok starts anew.
    cluster.component("restart", "kwok")
    await_order(api, namespace, changes.wanted, within=180)
