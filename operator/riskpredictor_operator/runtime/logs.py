"""Log lines as text or JSON. Callers never log a spec or any other body of a request."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_UNCLOSED = "an error occurred during closing of asynchronous generator"


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message and, if any, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
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
    handler.setFormatter(
        JsonFormatter()
        if form == "json"
        else logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    )
    handler.addFilter(shorten)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # kopf logs every watch stream at INFO.
    logging.getLogger("kopf").setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
