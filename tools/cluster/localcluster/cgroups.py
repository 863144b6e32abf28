"""A control group per cluster, in every hierarchy, so that `down` can remove all of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .console import ClusterError
from .process import wait_until

REMOVE_SECONDS = 15.0


def hierarchies(mountinfo: str) -> list[tuple[str, Path]]:
    """(type, mount point) of the control group mounts listed in ``/proc/self/mountinfo``."""
    found: dict[Path, str] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind = after.split()[0]
        if kind in {"cgroup", "cgroup2"}:
            found[Path(before.split()[4])] = kind
    return [(kind, path) for path, kind in found.items()]


def create(group: str) -> None:
    """Make the group wherever the kubelet looks for it (version 1: in every hierarchy)."""
    mounts = _mounts()
    version1 = [path for kind, path in mounts if kind == "cgroup"]
    for root in version1:
        (root / group).mkdir(exist_ok=True)
        # A new cpuset is empty, and an empty one takes no processes.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (root / name).exists():
                (root / group / name).write_text((root / name).read_text())
    if not version1:
        for _, root in mounts:
            (root / group).mkdir(exist_ok=True)
            _delegate(root)
            _delegate(root / group)


def _delegate(folder: Path) -> None:
    """Version 2: let children of the folder use all controllers that it has."""
    for controller in (folder / "cgroup.controllers").read_text().split():
        (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(group: str) -> None:
    """Remove the group and all below it; the kernel lets a group go once its last process has."""

    def gone() -> bool:
        for folder in _existing(group):
            for path, _, _ in os.walk(folder, topdown=False):
                with suppress(OSError):
                    Path(path).rmdir()
        return not _existing(group)

    if not wait_until(gone, REMOVE_SECONDS, interval=0.1):
        raise ClusterError(
            f"control groups are still in use: {', '.join(map(str, _existing(group)))}",
            "see which processes are in their cgroup.procs, then run `down` again",
        )


def _existing(group: str) -> list[Path]:
    return [root / group for _, root in _mounts() if (root / group).exists()]


def _mounts() -> list[tuple[str, Path]]:
    return hierarchies(Path("/proc/self/mountinfo").read_text())
