"""Log lines for people or machines, on stderr: the same JSON as the operator's."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import orjson

from riskpredictor_server.settings import Settings

_EXTRA = ("request_id", "route", "status")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, fields of a request, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
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


def complain(text: str, log_format: str) -> None:
    """Say on stderr why there will be no server: the bare text, or a log line for machines."""
    if log_format == "json":
        record = {"name": "riskpredictor", "levelname": "ERROR", "msg": text}
        text = JsonFormatter().format(logging.makeLogRecord(record))
    print(text, file=sys.stderr)


def configure(settings: Settings) -> None:
    """Install the handler. Called once by the process entry point, not on import."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
