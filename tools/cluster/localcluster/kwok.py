"""Fake nodes whose pods "run" at once, for a scale that one machine cannot hold."""

from __future__ import annotations

from typing import Any

from .api import Api
from .component import Component
from .record import Cluster
from .toolbox import Toolbox

ANNOTATION = "kwok.x-k8s.io/node"


def component(cluster: Cluster, tools: Toolbox) -> Component:
    address = f"{cluster.address}:{cluster.ports['kwok']}"
    return Component(
        "kwok",
        (
            str(tools.kwok / "kwok"),
            f"--kubeconfig={cluster.paths.config / 'kwok.kubeconfig'}",
            f"--manage-nodes-with-annotation-selector={ANNOTATION}=fake",
            # Without leases the nodes' heartbeats are minutes apart, and they are taken for dead.
            "--node-lease-duration-seconds=40",
            f"--server-address={address}",
        ),
        health=f"http://{address}/healthz",
    )


def ensure_nodes(cluster: Cluster, api: Api) -> None:
    """Create the fake nodes; applying the same again changes nothing."""
    for number in range(cluster.kwok_nodes):
        manifest = node(f"kwok-{number}", tainted=cluster.has_node)
        api.apply(f"/api/v1/nodes/kwok-{number}", manifest)


def node(name: str, *, tainted: bool) -> dict[str, Any]:
    """A fake node. Beside a real one it is tainted, so that pods go there only when they ask."""
    taint = {"key": ANNOTATION, "value": "fake", "effect": "NoSchedule"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {ANNOTATION: "fake"},
            "labels": {
                "type": "kwok",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
            },
        },
        "spec": {"taints": [taint] if tainted else []},
    }
