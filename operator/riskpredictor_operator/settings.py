"""Settings of the operator: environment variables and flags of the same names.

``--help`` and the table in docs/OPERATIONS.md are generated from the fields of ``Settings``.
"""

from __future__ import annotations

import argparse
import difflib
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn

from riskpredictor_operator import __version__

PREFIX = "RISKPREDICTOR_"
OTHER_PROGRAMS = frozenset(
    PREFIX + name
    for name in (
        "ACCESS_LOG", "ANSWER_TIMEOUT", "AUDIT_LOG", "BODY_TIMEOUT", "CACHE", "CANDIDATE",
        "CANDIDATE_PERCENT", "CASES", "CLUSTER", "DEBUG", "DRAIN_SECONDS", "FETCH_IDLE_TIMEOUT",
        "FETCH_TIMEOUT", "GUARD", "HEAD_TIMEOUT", "HOST", "IDLE_TIMEOUT", "KEEPALIVE_REQUESTS",
        "KUBERNETES_TOOLS", "MAX_BATCH", "MAX_BODY_BYTES", "MAX_CONNECTIONS", "MAX_LAG",
        "MAX_PENDING", "MAX_PENDING_BYTES", "MODEL", "MODEL_CA", "MODEL_CLAIM", "MODEL_COPY",
        "MODEL_CREDENTIALS", "MODEL_DIGEST", "MODEL_INCOMING", "MODEL_NAME", "MODEL_OPTIONAL",
        "MODEL_PUBLIC_KEY", "MODEL_SOURCE", "MODEL_VERSION", "POD_NAME", "PORT", "ROLLOUT_ID",
        "SAMPLE", "STATE", "SUBJECT_HEADER", "TERMINATION_LOG",
    )
)  # fmt: skip
"""Variables of the predictor, the kubectl plug-in and tools/cluster, which a developer may have
set."""
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_REGISTRY = r"([a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(:[0-9]+)?/"
_PATH = "[a-z0-9]+([._-]+[a-z0-9]+)*"


@dataclass(frozen=True, slots=True)
class Form:
    """What a text must look like; the chart's schema has the same pattern."""

    pattern: str
    meaning: str


ANY_TEXT = Form(r".*", "any text")
NAMESPACE = Form(
    rf"({_LABEL})?",
    "the name of one namespace (lower-case letters, digits and '-'), or empty for all",
)
OWN_NAMESPACE = Form(NAMESPACE.pattern, "the name of a namespace (lower-case letters, digits, '-')")
LEASE_NAME = Form(
    rf"{_LABEL}(\.{_LABEL})*", "a name of an object (lower-case letters, digits, '-' and '.')"
)
REPOSITORY = Form(
    rf"({_REGISTRY})?{_PATH}(/{_PATH})*",
    "an image name in lower case without tag or digest, for example "
    "registry.example.com/team/health-predictor; the tag is a RiskPredictor's modelVersion",
)
RUNTIME_IMAGE = Form(
    rf"{REPOSITORY.pattern}:[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}(@sha256:[a-f0-9]{{64}})?",
    "an image name with a tag, for example registry.example.com/team/health-predictor:runtime",
)
IDENTITY = Form(r"\S*", "a name without spaces")
ADDRESS = Form(r"[0-9a-fA-F.:]+", "an IP address without port, for example :: or 127.0.0.1")


def _setting(
    default: Any,
    text: str,
    choices: Sequence[str] = (),
    bounds: tuple[int, int] = (0, 2**31 - 1),
    form: Form = ANY_TEXT,
) -> Any:
    limits = {"choices": tuple(choices), "bounds": bounds, "form": form}
    return field(default=default, metadata={"help": text, **limits})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator's administrator chooses."""

    namespace: str = _setting(
        "",
        "Namespace to look after; empty means all. With one namespace a Role is enough.",
        form=NAMESPACE,
    )
    operator_namespace: str = _setting(
        "",
        "Namespace of the operator's Lease. Empty: the pod's own, or 'default' out of a cluster.",
        form=OWN_NAMESPACE,
    )
    image_repository: str = _setting(
        "health-predictor",
        "Image repository of RiskPredictors that name none.",
        form=REPOSITORY,
    )
    runtime_image: str = _setting(
        "health-predictor:runtime",
        "Image, with tag, of RiskPredictors whose model comes from a store and that name none.",
        form=RUNTIME_IMAGE,
    )
    max_rolls: int = _setting(
        5,
        "Predictors that roll at a time when another operator version or default changes pods.",
        bounds=(1, 1_000_000),
    )
    workers: int = _setting(16, "RiskPredictors reconciled at the same time.", bounds=(1, 1000))
    resync_seconds: float = _setting(600.0, "How often everything is listed and compared again.")
    evidence_seconds: float = _setting(
        10.0,
        "How often the counts of two compared models are read from the pods.",
        bounds=(1, 600),
    )
    leader_election: bool = _setting(
        True, "Whether to hold a Lease, so that of several replicas only one writes."
    )
    lease_name: str = _setting("riskpredictor-operator", "Name of the Lease.", form=LEASE_NAME)
    lease_seconds: float = _setting(
        15.0, "How long a silent leader keeps the Lease before another replica takes it."
    )
    identity: str = _setting(
        "", "Name in the Lease. Empty: host name and process id.", form=IDENTITY
    )
    http_host: str = _setting(
        "::",
        "Address of /healthz, /readyz and /metrics. '::' is every address, of IPv6 and IPv4.",
        form=ADDRESS,
    )
    http_port: int = _setting(
        8080, "Port of /healthz, /readyz and /metrics; 0 switches them off.", bounds=(0, 65535)
    )
    request_seconds: float = _setting(10.0, "Time limit of one request to the API server.")
    log_format: str = _setting("human", "Form of the log lines.", ("human", "json"))
    log_level: str = _setting("info", "Least level that is logged.", ("debug", "info", "warning"))


