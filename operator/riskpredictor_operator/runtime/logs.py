"""Log lines as text or JSON.

Callers never log a spec or any other body of a request; passwords in URLs, which libraries log, are
left out.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

_UNCLOSED = "an error occurred during closing of asynchronous generator"
_SECRET = re.compile(r"(?<=://)[^/\s]*@|(?<=authorization': ')[^']*", re.IGNORECASE)
"""User and password of a URL; the credentials in the headers of a request that an error shows."""


def without_passwords(text: str) -> str:
    """A text that may show a URL with its user and password, as errors of aiohttp do of a proxy."""
    return _SECRET.sub("", text)


class TextFormatter(logging.Formatter):
    """A line for people: time, level and message, then the traceback if any."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return without_passwords(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message and, if any, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_passwords(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = without_passwords(self.formatException(record.exc_info))
        return json.dumps(line)


def configure(form: str, level: str, brief: tuple[type[BaseException], ...] = ()) -> None:
    """Log to standard error.

    Args:
        form: human or json.
        level: the least level that is logged.
        brief: exceptions whose message says enough; their tracebacks are for debugging.
    """

    def shorten(record: logging.LogRecord) -> bool:
        if level == "debug":
            return True
        if record.exc_info and isinstance(record.exc_info[1], brief):
            record.exc_info = None
        # kopf leaves some open when the process ends, and the event loop logs each.
        return not record.getMessage().startswith(_UNCLOSED)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(shorten)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # kopf logs every watch stream at INFO.
    logging.getLogger("kopf").setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
