"""Checks that this machine can run a cluster, and makes the programs available."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from . import debian, gobuild
from .console import ClusterError
from .paths import cache_root, refuse_hidden, state_root
from .record import Cluster, Options, Profile

ELSEWHERE = (
    "use an existing cluster (CLUSTER=current CONTEXT=name) or kind and Docker (CLUSTER=kind)"
)


_IPV6 = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")


def check(options: Options) -> None:
    """Raise unless this machine can run it; the message says what can be used instead."""
    profile = options.profile
    if not sys.platform.startswith("linux"):
        raise ClusterError(f"the local cluster needs Linux, and this is {sys.platform}", ELSEWHERE)
    if profile == "node":
        if os.geteuid() != 0:
            raise ClusterError(
                "a node needs root: it makes namespaces, network links and control groups",
                f"run it with sudo; or use --profile control-plane (no pods run); or {ELSEWHERE}",
            )
        refuse_hidden("RISKPREDICTOR_STATE", state_root())
        refuse_hidden("RISKPREDICTOR_CACHE", cache_root())
    if options.ip_family in ("ipv6", "dual") and not has_ipv6():
        raise ClusterError(
            f"--ip-family {options.ip_family}: this machine has no IPv6, or it is switched off",
            "sysctl net.ipv6.conf.all.disable_ipv6=0; without that file the kernel lacks it",
        )
    built = gobuild.KUBERNETES.bin_dir()
    if shutil.which("go") is None and not all((built / p).exists() for p in _programs(profile)):
        raise ClusterError(
            "`go` was not found, and Kubernetes is built from source here",
            f"install Go 1.24 or newer, or {ELSEWHERE}",
        )


def has_ipv6() -> bool:
    """Whether this machine's kernel has IPv6, and switched on."""
    return _IPV6.exists() and _IPV6.read_text().strip() == "0"


def ensure(cluster: Cluster) -> None:
    """Install packages and build programs as far as they are missing."""
    debian.ensure({**debian.CONTROL_PLANE, **(debian.NODE if cluster.has_node else {})})
    gobuild.ensure(gobuild.KUBERNETES, _programs(cluster.profile))
    if cluster.has_node:
        gobuild.ensure(gobuild.METRICS_SERVER, ["metrics-server"])
        gobuild.ensure(gobuild.PAUSE, ["pause"])
    if cluster.kwok_nodes:
        gobuild.ensure(gobuild.KWOK, ["kwok"])


def _programs(profile: Profile) -> tuple[str, ...]:
    node = gobuild.NODE_PROGRAMS if profile == "node" else ()
    return (*gobuild.CONTROL_PLANE_PROGRAMS, *node)
