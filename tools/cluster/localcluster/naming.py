"""Names, addresses and ports of a cluster, by calculation alone.

Every cluster has an index of its own. From it follow the loopback ports of a ``control-plane``
cluster and the /30 subnet that joins the host to the node of a ``node`` cluster, so clusters that
live side by side share nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from .console import ClusterError

MAX_NAME_LENGTH = 20
MAX_CLUSTERS = 200

# Below the kernel's default range for outgoing connections (32768 and up).
FIRST_PORT = 21000
PORTS_PER_CLUSTER = 10
PORT_OF = {
    "kube-apiserver": 0,
    "etcd": 1,
    "etcd-peer": 2,
    "etcd-metrics": 3,
    "kube-controller-manager": 4,
    "kube-scheduler": 5,
    "kwok": 6,
}

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def validate_name(name: str) -> str:
    """Return ``name`` if it is a DNS label (RFC 1123) of at most 20 characters, else raise."""
    if len(name) > MAX_NAME_LENGTH or not _DNS_LABEL.fullmatch(name):
        raise ClusterError(
            f"cluster name {name!r} is not usable",
            f"use 1 to {MAX_NAME_LENGTH} lower-case letters, digits and '-', "
            "beginning and ending with a letter or digit",
        )
    return name


def allocate_index(taken: Collection[int], is_free: Callable[[int], bool]) -> int:
    """The lowest index that no cluster has and whose ports or addresses nobody else uses."""
    for index in range(MAX_CLUSTERS):
        if index not in taken and is_free(index):
            return index
    raise ClusterError(
        f"all {MAX_CLUSTERS} places for clusters are taken",
        "remove some: `cluster.py down --name NAME` or `cluster.py down --all`",
    )


def loopback_ports(index: int) -> dict[str, int]:
    """The ports of a node-less cluster on 127.0.0.1."""
    base = FIRST_PORT + index * PORTS_PER_CLUSTER
    return {service: base + offset for service, offset in PORT_OF.items()}


def node_ports() -> dict[str, int]:
    """The ports inside a node's own network namespace: the usual ones, nobody competes."""
    return {
        "kube-apiserver": 6443,
        "etcd": 2379,
        "etcd-peer": 2380,
        "etcd-metrics": 2381,
        "kube-controller-manager": 10257,
        "kube-scheduler": 10259,
        "kwok": 10247,
    }


def link_subnet(index: int) -> str:
    """The subnet of the link that joins host and node."""
    return f"198.18.{index}.0/30"


def host_address(index: int) -> str:
    """The host's end of the link; 198.18.0.0/15 is set aside for test networks (RFC 2544)."""
    return f"198.18.{index}.1"


def node_address(index: int) -> str:
    """The node's end of the link."""
    return f"198.18.{index}.2"


def link_name(index: int) -> str:
    """The host's network interface; the kernel allows 15 characters."""
    return f"riskpred{index}"
