"""Settings of the operator: environment variables and flags of the same names.

``--help`` and the table in docs/OPERATIONS.md are generated from the fields of ``Settings``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from riskpredictor_operator import __version__

PREFIX = "RISKPREDICTOR_"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def _setting(
    default: Any, text: str, choices: Sequence[str] = (), bounds: tuple[int, int] = (0, 2**31 - 1)
) -> Any:
    limits = {"choices": tuple(choices), "bounds": bounds}
    return field(default=default, metadata={"help": text, **limits})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator's administrator chooses."""

    namespace: str = _setting(
        "", "Namespace to look after; empty means all. With one namespace a Role is enough."
    )
    operator_namespace: str = _setting(
        "",
        "Namespace of the operator's Lease. Empty: the pod's own, or 'default' out of a cluster.",
    )
    image_repository: str = _setting(
        "health-predictor", "Image repository of RiskPredictors that name none."
    )
    max_rolls: int = _setting(
        5,
        "Predictors that roll at a time when another operator version or default changes pods.",
        bounds=(1, 1_000_000),
    )
    workers: int = _setting(16, "RiskPredictors reconciled at the same time.", bounds=(1, 1000))
    resync_seconds: float = _setting(600.0, "How often everything is listed and compared again.")
    leader_election: bool = _setting(
        True, "Whether to hold a Lease, so that of several replicas only one writes."
    )
    lease_name: str = _setting("riskpredictor-operator", "Name of the Lease.")
    lease_seconds: float = _setting(
        15.0, "How long a silent leader keeps the Lease before another replica takes it."
    )
    identity: str = _setting("", "Name in the Lease. Empty: host name and process id.")
    http_host: str = _setting("0.0.0.0", "Address of /healthz, /readyz and /metrics.")  # noqa: S104
    http_port: int = _setting(
        8080, "Port of /healthz, /readyz and /metrics; 0 switches them off.", bounds=(0, 65535)
    )
    request_seconds: float = _setting(10.0, "Time limit of one request to the API server.")
    log_format: str = _setting("human", "Form of the log lines.", ("human", "json"))
    log_level: str = _setting("info", "Least level that is logged.", ("debug", "info", "warning"))


def load(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings from flags, else from the environment, else the defaults.

    Exits with status 2 and a line that names the flag or variable when a value is unusable.
    """
    parser = _parser(environ)
    return Settings(**vars(parser.parse_args(argv)))


def own_namespace(settings: Settings) -> str:
    """Namespace in which the operator runs, for its Lease."""
    if settings.operator_namespace:
        return settings.operator_namespace
    if _NAMESPACE_FILE.is_file():
        return _NAMESPACE_FILE.read_text().strip()
    return "default"


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m riskpredictor_operator",
        description="Keeps a Deployment, a Service and an autoscaler for every RiskPredictor.",
        epilog="The cluster: the one that the pod runs in, else the current context of KUBECONFIG.",
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    for setting in fields(Settings):
        variable = PREFIX + setting.name.upper()
        default = environ.get(variable, setting.default)
        assert default is not MISSING  # noqa: S101 - every setting has a default
        kinds = {"int": _within(setting.metadata["bounds"]), "float": _seconds, "bool": _boolean}
        choices = setting.metadata["choices"]
        parser.add_argument(
            "--" + setting.name.replace("_", "-"),
            default=default,
            # argparse's own choices are checked for flags only, not for the environment.
            type=_one_of(choices) if choices else kinds.get(str(setting.type), str),
            metavar="|".join(choices) or str(setting.type).upper(),
            help=f"{setting.metadata['help']}\n[{variable}; default {setting.default!r}]",
        )
    return parser


def _within(bounds: tuple[int, int]) -> Callable[[str], int]:
    least, most = bounds

    def whole_number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
        return value

    return whole_number


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def choice(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(choices)}")
        return text

    return choice


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def _boolean(text: str | bool) -> bool:
    if isinstance(text, bool):
        return text
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return known[text.lower()]


def default_identity() -> str:
    """Host name and process id: unique among replicas, and after a restart on the same host."""
    return f"{os.uname().nodename}_{os.getpid()}"
