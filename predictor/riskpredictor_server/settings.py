"""Settings of the predictor: environment variables and flags of the same names.

``--help`` is made from the fields of ``Settings``. The fetch step has settings of its own, which
are read in the same way: ``store/settings.py``.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn, Protocol, Self, TypeVar

PREFIX = "RISKPREDICTOR_"
NEVER_LOWER = "NeverLower"
_NAME = re.compile(r"\w[\w.-]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,100}")
"""RFC 9110, 5.1, without the underscore, which proxies and WSGI servers drop."""
_ROLLOUT_ID = re.compile(r"[A-Za-z0-9._-]{0,64}")
"""A key of BLAKE2b has at most 64 bytes."""


class SettingsError(ValueError):
    """Raised for a wrong setting; the message names it and the values allowed."""

    log_format = "human"
    """How the process is to print this error."""


def setting(
    default: Any,
    text: str,
    choices: Sequence[str] = (),
    bounds: tuple[float, float] | None = None,
    form: Callable[[str], str] = str,
) -> Any:
    """Describe a field; ``form`` converts a text, and raises ValueError with what it must be."""
    metadata = {"help": text, "choices": tuple(choices), "bounds": bounds, "form": form}
    return field(default=default, metadata=metadata)


def _host(text: str) -> str:
    host = text.strip()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # Neither a port nor a scheme, and no "*", of which the C library makes a loopback address.
        if not _NAME.fullmatch(host):
            raise ValueError(
                "must be an IPv4 or IPv6 address or a name, such as 127.0.0.1, ::1, or :: for every"
                " address; the port is set by --port"
            ) from None
    return host


def _header(text: str) -> str:
    name = text.strip()
    if name and not _HEADER.fullmatch(name):
        raise ValueError(
            "must be the name of a request header, such as X-Subject-Key: letters, digits and -"
        )
    return name


def _rollout_id(text: str) -> str:
    if not _ROLLOUT_ID.fullmatch(text):
        raise ValueError("must be at most 64 letters, digits, '.', '_' and '-'")
    return text


@dataclass(frozen=True)
class Settings:
    """Settings of one server process. All limits are per process; a pod is one process."""

    model: Path = setting(  # noqa: RUF009 - a field, whose default never changes
        Path("model"), "artifact folder made by python -m riskpredictor_server.train"
    )
    model_name: str = setting("riskpredictor", "name of the model in the /v2 protocol")
    host: str = setting(
        "localhost",
        "address or name to listen on; :: for every address, of IPv4 too, as in the image",
        form=_host,
    )
    port: int = setting(5000, "port to listen on", bounds=(1, 65535))
    pod_name: str = setting("", "name in the X-Served-By header; also POD_NAME, then the host name")
    log_format: str = setting("human", "json (one line each) or human", ("json", "human"))
    log_level: str = setting(
        "info", "debug, info, warning or error", ("debug", "info", "warning", "error")
    )
    access_log: str = setting("off", "a line per request: off or on", ("off", "on"))
    audit_log: str = setting(
        "off",
        "a line per prediction on stdout: off, on, or vitals (with the patient's values)",
        ("off", "on", "vitals"),
    )
    max_body_bytes: int = setting(1_048_576, "largest request body", bounds=(1024, 104_857_600))
    max_batch: int = setting(1000, "most records in one request", bounds=(1, 100_000))
    head_timeout: float = setting(
        10.0,
        "seconds a client may take to send the head of a request, the first one since it connected",
        bounds=(0.1, 300),
    )
    body_timeout: float = setting(
        5.0, "seconds a client may take to send a body", bounds=(0.1, 300)
    )
    answer_timeout: float = setting(
        30.0,
        "seconds a client may leave an answer unread before its connection is cut",
        bounds=(0.1, 3600),
    )
    idle_timeout: float = setting(
        75.0,
        "seconds between two requests before the connection is closed; more than the 60 of common"
        " client and proxy pools, so that they close first",
        bounds=(0.1, 3600),
    )
    max_pending: int = setting(
        512,
        "requests waiting for a body or a page before new ones get 503",
        bounds=(1, 100_000),
    )
    max_pending_bytes: int = setting(
        33_554_432,
        "memory for large bodies on their way or waiting for their turn, and for answers not read"
        " yet, before new ones get 503",
        bounds=(1024, 1_073_741_824),
    )
    max_lag: float = setting(
        0.5, "seconds of queueing at which requests get 503, except probes", bounds=(0.01, 60)
    )
    max_connections: int = setting(
        2048,
        "open connections; what comes over one more gets 503, except probes; fewer where the limit"
        " of open files is low",
        bounds=(1, 100_000),
    )
    keepalive_requests: int = setting(
        1000,
        "answers per connection, on average, before it is closed so that clients spread over new"
        " pods; 0 for no end",
        bounds=(0, 1e9),
    )
    drain_seconds: float = setting(
        20.0, "longest wait for clients to leave after SIGTERM", bounds=(0, 3600)
    )
    candidate: str = setting(
        "", "artifact folder of a second model, which scores what the first one scores; or none"
    )
    candidate_percent: float = setting(
        0.0, "percent of requests that the candidate answers", bounds=(0, 100)
    )
    guard: str = setting(
        NEVER_LOWER,
        "NeverLower: an answer of the candidate may raise a level, never lower it; or None",
        (NEVER_LOWER, "None"),
    )
    rollout_id: str = setting(
        "", "key of the hash that assigns requests to the candidate", form=_rollout_id
    )
    subject_header: str = setting(
        "",
        "request header whose value is hashed to assign requests, so that a patient stays with one"
        " model; or none, as in a request without it: the record is hashed",
        form=_header,
    )
    sample: float = setting(100.0, "percent of requests that both models score", bounds=(0, 100))
    cases: str = setting(
        "", "folder with the cases of the hospital that the candidate has to pass; or none"
    )

    def completed(self, environ: Mapping[str, str]) -> Settings:
        """Fill in the name of the pod; raise SettingsError for limits that do not agree."""
        if self.max_pending_bytes < self.max_body_bytes:
            raise SettingsError(
                f"--max-pending-bytes is {self.max_pending_bytes}: must be at least"
                f" --max-body-bytes, {self.max_body_bytes}, or such a body could never be taken"
            )
        name = self.pod_name or environ.get("POD_NAME") or socket.gethostname()
        return replace(self, pod_name=name)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise SettingsError for an unknown flag."""
        raise SettingsError(f"{message}; --help lists what there is")


