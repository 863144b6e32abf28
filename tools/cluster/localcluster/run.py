"""Runs other programs to their end, and keeps two of us from doing the same thing at once."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .console import ClusterError, say

HEARTBEAT_SECONDS = 15.0
LOG_TAIL_LINES = 15


def output(*argv: str | Path, stdin: str | None = None, what: str = "", hint: str = "") -> str:
    """Run a quick command and return what it prints.

    Raises :class:`ClusterError` with what it complained about; ``what`` names the action.
    """
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        what = what or f"`{' '.join(map(str, argv[:4]))} ...` failed"
        raise ClusterError(f"{what}: {done.stderr.strip()}", hint)
    return done.stdout


def run_logged(
    title: str,
    argv: Sequence[str],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    hint: str = "",
) -> None:
    """Run a long command with its output in ``log`` and a line of progress every few seconds.

    Raises :class:`ClusterError` with the end of the log if the command fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    say(f"{title} (output: {log})")
    with log.open("w") as handle:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_with_heartbeat(process, title, start)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode != 0:
        raise ClusterError(
            f"{title} failed with exit code {process.returncode}:\n{tail(log)}",
            hint or f"read {log}",
        )
    say(f"{title}: done in {time.monotonic() - start:.0f} s")


def _wait_with_heartbeat(process: subprocess.Popen[bytes], title: str, start: float) -> None:
    while True:
        try:
            process.wait(timeout=HEARTBEAT_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"{title} ... {time.monotonic() - start:.0f} s")
        else:
            return


def tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log file, indented for a message."""
    if not log.exists():
        return f"    (no log at {log})"
    with log.open("rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - 64 * 1024))
        text = handle.read().decode(errors="replace")
    kept = text.splitlines()[-lines:]
    return "\n".join(f"    {line[:300]}" for line in kept) or f"    ({log} is empty)"


@contextmanager
def file_lock(path: Path, what: str, timeout: float = 1800) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; the kernel releases it when the process ends.

    Raises :class:`ClusterError` after ``timeout`` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        deadline = time.monotonic() + timeout
        told = False
        while not _try_lock(handle.fileno()):
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"another process has held {what} for {timeout:.0f} s",
                    f"see who holds {path}: `fuser -v {path}`",
                )
            if not told:
                say(f"waiting for another process that holds {what}")
                told = True
            time.sleep(0.3)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
