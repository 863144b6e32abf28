"""Log lines on stderr, as text or as JSON in the operator's format."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import orjson

from riskpredictor_server.settings import Settings

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


def print_startup_error(text: str, log_format: str) -> None:
    """Print on stderr why the server cannot start, as a JSON log line if logs are JSON."""
    if log_format == "json":
        record = {"name": "riskpredictor", "levelname": "ERROR", "msg": text}
        text = JsonFormatter().format(logging.makeLogRecord(record))
    print(text, file=sys.stderr)


def configure(settings: Settings) -> None:
    """Install the log handler. Called once by each entry point, not on import."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
