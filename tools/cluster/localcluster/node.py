"""Command lines and configuration files of containerd, kubelet and kube-proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import api, debian, gobuild
from .component import Component
from .control_plane import POD_CIDR
from .namespace import BRIDGE
from .record import Cluster

POD_SUBNET = "10.244.0.0/24"
CLUSTER_DNS = "10.96.0.10"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CONTAINERD_METRICS_PORT = 1338
PAUSE_IMAGE = "docker.io/library/riskpredictor-pause:1"


def components(cluster: Cluster) -> list[Component]:
    """The node's daemons. Paths below /run and /var are the node's own, see ``namespace.py``."""
    programs = gobuild.KUBERNETES.bin_dir()
    return [
        _containerd(cluster),
        _kubelet(cluster, programs / "kubelet"),
        _kube_proxy(cluster, programs / "kube-proxy"),
    ]


def _containerd(cluster: Cluster) -> Component:
    config = cluster.paths.config / "containerd.toml"
    network = cluster.paths.config / "cni"
    plugins = Path(debian.find("cni:bridge") or "/usr/lib/cni/bridge").parent
    metrics = f"{cluster.address}:{CONTAINERD_METRICS_PORT}"
    return Component(
        "containerd",
        (debian.find("containerd") or "containerd", f"--config={config}"),
        health=f"http://{metrics}/v1/metrics",
        files={
            config: containerd_config(metrics, plugins, network),
            network / "10-bridge.conflist": json.dumps(network_config(), indent=2) + "\n",
        },
    )


def containerd_config(metrics_address: str, plugin_dir: Path, network_dir: Path) -> str:
    """containerd's configuration, format version 2 (containerd 1.5 and newer)."""
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "{CONTAINERD_SOCKET}"

[metrics]
  address = "{metrics_address}"

# Its default is a folder of the host that `down` would have to know.
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE (machines inside a sandbox) runc cannot lower the score and fails.
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugin_dir}"
  conf_dir = "{network_dir}"
"""


def network_config() -> dict[str, Any]:
    """Pods on one bridge; their addresses are routed, not translated: nothing leaves the node."""
    return {
        "cniVersion": "0.4.0",
        "name": "riskpredictor",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isDefaultGateway": True,
                "hairpinMode": True,
                "ipMasq": False,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_SUBNET}]]},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(cluster: Cluster, program: Path) -> Component:
    config = cluster.paths.config / "kubelet.json"
    return Component(
        "kubelet",
        (
            str(program),
            f"--config={config}",
            f"--kubeconfig={cluster.paths.config / 'kubelet.kubeconfig'}",
            f"--node-ip={cluster.address}",
            f"--hostname-override={cluster.node_name}",
        ),
        health=f"http://{cluster.address}:10248/healthz",
        files={config: json.dumps(kubelet_config(cluster), indent=2) + "\n"},
    )


def kubelet_config(cluster: Cluster) -> dict[str, Any]:
    """KubeletConfiguration v1beta1."""
    pki = cluster.paths.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": cluster.address,
        "healthzBindAddress": cluster.address,
        "healthzPort": 10248,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cluster.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        # The host's name servers cannot be reached from the node.
        "resolvConf": "/dev/null",
        "localStorageCapacityIsolation": False,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        # Images were loaded by hand and cannot be pulled again: never collect them.
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "oomScoreAdj": 0,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }


def _kube_proxy(cluster: Cluster, program: Path) -> Component:
    health = f"{cluster.address}:10256"
    return Component(
        "kube-proxy",
        (
            str(program),
            f"--kubeconfig={cluster.paths.config / 'kube-proxy.kubeconfig'}",
            f"--hostname-override={cluster.node_name}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={POD_CIDR}",
            # A pod that ends must leave its Service at once, or requests are lost.
            "--iptables-min-sync-period=200ms",
            # The table's size belongs to the host and cannot be changed from a namespace.
            "--conntrack-max-per-core=0",
            f"--healthz-bind-address={health}",
            f"--metrics-bind-address={cluster.address}:10249",
            "--oom-score-adj=0",
        ),
        health=f"http://{health}/healthz",
    )


def is_ready(cluster: Cluster) -> bool:
    """True once the kubelet reports the node Ready."""
    node = api.get(cluster, f"/api/v1/nodes/{cluster.node_name}")
    conditions = node["status"].get("conditions", []) if node else []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
