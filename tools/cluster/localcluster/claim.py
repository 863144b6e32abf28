"""Give a cluster its place: an index that no other cluster on this machine uses."""

from __future__ import annotations

import socket
from pathlib import Path

from . import naming, record
from .errors import ClusterError
from .lock import file_lock
from .paths import state_root
from .record import Cluster, Profile


def claim(name: str, profile: Profile, kwok_nodes: int) -> Cluster:
    """The remembered cluster of that name, or a new one with a place of its own."""
    naming.validate_name(name)
    with file_lock(state_root() / "locks" / "allocation.lock", "the list of clusters"):
        known = record.load(name)
        if known is not None:
            cluster = _checked(known, profile).with_kwok_nodes(max(kwok_nodes, known.kwok_nodes))
        else:
            taken = {c.index for c in map(record.load, record.names()) if c is not None}
            index = naming.allocate_index(taken, lambda i: _free(i, profile))
            cluster = Cluster(name, profile, index, kwok_nodes)
        if cluster != known:
            cluster.save()
        return cluster


def _checked(known: Cluster, profile: Profile) -> Cluster:
    if known.profile != profile:
        raise ClusterError(
            f"cluster {known.name} exists with profile {known.profile}, not {profile}",
            f"use another --name, or first `cluster.py down --name {known.name}`",
        )
    return known


def _free(index: int, profile: Profile) -> bool:
    if profile == "node":
        return not Path("/sys/class/net", naming.link_name(index)).exists()
    return all(_bindable(port) for port in naming.loopback_ports(index).values())


def _bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do it: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
