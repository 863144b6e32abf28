"""What runs beside the control plane: metrics-server, and kwok with its fake nodes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from string import Template
from typing import Any

from . import api, gobuild, naming
from .component import Component
from .record import Cluster

METRICS_PORT = 4443
FAKE_NODE = "kwok.x-k8s.io/node"
"""Annotation of nodes that kwok looks after, and key of their taint."""

_METRICS_SERVER = Path(__file__).with_name("metrics-server.yaml")
_ASSIGNED_USERS = Path(__file__).with_name("assigned-users.yaml")


def metrics_server(cluster: Cluster) -> Component:
    """metrics-server as a process of the node; it measures what the autoscaler asks for."""
    kubeconfig = cluster.paths.config / "metrics-server.kubeconfig"
    pki = cluster.paths.pki
    return Component(
        "metrics-server",
        (
            str(gobuild.METRICS_SERVER.bin_dir() / "metrics-server"),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={cluster.address}",
            f"--secure-port={METRICS_PORT}",
            f"--tls-cert-file={pki / 'metrics-server.crt'}",
            f"--tls-private-key-file={pki / 'metrics-server.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            "--kubelet-preferred-address-types=InternalIP",
            # The default of 15 s and 10 s would make autoscaling demos slower than need be.
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        ),
        health=f"https://{naming.authority(cluster.address, METRICS_PORT)}/livez",
    )


def register_metrics_server(cluster: Cluster) -> None:
    """Give it its rights and tell the API server where it answers."""
    authority = base64.b64encode((cluster.paths.pki / "ca.crt").read_bytes()).decode()
    api.apply(
        cluster,
        Template(_METRICS_SERVER.read_text()).substitute(
            family=cluster.families[0].replace("ip", "IP"),
            address=cluster.address,
            port=METRICS_PORT,
            authority=authority,
        ),
    )


def assign_users(cluster: Cluster) -> None:
    """Let the cluster choose the users of pods and refuse others, as OpenShift does."""
    api.apply(cluster, _ASSIGNED_USERS.read_text())


def kwok(cluster: Cluster) -> Component:
    """kwok: fake nodes whose pods "run" at once, for a scale that one machine cannot hold."""
    address = cluster.authority("kwok")
    return Component(
        "kwok",
        (
            str(gobuild.KWOK.bin_dir() / "kwok"),
            f"--kubeconfig={cluster.paths.config / 'kwok.kubeconfig'}",
            f"--manage-nodes-with-annotation-selector={FAKE_NODE}=fake",
            # Without leases the nodes' heartbeats are minutes apart, and they are taken for dead.
            "--node-lease-duration-seconds=40",
            f"--server-address={address}",
        ),
        health=f"http://{address}/healthz",
    )


def create_fake_nodes(cluster: Cluster) -> None:
    """Create the cluster's fake nodes; those that exist stay as they are."""
    nodes = [fake_node(f"kwok-{n}", tainted=cluster.has_node) for n in range(cluster.kwok_nodes)]
    if nodes:
        api.apply(cluster, json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))


def fake_node(name: str, *, tainted: bool) -> dict[str, Any]:
    """A fake node. Beside a real one it is tainted, so that pods go there only when they ask."""
    taint = {"key": FAKE_NODE, "value": "fake", "effect": "NoSchedule"}
    labels = {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {FAKE_NODE: "fake"}, "labels": labels},
        "spec": {"taints": [taint] if tainted else []},
    }
