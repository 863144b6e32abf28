"""``kubectl riskpredictor status``."""

from __future__ import annotations

from dataclasses import asdict, replace

import click

from riskpredictor_kubectl import names
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.describe import Overview, describe
from riskpredictor_kubectl.names import path
from riskpredictor_kubectl.options import name_argument, output_flag, with_client
from riskpredictor_kubectl.output import emit, notice
from riskpredictor_kubectl.resources import autoscaler_of, gather
from riskpredictor_kubectl.view import Summary, status_document, summaries, summary
from riskpredictor_kubectl.watch import changes

NOT_READY = 3
"""Exit status with ``--exit-status``; 1 is for errors."""


@click.command()
@name_argument(required=False)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In all namespaces.")
@output_flag("json", "yaml", "wide")
@click.option("-w", "--watch", is_flag=True, help="Then print a row for each change.")
@click.option("--events", default=8, show_default=True, type=click.IntRange(0), metavar="N",
              help="Number of Events to show.")  # fmt: skip
@click.option("--exit-status", is_flag=True,
              help=f"Exit with {NOT_READY} unless everything shown is Ready.")  # fmt: skip
@with_client
def status(
    client: Client,
    name: str | None,
    everywhere: bool,
    form: str | None,
    watch: bool,
    events: int,
    exit_status: bool,
) -> None:
    """Show all RiskPredictors, or one with its children.

    For one, shows its Deployment, pods, Service and autoscaler, its conditions, why it is not
    ready and what to do about it, and the last Events.
    """
    if name and everywhere:
        raise click.UsageError("a NAME is in one namespace; leave out NAME or --all-namespaces")
    if watch and exit_status:
        raise click.UsageError("--watch does not end by itself; leave out --exit-status or --watch")
    namespace = "" if everywhere else client.namespace
    if watch:
        _watch(client, namespace, name, form)
        return
    ready = _one(client, name, form, events) if name else _all(client, namespace, form)
    if exit_status and not ready:
        click.get_current_context().exit(NOT_READY)


def _one(client: Client, name: str, form: str | None, events: int) -> bool:
    resources = gather(client, client.namespace, name)
    data = status_document(resources)
    if form in ("json", "yaml"):
        emit(data | {"events": data["events"][:events]}, form)
    else:
        if form == "wide":
            rows = summaries([resources.predictor], filter(None, [resources.autoscaler]))
            click.echo(Overview(namespaces=False, wide=True).table(rows) + "\n")
        click.echo(describe(resources, events))
    return bool(data["ready"] == "True")


def _all(client: Client, namespace: str, form: str | None) -> bool:
    predictors = client.predictors(namespace)
    rows = []
    if predictors:
        autoscalers = client.items(path(names.AUTOSCALERS, namespace), labelSelector=names.LABEL)
        rows = summaries(predictors, autoscalers)
    if form in ("json", "yaml"):
        emit({"items": [asdict(row) for row in rows]}, form)
    elif rows:
        click.echo(Overview(namespaces=not namespace, wide=form == "wide").table(rows))
    else:
        where = f" in {namespace} namespace." if namespace else ""
        notice(f"No resources found{where}")
    return all(row.ready == "True" for row in rows)


def _watch(client: Client, namespace: str, name: str | None, form: str | None) -> None:
    """Print all, then a row for each change, without end."""
    shown: dict[str, Summary] = {}
    screen = Overview(namespaces=not namespace, wide=form == "wide")
    for predictors in changes(client, namespace, name):
        rows = [summary(each, autoscaler_of(client, each)) for each in predictors]
        if form not in ("json", "yaml"):
            # The table does not show it, so a change of it is no new row.
            rows = [replace(row, message="") for row in rows]
        changed = {
            body["metadata"]["uid"]: row
            for body, row in zip(predictors, rows, strict=True)
            if shown.get(body["metadata"]["uid"]) != row
        }
        if form in ("json", "yaml"):
            for row in changed.values():
                emit(asdict(row), form, several=True)
        elif not shown:
            click.echo(screen.table(list(changed.values()), room=True))
        else:
            for row in changed.values():
                click.echo(screen.row(row))
        shown |= changed