class Readable(Protocol):
    """A dataclass of settings, each of them a ``setting``."""

    def completed(self, environ: Mapping[str, str]) -> Self:
        """Return them with what depends on others; raise SettingsError if they do not agree."""
        ...


T = TypeVar("T", bound=Readable)


def parse(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings from flags, then environment, then defaults; raise SettingsError."""
    return read(
        Settings,
        argv,
        environ,
        prog="python -m riskpredictor_server",
        description="Serve a trained patient-risk model over HTTP.",
        epilog=f"Each flag can be set by environment too: --max-batch is {PREFIX}MAX_BATCH."
        " To fetch a model from a store: python -m riskpredictor_server fetch --help",
    )


def from_strings(given: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Convert settings given by name, the others from ``environ``; raise SettingsError."""
    return _from_strings(Settings, given, environ)


def read(
    kind: type[T],
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    prog: str,
    description: str,
    epilog: str,
) -> T:
    """Read any settings from flags, then environment, then defaults; raise SettingsError."""
    parser = _Parser(prog=prog, description=description, epilog=epilog)
    for each in _fields(kind):
        shown = f" (default: {each.default})" if each.default != "" else ""
        parser.add_argument(_flag(each.name), metavar="X", help=each.metadata["help"] + shown)
    given: dict[str, str] = {}
    try:
        given |= {k: v for k, v in vars(parser.parse_args(argv)).items() if v is not None}
        return _from_strings(kind, given, environ)
    except SettingsError as error:
        wanted = given.get("log_format", environ.get(PREFIX + "LOG_FORMAT"))
        if wanted in ("json", "human"):
            error.log_format = wanted
        raise


def _fields(kind: type[Any]) -> tuple[Field[Any], ...]:
    return fields(kind)


def _from_strings(kind: type[T], given: Mapping[str, str], environ: Mapping[str, str]) -> T:
    values: dict[str, Any] = {}
    for each in _fields(kind):
        flag, variable = _flag(each.name), PREFIX + each.name.upper()
        if each.name in given:
            values[each.name] = _convert(each, given[each.name], flag)
        elif variable in environ:
            values[each.name] = _convert(each, environ[variable], variable)
    return kind(**values).completed(environ)


def _convert(setting: Field[Any], text: str, source: str) -> Any:
    choices, bounds = setting.metadata["choices"], setting.metadata["bounds"]
    if choices and text not in choices:
        raise SettingsError(f"{source}={text}: must be one of {', '.join(choices)}")
    kind: Any = type(setting.default)
    if not bounds:
        try:
            return kind(setting.metadata["form"](text))
        except ValueError as error:
            raise SettingsError(f"{source}={text}: {error}") from None
    low, high = bounds
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        what = "a whole number" if kind is int else "a number"
        raise SettingsError(f"{source}={text}: must be {what} from {low:g} to {high:g}")
    return number