def load(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings from flags, else from the environment, else the defaults.

    Spaces around a value are dropped, and an empty variable is none. Exits with status 2 and one
    line that names the flag or variable when a value is unusable or a name is unknown.
    """
    parser = _parser()
    links = set(_service_links(environ))
    given = {
        name: text.strip()
        for name, text in environ.items()
        if name.upper().startswith(PREFIX) and name not in links and name not in OTHER_PROGRAMS
    }
    known = {_variable(setting): setting for setting in fields(Settings)}
    for name in sorted(given.keys() - known.keys()):
        parser.error(_unknown(name, known))
    for name, text in given.items():
        if not text:
            continue
        setting = known[name]
        try:
            parser.set_defaults(**{setting.name: _converter(setting)(text)})
        except argparse.ArgumentTypeError as error:
            parser.error(f"{name} (or {_flag(setting)}): {error}")
    settings, others = parser.parse_known_args(argv)
    for argument in others:
        parser.error(_unknown(argument.partition("=")[0], map(_flag, fields(Settings))))
    return Settings(**vars(settings))


def own_namespace(settings: Settings) -> str:
    """Namespace in which the operator runs, for its Lease."""
    if settings.operator_namespace:
        return settings.operator_namespace
    if _NAMESPACE_FILE.is_file():
        return _NAMESPACE_FILE.read_text().strip()
    return "default"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage, which is longer than a screen."""
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m riskpredictor_operator",
        description=(
            "Keeps a Deployment, a Service, an autoscaler and a PodDisruptionBudget for every "
            "RiskPredictor."
        ),
        epilog="The cluster: the one that the pod runs in, else the current context of KUBECONFIG.",
        formatter_class=argparse.RawTextHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    for setting in fields(Settings):
        help_text = (
            f"{setting.metadata['help']}\n[{_variable(setting)}; default {setting.default!r}]"
        )
        parser.add_argument(
            _flag(setting),
            default=setting.default,
            type=_converter(setting),
            metavar="|".join(setting.metadata["choices"]) or str(setting.type).upper(),
            help=help_text,
        )
    return parser


def _variable(setting: Field[Any]) -> str:
    return PREFIX + setting.name.upper()


def _flag(setting: Field[Any]) -> str:
    return "--" + setting.name.replace("_", "-")


def _unknown(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {nearest[0]}?" if nearest else "--help lists all"
    return f"there is no setting {name}; {meant}"


def _service_links(environ: Mapping[str, str]) -> Iterator[str]:
    """Variables that Kubernetes sets for the Services of the pod's namespace.

    A Service named riskpredictor-http has a variable RISKPREDICTOR_HTTP_PORT, whose value is a URL.
    """
    end = "_SERVICE_HOST"
    services = [
        name.removesuffix(end)
        for name in environ
        if name.endswith(end) and name.removesuffix(end) + "_SERVICE_PORT" in environ
    ]
    for name, value in environ.items():
        for service in services:
            rest = name.removeprefix(service)
            is_url = rest == "_PORT" and "://" in value
            if rest != name and (is_url or rest.startswith(("_SERVICE_", "_PORT_"))):
                yield name


def _converter(setting: Field[Any]) -> Callable[[str], Any]:
    limits = setting.metadata
    if limits["choices"]:
        return _one_of(limits["choices"])
    match setting.type:
        case "int":
            return _within(limits["bounds"])
        case "float":
            return _seconds(limits["bounds"])
        case "bool":
            return _boolean
    return _address if limits["form"] is ADDRESS else _text(limits["form"])


def _within(bounds: tuple[int, int]) -> Callable[[str], int]:
    least, most = bounds

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
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


def _text(form: Form) -> Callable[[str], str]:
    def text_of_that_form(text: str) -> str:
        if not re.fullmatch(form.pattern, text.strip()):
            raise argparse.ArgumentTypeError(f"{text!r} is not {form.meaning}")
        return text.strip()

    return text_of_that_form


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {ADDRESS.meaning}") from None


def _seconds(bounds: tuple[int, int]) -> Callable[[str], float]:
    least, most = bounds

    def positive_number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most} seconds")
        return value

    return positive_number


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
