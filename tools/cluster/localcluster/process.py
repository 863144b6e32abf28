"""Starts, recognises and stops programs that outlive the command that started them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .console import ClusterError
from .debian import SYSTEM_PATH

# Set in the environment of everything that belongs to a cluster, so that `down` finds all of it.
MARKER = "RISKPREDICTOR_CLUSTER"

STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Running:
    """A process. Its start time tells it from a later process that got the same number."""

    pid: int
    started: int
    fingerprint: str = ""

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self)))
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> Running | None:
        """The remembered process if it still runs, else None."""
        try:
            data = json.loads(path.read_text())
            known = cls(int(data["pid"]), int(data["started"]), str(data["fingerprint"]))
        except (FileNotFoundError, ValueError, KeyError):
            return None
        return known if known.alive() else None

    @classmethod
    def of(cls, pid: int, fingerprint: str = "") -> Running | None:
        stat = _stat(pid)
        return cls(pid, stat.started, fingerprint) if stat else None

    def alive(self) -> bool:
        stat = _stat(self.pid)
        return stat is not None and stat.started == self.started and stat.state not in "ZX"

    def kill(self, number: signal.Signals) -> None:
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, grace: float = STOP_SECONDS) -> None:
        """Ask it to end, wait ``grace`` seconds, then end it."""
        self.kill(signal.SIGTERM)
        if not wait_until(lambda: not self.alive(), grace):
            self.kill(signal.SIGKILL)
            if not wait_until(lambda: not self.alive(), STOP_SECONDS):
                raise ClusterError(
                    f"process {self.pid} does not end", f"look at it with `ps -fp {self.pid}`"
                )


@dataclass(frozen=True)
class _Stat:
    state: str
    parent: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name stands in parentheses and may hold spaces and parentheses itself.
    fields = text.rpartition(")")[2].split()
    return _Stat(state=fields[0], parent=int(fields[1]), started=int(fields[19]))


def pids() -> Iterable[int]:
    """All process numbers at this moment."""
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def child_of(parent: int, timeout: float = 5.0) -> int | None:
    """The first child of a process, waited for; None if the parent ends without one."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for pid in pids():
            stat = _stat(pid)
            if stat is not None and stat.parent == parent and stat.state not in "ZX":
                return pid
        own = _stat(parent)
        if own is None or own.state in "ZX":
            return None
        time.sleep(0.02)
    return None


def spawn(argv: Iterable[str], log: Path, *, marker: Path) -> subprocess.Popen[bytes]:
    """Start a detached program with a small, known environment and its output in ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(argv),
            cwd=marker,
            # Nothing inherited: a proxy setting of the user's shell must not reach a daemon.
            env={"PATH": SYSTEM_PATH, "HOME": str(marker), MARKER: str(marker)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def marked(marker: Path) -> list[Running]:
    """Every process started with this marker or one below it, whoever its parent is now."""
    wanted = f"{MARKER}={marker}".encode()
    found = []
    for pid in pids():
        with suppress(OSError):  # it ended meanwhile, or it is another user's
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            values = environment.split(b"\0")
            if any(value == wanted or value.startswith(wanted + b"/") for value in values):
                running = Running.of(pid)
                if running is not None and running.alive():
                    found.append(running)
    return found


def marked_running(marker: Path, argv: Sequence[str]) -> list[Running]:
    """Those of the marked processes that were started with just this command line."""
    wanted = "".join(f"{argument}\0" for argument in argv).encode()
    found = []
    for process in marked(marker):
        with suppress(OSError):
            if Path(f"/proc/{process.pid}/cmdline").read_bytes() == wanted:
                found.append(process)
    return found


def wait_until(condition: Callable[[], bool], timeout: float, interval: float = 0.05) -> bool:
    """Poll until ``condition`` holds; False after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True
