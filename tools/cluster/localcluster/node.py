"""Command lines and configuration files of containerd, kubelet and kube-proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import api, debian, gobuild
from .component import Component
from .naming import POD_CIDR, authority, pod_subnet, service_address
from .record import Node

BRIDGE = "cni0"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CONTAINERD_METRICS_PORT = 1338
PAUSE_IMAGE = "docker.io/library/riskpredictor-pause:1"


def components(node: Node) -> list[Component]:
    """The node's daemons. Paths below /run and /var are the node's own, see ``namespace.py``."""
    programs = gobuild.KUBERNETES.bin_dir()
    return [
        _containerd(node),
        _kubelet(node, programs / "kubelet"),
        _kube_proxy(node, programs / "kube-proxy"),
    ]


def _containerd(node: Node) -> Component:
    folder = node.cluster.paths.config
    config = folder / f"containerd{node.suffix}.toml"
    network = folder / f"cni{node.suffix}"
    plugins = Path(debian.find("cni:bridge") or "/usr/lib/cni/bridge").parent
    metrics = authority(node.address, CONTAINERD_METRICS_PORT)
    return Component(
        f"containerd{node.suffix}",
        (debian.find("containerd") or "containerd", f"--config={config}"),
        health=f"http://{metrics}/v1/metrics",
        files={
            config: containerd_config(metrics, plugins, network),
            network / "10-bridge.conflist": json.dumps(network_config(node), indent=2) + "\n",
        },
        node=node.number,
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


def network_config(node: Node) -> dict[str, Any]:
    """Pods on one bridge; their addresses are routed, not translated: none is known outside."""
    subnets = [pod_subnet(family, node.number) for family in node.cluster.families]
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
                "ipam": {"type": "host-local", "ranges": [[{"subnet": s}] for s in subnets]},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(node: Node, program: Path) -> Component:
    folder = node.cluster.paths.config
    config = folder / f"kubelet{node.suffix}.json"
    return Component(
        f"kubelet{node.suffix}",
        (
            str(program),
            f"--config={config}",
            f"--kubeconfig={folder / f'kubelet{node.suffix}.kubeconfig'}",
            f"--node-ip={','.join(node.addresses)}",
            f"--hostname-override={node.name}",
        ),
        health=f"http://{authority(node.address, 10248)}/healthz",
        files={config: json.dumps(kubelet_config(node), indent=2) + "\n"},
        node=node.number,
    )


def kubelet_config(node: Node) -> dict[str, Any]:
    """KubeletConfiguration v1beta1."""
    pki = node.cluster.paths.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "healthzBindAddress": node.address,
        "healthzPort": 10248,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / f"kubelet{node.suffix}.crt"),
        "tlsPrivateKeyFile": str(pki / f"kubelet{node.suffix}.key"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [service_address(node.cluster.families[0], 10)],
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


def _kube_proxy(node: Node, program: Path) -> Component:
    cluster = node.cluster
    health = authority(node.address, 10256)
    return Component(
        f"kube-proxy{node.suffix}",
        (
            str(program),
            f"--kubeconfig={cluster.paths.config / 'kube-proxy.kubeconfig'}",
            f"--hostname-override={node.name}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={','.join(POD_CIDR[family] for family in cluster.families)}",
            # A pod that ends must leave its Service at once, or requests are lost.
            "--iptables-min-sync-period=200ms",
            # The table's size belongs to the host and cannot be changed from a namespace.
            "--conntrack-max-per-core=0",
            f"--healthz-bind-address={health}",
            f"--metrics-bind-address={authority(node.address, 10249)}",
            "--oom-score-adj=0",
        ),
        health=f"http://{health}/healthz",
        node=node.number,
    )


def is_ready(node: Node) -> bool:
    """True once the kubelet reports the node Ready."""
    found = api.get(node.cluster, f"/api/v1/nodes/{node.name}")
    conditions = found["status"].get("conditions", []) if found else []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
