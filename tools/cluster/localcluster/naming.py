"""Names, addresses and ports of a cluster, by calculation alone.

Every cluster has an index of its own. From it follow the loopback ports of a ``control-plane``
cluster and the subnets that join the host and the nodes of a ``node`` cluster, so clusters that
live side by side share nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from typing import Literal

from .console import ClusterError

Family = Literal["ipv4", "ipv6"]

MAX_NAME_LENGTH = 20
MAX_CLUSTERS = 200
MAX_NODES = 9

LOOPBACK: dict[Family, str] = {"ipv4": "127.0.0.1", "ipv6": "::1"}

# The same in each cluster: they are known inside the nodes only.
SERVICE_CIDR: dict[Family, str] = {"ipv4": "10.96.0.0/16", "ipv6": "fd00:10:96::/112"}
POD_CIDR: dict[Family, str] = {"ipv4": "10.244.0.0/16", "ipv6": "fd00:10:244::/56"}

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
    """The ports of a node-less cluster on the loopback address."""
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


def link_addresses(family: Family, index: int, node: int) -> tuple[str, str, int]:
    """The outer and the inner end of the link that leads to a node, and the length of its prefix.

    The first node's link begins on the host, the others' in the first node.
    198.18.0.0/15 is set aside for test networks (RFC 2544), fd00::/8 for private ones (RFC 4193).
    """
    if family == "ipv4":
        return f"198.18.{index}.{4 * node + 1}", f"198.18.{index}.{4 * node + 2}", 30
    # RFC 5952's spelling, which str() gives: the API server takes no other in an EndpointSlice.
    link = ipaddress.ip_network(f"fd00:198:18:{index << 8 | node:x}::/64")
    return str(link[1]), str(link[2]), 64


def link_range(family: Family, index: int) -> str:
    """The links of all nodes of a cluster."""
    if family == "ipv4":
        return f"198.18.{index}.0/24"
    return _canonical(f"fd00:198:18:{index << 8:x}::/56")


def pod_subnet(family: Family, node: int) -> str:
    """The addresses of a node's pods."""
    return f"10.244.{node}.0/24" if family == "ipv4" else _canonical(f"fd00:10:244:{node:x}::/64")


def _canonical(subnet: str) -> str:
    """The spelling of RFC 5952, as in ``link_addresses``."""
    return str(ipaddress.ip_network(subnet))


def service_address(family: Family, number: int) -> str:
    """An address of a Service; the first is that of the API server."""
    return str(ipaddress.ip_network(SERVICE_CIDR[family])[number])


def authority(address: str, port: int) -> str:
    """Address and port as they stand in a URL."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def link_name(index: int) -> str:
    """The host's network interface; the kernel allows 15 characters."""
    return f"riskpred{index}"
