"""Log lines on stderr, as text or as JSON in the operator's format; they hold up no answer."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO, cast

import orjson

from riskpredictor_server.line_writer import LineWriter, Raw

log = logging.getLogger("riskpredictor")

_EXTRA = ("request_id", "route", "status")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's time, level, logger, message, request fields and traceback."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


class LineHandler(logging.Handler):
    """Hands formatted records to a LineWriter; never raises, and never writes to stderr itself."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        buffer = stream.buffer
        self._writer = LineWriter(cast(Raw, getattr(buffer, "raw", buffer)), self._gap)

    @property
    def lost(self) -> int:
        """Number of lines that could not be written."""
        return self._writer.lost

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record and queue it."""
        try:
            line = self.format(record)
        except Exception as error:
            where = f"{record.filename}:{record.lineno}"
            line = self._line(f"a log record of {where} cannot be formatted: {error!a}")
        self._writer.write(_encode(line))

    def close(self) -> None:
        """Give queued lines a little time to be written."""
        self._writer.close()
        super().close()

    def _gap(self, lines: int, reason: str) -> bytes:
        return _encode(self._line(f"{lines} lines of the log are missing here: {reason}"))

    def _line(self, text: str) -> str:
        return self.format(_error_record(text))


def _encode(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _error_record(text: str) -> logging.LogRecord:
    return logging.LogRecord("riskpredictor", logging.ERROR, "", 0, text, None, None)


def print_startup_error(text: str, log_format: str) -> None:
    """Print on stderr why the server cannot start, as a JSON log line if logs are JSON."""
    if log_format == "json":
        text = JsonFormatter().format(_error_record(text))
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def configure(log_format: str, log_level: str) -> None:
    """Install the log handler. Called once by each entry point, not on import."""
    handler: logging.Handler = logging.NullHandler()
    # None where stderr was closed before the start, and for Windows programs without a console.
    if sys.stderr is not None:
        handler = LineHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=log_level.upper(), handlers=[handler], force=True)
    # By default Python writes these to stderr itself, and waits until somebody reads them.
    logging.captureWarnings(True)
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_thread_error


def lost_lines() -> int:
    """Return how many log lines could not be written."""
    return sum(each.lost for each in logging.root.handlers if isinstance(each, LineHandler))


def _log_unraisable(error: sys.UnraisableHookArgs) -> None:
    info = (error.exc_type, cast(BaseException, error.exc_value), error.exc_traceback)
    log.error("%s: %r", error.err_msg or "exception ignored", error.object, exc_info=info)


def _log_thread_error(error: threading.ExceptHookArgs) -> None:
    info = (error.exc_type, cast(BaseException, error.exc_value), error.exc_traceback)
    log.error("thread %s failed", error.thread.name if error.thread else "", exc_info=info)
