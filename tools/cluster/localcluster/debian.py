"""Installs the programs that come from Debian packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from .console import ClusterError, say
from .paths import cache_root
from .run import file_lock, run_logged

CNI_DIRS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))

CONTROL_PLANE: Mapping[str, str] = {"etcd": "etcd-server", "openssl": "openssl"}
NODE: Mapping[str, str] = {
    "containerd": "containerd",
    "runc": "runc",
    "cni:bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
IMAGES: Mapping[str, str] = {"buildah": "buildah", "debootstrap": "debootstrap"}

# Daemons and package scripts need these even where a user's PATH leaves them out.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = "#!/bin/sh\n# By tools/cluster: packages start no services.\nexit 101\n"


def find(program: str) -> str | None:
    """The full path of a program or, as ``cni:NAME``, of a network plugin."""
    if program.startswith("cni:"):
        plugin = program.removeprefix("cni:")
        return next((str(d / plugin) for d in CNI_DIRS if (d / plugin).exists()), None)
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def missing_packages(needed: Mapping[str, str]) -> list[str]:
    """Debian packages of those programs that are not on this machine."""
    return sorted({package for program, package in needed.items() if find(program) is None})


def ensure(needed: Mapping[str, str]) -> None:
    """Install what is missing when root on Debian, else raise with the line that would do it."""
    packages = missing_packages(needed)
    if not packages:
        return
    command = f"apt-get update && apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise ClusterError(
            f"programs are missing; on Debian they are in: {', '.join(packages)}",
            "install them with this system's package manager, or use CLUSTER=kind",
        )
    if os.geteuid() != 0:
        raise ClusterError(
            f"packages are missing: {', '.join(packages)}", f"run as root: {command}"
        )
    with packages_lock():
        packages = missing_packages(needed)
        if packages:
            _install(packages)
    still = missing_packages(needed)
    if still:
        raise ClusterError(f"installed, yet programs are missing from: {', '.join(still)}")


def _install(packages: list[str]) -> None:
    logs = cache_root() / "logs"
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    try:
        run_logged(
            "apt-get update", ["apt-get", "update", *wait], logs / "apt-update.log", env=quiet
        )
    except ClusterError as error:
        # One unreachable source of many fails the update, yet the packages may be had.
        say(f"{error.message}\n  going on: the installation will tell if that matters")
    with no_services_started():
        run_logged(
            f"installing {' '.join(packages)}",
            ["apt-get", "install", "-y", "--no-install-recommends", *wait, *packages],
            logs / "apt-install.log",
            env=quiet,
        )


def packages_lock() -> AbstractContextManager[None]:
    """Hold the one lock under which packages are installed."""
    return file_lock(cache_root() / "locks" / "packages.lock", "the package installation")


@contextmanager
def no_services_started() -> Iterator[None]:
    """Keep etcd's and containerd's packages from starting the machine's own etcd and containerd."""
    if _POLICY.exists() and _POLICY.read_text() != _POLICY_TEXT:
        yield
        return
    _POLICY.write_text(_POLICY_TEXT)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
