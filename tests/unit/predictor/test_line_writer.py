"""Lines that are written by a thread: their order, what is lost, and that nobody waits."""

from __future__ import annotations

import io
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from riskpredictor_server.line_writer import MAX_QUEUED_BYTES, LineWriter
from riskpredictor_server.logs import JsonFormatter, LineHandler, lost_lines
from support.api import eventually

KIB = b"x" * 1023 + b"\n"


def gap(lines: int, reason: str) -> bytes:
    return f"{lines} lost: {reason}\n".encode()


class Flaky:
    """Takes at most ``most`` bytes at once; fails, or is full, while told to."""

    def __init__(self, most: int = 1 << 20) -> None:
        self.taken = b""
        self.error: OSError | None = None
        self.full = False
        self._most = most

    def write(self, data: memoryview, /) -> int | None:
        if self.error:
            raise self.error
        if self.full:
            return None
        part = bytes(data[: self._most])
        self.taken += part
        return len(part)


@contextmanager
def unread_pipe() -> Iterator[tuple[io.FileIO, int]]:
    """The end to write to, and the other one."""
    reading, writing = os.pipe()
    with io.FileIO(writing, "w") as file:
        yield file, reading
        os.close(reading)


def test_all_lines_are_written_in_order_by_one_thread_that_ends() -> None:
    raw = Flaky(most=7)
    writer = LineWriter(raw, gap)
    before = threading.active_count()
    sent = [b"line %d\n" % number for number in range(5000)]
    for line in sent:
        writer.write(line)
    assert threading.active_count() == before + 1
    writer.close()
    assert raw.taken.splitlines(keepends=True) == sent
    assert (writer.lost, threading.active_count()) == (0, before)


def missing(line: bytes) -> int:
    """How many lines a line stands for as missing: 0 for one that was written itself."""
    return int(line.split()[0]) if b" lost: " in line else 0


def test_nobody_waits_for_a_pipe_that_is_not_read_and_lines_tell_what_is_missing() -> None:
    sent = MAX_QUEUED_BYTES // 1024 + 1000
    with unread_pipe() as (file, reading):
        writer = LineWriter(file, gap)
        begun = time.monotonic()
        for _ in range(sent):
            writer.write(KIB)
        writer.close()
        assert time.monotonic() - begun < 5
        # The pipe may take none while they come, where the thread gets no turn.
        assert 500 < writer.lost <= 1000
        lines: list[bytes] = []
        read = b""
        while sum(missing(line) or 1 for line in lines) < sent or not read.endswith(b"\n"):
            read += os.read(reading, 65536)
            lines = read.splitlines(keepends=True)
    # The pipe takes some lines while they come, so what is missing may be in several places.
    gaps = [line for line in lines if line != KIB]
    assert gaps == [gap(missing(line), "nobody reads them") for line in gaps]
    assert sum(map(missing, gaps)) == writer.lost
    assert len(lines) - len(gaps) == sent - writer.lost


def test_a_short_outage_loses_nothing() -> None:
    with unread_pipe() as (file, reading):
        writer = LineWriter(file, gap)
        for _ in range(1000):
            writer.write(KIB)
        read = b""
        while len(read) < 1000 * 1024:
            read += os.read(reading, 65536)
        writer.close()
    assert (read, writer.lost) == (KIB * 1000, 0)


def test_what_cannot_be_written_is_counted_and_told_in_its_place() -> None:
    raw = Flaky()
    writer = LineWriter(raw, gap)
    writer.write(b"first\n")
    eventually(lambda: raw.taken == b"first\n")
    raw.error = OSError(28, "No space left on device")
    for _ in range(3):
        lost = writer.lost + 2
        writer.write(b"two\nlines\n", lines=2)
        eventually(lambda lost=lost: writer.lost == lost)  # type: ignore[misc]
    raw.error = None
    writer.write(b"last\n")
    writer.close()
    assert raw.taken == b"first\n6 lost: [Errno 28] No space left on device\nlast\n"


def test_a_descriptor_that_does_not_block_loses_nothing() -> None:
    raw = Flaky()
    raw.full = True
    writer = LineWriter(raw, gap)
    writer.write(KIB)
    time.sleep(0.05)
    raw.full = False
    writer.close()
    assert (raw.taken, writer.lost) == (KIB, 0)


def test_a_process_that_was_forked_has_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = Flaky()
    writer = LineWriter(raw, gap)
    writer.write(b"parent\n")
    eventually(lambda: raw.taken == b"parent\n")
    with writer._changed:
        # Held for ever by a thread that the child does not have.
        monkeypatch.setattr(os, "getpid", lambda: -1)
        writer.write(b"child\n")
        writer.close()
    assert raw.taken == b"parent\nchild\n"


@pytest.mark.parametrize(
    "arguments",
    [("%d", ("no number",)), ("%s %s", ("one",)), ("%s", (type("X", (), {"__str__": None})(),))],
    ids=["wrong type", "too few", "no text"],
)
@pytest.mark.parametrize("formatter", [JsonFormatter(), logging.Formatter()], ids=["json", "human"])
def test_a_mistake_in_a_log_call_is_a_line_and_no_exception(
    arguments: tuple[str, tuple[object, ...]],
    formatter: logging.Formatter,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    handler = LineHandler(stream)
    handler.setFormatter(formatter)
    text, values = arguments
    handler.handle(logging.LogRecord("r", logging.INFO, "x/model.py", 7, text, values, None))
    handler.close()
    (line,) = stream.buffer.getvalue().splitlines()
    assert b"a log record of model.py:7 cannot be formatted: " in line
    assert capsys.readouterr() == ("", "")


def test_text_that_is_not_unicode_is_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw)
    handler = LineHandler(stream)
    handler.handle(logging.LogRecord("r", logging.INFO, "f", 1, "p\udcff \u00e9", None, None))
    handler.close()
    assert raw.getvalue() == "p\\udcff \u00e9\n".encode()


def test_lost_log_lines_are_counted_for_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    handler = LineHandler(stream)
    stream.close()
    monkeypatch.setattr(logging.root, "handlers", [handler])
    handler.handle(logging.LogRecord("r", logging.INFO, "f", 1, "text", None, None))
    eventually(lambda: lost_lines() == 1)
    handler.close()
