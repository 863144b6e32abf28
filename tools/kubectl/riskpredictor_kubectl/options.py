"""The flags that all commands share, named as kubectl's, and their completion."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from riskpredictor_kubectl import names
from riskpredictor_kubectl.client import READ_SECONDS, Client, Target, contexts

F = TypeVar("F", bound=Callable[..., Any])

COMPLETION_SECONDS = 3.0
"""A shell must not hang longer than this at a TAB."""


def _target(context: click.Context) -> Target:
    """The target that the flags of a command, or else those before it, name."""

    def value(flag: str) -> str:
        at: click.Context | None = context
        while at is not None:
            if at.params.get(flag):
                return str(at.params[flag])
            at = at.parent
        return ""

    return Target(value("kubeconfig"), value("context"), value("namespace"))


def _offer(find: Callable[[Target], list[str]]) -> Callable[..., list[CompletionItem]]:
    """A completion; offers nothing, silently, if the cluster does not answer."""

    def complete(
        context: click.Context, _: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            found = find(_target(context))
        except Exception:
            # The command itself reports the error when it runs.
            return []
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]

    return complete


def _namespaces(target: Target) -> list[str]:
    client = Client(target, patience=COMPLETION_SECONDS)
    return [str(b["metadata"]["name"]) for b in client.items(names.path(names.NAMESPACES))]


def _predictors(target: Target) -> list[str]:
    client = Client(target, patience=COMPLETION_SECONDS)
    return [str(b["metadata"]["name"]) for b in client.predictors(client.namespace)]


class PredictorName(click.ParamType[str]):
    """A name, or ``rp/NAME`` as kubectl prints it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind, _, name = str(value).rpartition("/")
        if kind not in ("", "rp", "riskpredictor", "riskpredictors", names.RESOURCE,
                        names.RESOURCE.replace("riskpredictors", "riskpredictor")):  # fmt: skip
            self.fail(f"{value!r} is no RiskPredictor", param, ctx)
        if not name:
            self.fail("a name must not be empty", param, ctx)
        return name


def name_argument(*, required: bool = True) -> Callable[[F], F]:
    """The argument NAME, completed from the cluster."""
    return click.argument(
        "name", type=PredictorName(), required=required, shell_complete=_offer(_predictors)
    )


def target_flags(function: F) -> F:
    """Add ``-n``, ``--context`` and ``--kubeconfig``."""
    for flags, text, offer in (
        (("--kubeconfig",), "Path to the kubeconfig file.", None),
        (("--context",), "Context of the kubeconfig.", contexts),
        (("-n", "--namespace"), "Namespace; by default the context's.", _namespaces),
    ):
        complete = None if offer is None else _offer(offer)
        kind = click.Path() if offer is None else None
        option = click.option(*flags, default="", help=text, shell_complete=complete, type=kind)
        function = option(function)
    return function


def with_client(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags of ``target_flags``, and pass a client of the cluster that they name."""

    @target_flags
    @click.pass_context
    @functools.wraps(function)
    def wrapper(context: click.Context, /, **arguments: Any) -> Any:
        for flag in ("kubeconfig", "context", "namespace"):
            arguments.pop(flag)
        return function(client_of(context), **arguments)

    return wrapper


def client_of(context: click.Context, *, patience: float = READ_SECONDS) -> Client:
    """A client of the cluster that the flags of a command, or those before it, name."""
    return Client(_target(context), patience=patience)


def output_flag(*forms: str) -> Callable[[F], F]:
    """Add ``-o`` with these values."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(forms), default=None,
        help="Output format; by default a table.",
    )  # fmt: skip
