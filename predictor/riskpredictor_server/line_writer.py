"""Writes lines to standard output or error without making the caller wait.

A write to a pipe that nobody reads blocks, and must block neither answers nor signals. The standard
library's QueueHandler and QueueListener bound neither the bytes that wait nor the time to stop.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

MAX_QUEUED_BYTES = 4_194_304
"""Most bytes that wait to be written: some ten thousand lines."""
CLOSE_SECONDS = 1.0
"""Longest wait for them when the process ends."""
_PAUSE_SECONDS = 0.01
"""Pause when all is written, in which lines gather: with a write for each, a request with a line
would take a third more CPU. Also before another attempt at a descriptor that cannot block."""
_WRITE_BYTES = 4096
"""Most bytes of several lines in one write: so many a pipe takes as a whole, and never mixes with
what others write to it."""


class Raw(Protocol):
    """The part of ``io.RawIOBase`` that is needed: no buffer that could write a line again."""

    def write(self, data: memoryview, /) -> int | None:
        """Write a part of the data; return its length, or None if nothing could be written."""


class _Entry(NamedTuple):
    data: bytes
    lines: int
    """Number of lines, or for the report of a gap, of those that are missing."""
    is_gap: bool = False


class LineWriter:
    """Writes lines in the order in which they come, by a thread of its own.

    Lines that come while too many wait are lost, as are those that cannot be written. They are
    counted, and as soon as writing works again, a line says in their place how many there were.
    """

    def __init__(self, raw: Raw, report_gap: Callable[[int, str], bytes]) -> None:
        """``report_gap`` makes that line of the number of lost lines and the reason."""
        self.lost = 0
        """Number of lines that were lost so far."""
        self.reason = ""
        """Why the last one was."""
        self._raw = raw
        self._report_gap = report_gap
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._queue: deque[_Entry] = deque()
        self._queued_bytes = 0
        self._unreported = 0
        """Number of lost lines that no queued line reports."""
        self._works = True
        """Whether the last write succeeded."""
        self._closed = False
        self._thread: threading.Thread | None = None

    def write(self, data: bytes, lines: int = 1) -> None:
        """Queue lines, which stay together; never waits and never raises."""
        if self._process != os.getpid():
            # A WSGI server that forks leaves the thread behind, and perhaps a lock that is held.
            self._begin()
        with self._changed:
            if self._queued_bytes + len(data) > MAX_QUEUED_BYTES:
                self._lose(lines, "nobody reads them")
                return
            self._queue_gap()
            self._put(_Entry(data, lines))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="lines", daemon=True)
                # None can be started at the limit of processes, or while Python ends.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def close(self) -> None:
        """Wait for queued lines to be written, but not longer than CLOSE_SECONDS."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread:
            thread.join(CLOSE_SECONDS)

    def _put(self, entry: _Entry) -> None:
        self._queue.append(entry)
        self._queued_bytes += len(entry.data)
        self._changed.notify()

    def _queue_gap(self) -> None:
        if self._unreported:
            count, self._unreported = self._unreported, 0
            self._put(_Entry(self._report_gap(count, self.reason), count, is_gap=True))

    def _lose(self, lines: int, reason: str, is_gap: bool = False) -> None:
        self._unreported += lines
        self.reason = reason
        if not is_gap:
            self.lost += lines

    def _run(self) -> None:
        while entries := self._next():
            written, failure = self._write(b"".join(entry.data for entry in entries))
            with self._changed:
                self._works = not failure
                end = 0
                for entry in entries:
                    end += len(entry.data)
                    if end > written:
                        self._lose(entry.lines, failure, entry.is_gap)
                self._queued_bytes -= end
                is_idle = not self._queue
            if is_idle:
                time.sleep(_PAUSE_SECONDS)

    def _next(self) -> list[_Entry]:
        """Wait for entries, and return some; none when closed and nothing is left."""
        with self._changed:
            if not self._queue and self._works:
                self._queue_gap()
            while not self._queue and not self._closed:
                self._changed.wait()
            entries: list[_Entry] = []
            free = _WRITE_BYTES
            while self._queue and (not entries or len(self._queue[0].data) <= free):
                entries.append(self._queue.popleft())
                free -= len(entries[-1].data)
            return entries

    def _write(self, data: bytes) -> tuple[int, str]:
        """Return how many bytes were written, and why not all, if so."""
        rest = memoryview(data)
        try:
            while rest:
                written = self._raw.write(rest)
                if written is None:
                    time.sleep(_PAUSE_SECONDS)
                else:
                    rest = rest[written:]
        except (OSError, ValueError) as error:
            # ValueError: the file was closed.
            return len(data) - len(rest), str(error)
        return len(data), ""
