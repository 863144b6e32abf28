"""Progress on standard error: plain lines with elapsed time, the same with and without a terminal.

Standard output stays free for answers that scripts read (``status --json``, ``kubeconfig``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import ClusterError

HEARTBEAT_SECONDS = 15.0
LOG_TAIL_LINES = 15


def say(line: str) -> None:
    """Print one line of progress."""
    print(f"  {line}", file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step and, once it is done, how long it took."""
    start = time.monotonic()
    say(title)
    yield
    say(f"{title}: {time.monotonic() - start:.1f} s")


def run_logged(
    title: str,
    argv: Sequence[str],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    hint: str = "",
) -> None:
    """Run a long command with its output in ``log`` and a line every few seconds.

    Raises :class:`ClusterError` with the end of the log if the command fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    say(f"{title} (output: {log})")
    with log.open("w") as output:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
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
