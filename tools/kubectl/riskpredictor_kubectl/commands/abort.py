"""``kubectl riskpredictor rollout abort``."""

from __future__ import annotations

import sys
import time

import click

from riskpredictor_kubectl import model_change, names
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError, ServerError
from riskpredictor_kubectl.model_change import ABORTED, OBSERVING, Change
from riskpredictor_kubectl.names import Body, path
from riskpredictor_kubectl.options import name_argument, with_client
from riskpredictor_kubectl.output import fold, notice

TRIES = 5
"""Writes that may meet another one: the operator writes the status meanwhile."""
ASK_SECONDS = 1.0


@click.command()
@name_argument()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", type=click.BOOL, is_flag=False, flag_value="true", default=True,
              show_default=True, metavar="[true|false]",
              help="Wait until the status says Aborted.")  # fmt: skip
@click.option("--timeout", type=click.IntRange(1, 3600), default=60, show_default=True,
              metavar="SECONDS", help="How long to wait.")  # fmt: skip
@with_client
def abort(client: Client, name: str, yes: bool, wait: bool, timeout: int) -> None:
    """Stop the change that is under way.

    The stable model answers alone again. It writes the annotation healthtech.dev/abort on the
    RiskPredictor, which stops this one roll-out and no later one. Git still declares the candidate,
    which is not tried again until spec.rollout.retry has another word: put the stable model back
    there.
    """
    change = _running(client.predictor(client.namespace, name), name)
    old, new = change.before.version, change.after.version
    notice(
        fold(
            f"{new} is on trial beside {old} ({change.step}). An abort gives all answers to {old} "
            f"again. Git still declares {new}, which is not tried again until spec.rollout.retry "
            f"has another word: put {old} back there.",
            "",
        )
    )
    if not yes:
        _ask(f"Abort the roll-out of {new}?")
    predictor = _annotate(client, name, change)
    if predictor["spec"].get("suspend"):
        notice(f"warning: {name} is suspended; nothing happens before spec.suspend is removed")
        return
    if wait:
        _wait(client, name, change, timeout)
        click.echo(f"{name}: {new} was aborted, {old} is the model again")
    else:
        click.echo(f"{name}: the abort of {new} is asked for")


def _running(predictor: Body, name: str) -> Change:
    """The change that can be aborted.

    Raises:
        PluginError: there is none.
    """
    change = model_change.current(predictor)
    if change is None:
        raise PluginError(f"{name} has no roll-out under way, so nothing to abort")
    if change.state == ABORTED:
        raise PluginError(f"{change.after.version} was aborted already: {change.message}")
    if change.state == OBSERVING:
        raise PluginError(
            f"{change.after.version} is only observed and answers nobody; remove spec.shadow in Git"
        )
    return change


def _ask(question: str) -> None:
    if not _is_terminal():
        raise PluginError("nobody can be asked here; add --yes")
    if not click.confirm(question, err=True):
        raise click.Abort


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _annotate(client: Client, name: str, change: Change) -> Body:
    """Set the annotation on the very object that was read, unless it is about another roll-out."""
    where = path(names.PREDICTORS, client.namespace, name)
    for attempt in range(1, TRIES + 1):
        predictor = client.predictor(client.namespace, name)
        now = _running(predictor, name)
        if now.id != change.id:
            raise PluginError(f"another roll-out is under way now ({now.after.version}); try again")
        metadata = predictor["metadata"]
        guard = {key: metadata[key] for key in ("uid", "resourceVersion")}
        annotations = {names.ANNOTATION_ABORT: change.id}
        try:
            return client.merge_patch(where, {"metadata": {**guard, "annotations": annotations}})
        except ServerError as error:
            if error.status != 409 or attempt == TRIES:
                raise
    raise AssertionError("the last attempt returns or raises")


def _wait(client: Client, name: str, change: Change, seconds: float) -> None:
    """Return when the status says that it was aborted.

    Raises:
        PluginError: it ended otherwise before the operator saw the annotation, or goes on.
    """
    end = time.monotonic() + seconds
    while True:
        predictor = client.predictor(client.namespace, name)
        now = model_change.current(predictor)
        if now is None or now.id != change.id:
            latest = next(iter(model_change.past(predictor)), None)
            how = f" ({latest.after.version}: {latest.state})" if latest else ""
            raise PluginError(f"the roll-out of {name} ended before it could be aborted{how}")
        if now.state == ABORTED:
            return
        if time.monotonic() >= end:
            raise PluginError(
                f"the abort is asked for, and {name} still says {now.step} after {seconds:g} s; "
                "does the operator run? kubectl logs -n riskpredictor-system "
                "-l app.kubernetes.io/name=riskpredictor-operator"
            )
        time.sleep(ASK_SECONDS)
