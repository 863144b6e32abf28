"""CPU, memory and quota of a process tree, from /proc and cgroups (Linux)."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live now."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += tree(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, ended and waited-for children included."""
    total = 0
    for each in tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(int(fields[i]) for i in (11, 12, 13, 14))
    return total / _TICK


def rss_mib(pid: int) -> float:
    """Resident memory of the one process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def pss_mib(pid: int) -> float:
    """Proportional set size of the tree."""
    total = 0
    for each in tree(pid):
        match = re.search(
            r"^Pss:\s+(\d+)", Path(f"/proc/{each}/smaps_rollup").read_text(), re.MULTILINE
        )
        total += int(match[1]) if match else 0
    return total / 1024


class Quota:
    """A CPU limit by cgroup v1 or v2, like that of a pod; a context manager. Needs root."""

    def __init__(self, millicores: int) -> None:
        second = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        root = Path("/sys/fs/cgroup") if second else Path("/sys/fs/cgroup/cpu")
        self._path = root / f"riskpredictor-bench-{os.getpid()}-{millicores}"
        micros = millicores * 100
        self._limits = (
            {"cpu.max": f"{micros} 100000"}
            if second
            else {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": str(micros)}
        )

    def __enter__(self) -> Quota:
        self._path.mkdir()
        for name, value in self._limits.items():
            (self._path / name).write_text(value)
        return self

    def __exit__(self, *_: object) -> None:
        # The last process of a killed group takes a moment to leave.
        for _attempt in range(100):
            if not (self._path / "cgroup.procs").read_text():
                break
            time.sleep(0.1)
        self._path.rmdir()

    def enter(self) -> None:
        """Move the calling process in: for ``preexec_fn``."""
        (self._path / "cgroup.procs").write_text(str(os.getpid()))
