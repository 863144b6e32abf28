"""Every setting, its environment variable, its flag and its default, in one table."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

PREFIX = "RISKPREDICTOR_"


class SettingsError(ValueError):
    """A setting is missing or out of bounds; the message names it and the fix."""

    log_format = "human"
    """How to say so."""


@dataclass(frozen=True)
class Settings:
    """How one server process runs. All limits are per process; a pod is one process."""

    model: Path = Path("model")
    model_name: str = "riskpredictor"
    host: str = "127.0.0.1"
    port: int = 5000
    pod_name: str = ""
    log_format: str = "human"
    log_level: str = "info"
    access_log: str = "off"
    audit_log: str = "off"
    max_body_bytes: int = 1_048_576
    max_batch: int = 1000
    head_timeout: float = 10.0
    body_timeout: float = 5.0
    answer_timeout: float = 30.0
    idle_timeout: float = 75.0
    max_pending: int = 512
    max_pending_bytes: int = 33_554_432
    max_lag: float = 0.5
    max_connections: int = 2048
    keepalive_requests: int = 1000
    drain_seconds: float = 20.0


_HELP: dict[str, str] = {
    "model": "artifact folder made by python -m riskpredictor_server.train",
    "model_name": "name of the model in the /v2 protocol",
    "host": "address to listen on; 0.0.0.0 in a container",
    "port": "port to listen on",
    "pod_name": "name in the X-Served-By header; also POD_NAME, then the host name",
    "log_format": "json (one line each) or human",
    "log_level": "debug, info, warning or error",
    "access_log": "a line per request: off or on",
    "audit_log": "a line per prediction on stdout: off, on, or vitals (with the patient's values)",
    "max_body_bytes": "largest request body",
    "max_batch": "most records in one request",
    "head_timeout": "seconds a client may take to send the head of a request, the first one since"
    " it connected",
    "body_timeout": "seconds a client may take to send a body",
    "answer_timeout": "seconds a client may leave an answer unread before its connection is cut",
    "idle_timeout": "seconds between two requests before the connection is closed; more than the"
    " 60 of common client and proxy pools, so that they close first",
    "max_pending": "requests waiting for a body or a page before new ones get 503",
    "max_pending_bytes": "memory for large bodies on their way or waiting for their turn, and"
    " for answers not read yet, before new ones get 503",
    "max_lag": "seconds of queueing at which predictions get 503",
    "max_connections": "open connections; what comes over one more gets 503, except probes",
    "keepalive_requests": "answers per connection, on average, before it is closed so that clients"
    " spread over new pods; 0 for no end",
    "drain_seconds": "longest wait for clients to leave after SIGTERM",
}
_CHOICES = {
    "log_format": ("json", "human"),
    "log_level": ("debug", "info", "warning", "error"),
    "access_log": ("off", "on"),
    "audit_log": ("off", "on", "vitals"),
}
_BOUNDS: dict[str, tuple[float, float]] = {
    "port": (1, 65535),
    "max_body_bytes": (1024, 104_857_600),
    "max_batch": (1, 100_000),
    "head_timeout": (0.1, 300),
    "body_timeout": (0.1, 300),
    "answer_timeout": (0.1, 3600),
    "idle_timeout": (0.1, 3600),
    "max_pending": (1, 100_000),
    "max_pending_bytes": (1024, 1_073_741_824),
    "max_lag": (0.01, 60),
    "max_connections": (1, 100_000),
    "keepalive_requests": (0, 1e9),
    "drain_seconds": (0, 3600),
}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """An unknown flag is a wrong setting like any other."""
        raise SettingsError(f"{message}; --help lists what there is")


def parse(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Flags over environment over defaults; raises SettingsError."""
    parser = _Parser(
        prog="python -m riskpredictor_server",
        description="Serve a trained patient-risk model over HTTP.",
        epilog=f"Each flag can be set by environment too: --max-batch is {PREFIX}MAX_BATCH.",
    )
    defaults = Settings()
    for name, text in _HELP.items():
        default = getattr(defaults, name)
        shown = f" (default: {default})" if default != "" else ""
        parser.add_argument(_flag(name), metavar="X", help=text + shown)
    given: dict[str, str] = {}
    try:
        given |= {k: v for k, v in vars(parser.parse_args(argv)).items() if v is not None}
        return from_strings(given, environ)
    except SettingsError as error:
        wanted = given.get("log_format", environ.get(PREFIX + "LOG_FORMAT"))
        if wanted in _CHOICES["log_format"]:
            error.log_format = wanted
        raise


def from_strings(given: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from strings by name, completed from ``environ``; raises SettingsError."""
    values: dict[str, Any] = {}
    for field in fields(Settings):
        name = field.name
        source, text = _flag(name), given.get(name)
        if text is None:
            source = PREFIX + name.upper()
            text = environ.get(source)
        if text is None:
            continue
        values[name] = _convert(name, text, source)
    if not values.get("pod_name"):
        values["pod_name"] = environ.get("POD_NAME") or socket.gethostname()
    settings = Settings(**values)
    if settings.max_pending_bytes < settings.max_body_bytes:
        raise SettingsError(
            f"--max-pending-bytes is {settings.max_pending_bytes}: must be at least"
            f" --max-body-bytes, {settings.max_body_bytes}, or such a body could never be taken"
        )
    return settings


def _convert(name: str, text: str, source: str) -> Any:
    if name in _CHOICES:
        if text not in _CHOICES[name]:
            raise SettingsError(f"{source}={text}: must be one of {', '.join(_CHOICES[name])}")
        return text
    if name == "model":
        return Path(text)
    if name not in _BOUNDS:
        return text
    kind = type(getattr(Settings(), name))
    low, high = _BOUNDS[name]
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        what = "a whole number" if kind is int else "a number"
        raise SettingsError(f"{source}={text}: must be {what} from {low:g} to {high:g}")
    return number
