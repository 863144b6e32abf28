"""``kubectl riskpredictor status``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import click

from riskpredictor_kubectl import names
from riskpredictor_kubectl.cluster import Cluster
from riskpredictor_kubectl.describe import Overview, describe
from riskpredictor_kubectl.facts import Summary, everything, summaries, summary
from riskpredictor_kubectl.family import gather, owner
from riskpredictor_kubectl.names import Body, path
from riskpredictor_kubectl.options import name_argument, output_flag, to_screen, with_cluster
from riskpredictor_kubectl.output import emit

NOT_READY = 3
"""Exit status with ``--exit-status``; 1 is for errors."""
WATCH_SECONDS = 300
"""A watch is renewed this often, so that a connection that died unnoticed is, too."""


@click.command()
@name_argument(required=False)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Of all namespaces.")
@output_flag("json", "yaml", "wide")
@click.option("-w", "--watch", is_flag=True, help="Go on with a row whenever one changes.")
@click.option("--events", default=8, show_default=True, type=click.IntRange(0), metavar="N",
              help="How many of the last Events to show.")  # fmt: skip
@click.option("--exit-status", "tell", is_flag=True,
              help=f"Exit with {NOT_READY} unless all that is shown is Ready.")  # fmt: skip
@with_cluster
def status(
    cluster: Cluster,
    name: str | None,
    everywhere: bool,
    form: str | None,
    watch: bool,
    events: int,
    tell: bool,
) -> None:
    """Show all RiskPredictors, or one with its children.

    For one, shows its Deployment, pods, Service and autoscaler, its conditions, why it is not
    ready and what to do about it, and the last Events.
    """
    if name and everywhere:
        raise click.UsageError("a NAME is in one namespace; leave out NAME or --all-namespaces")
    if watch and tell:
        raise click.UsageError("--watch does not end by itself; leave out --exit-status or --watch")
    namespace = "" if everywhere else cluster.namespace
    if watch:
        _watch(cluster, namespace, name, form)
        return
    ready = _one(cluster, name, form, events) if name else _all(cluster, namespace, form)
    if tell and not ready:
        click.get_current_context().exit(NOT_READY)


def _one(cluster: Cluster, name: str, form: str | None, events: int) -> bool:
    family = gather(cluster, cluster.namespace, name)
    facts = everything(family)
    if form in ("json", "yaml"):
        emit(facts | {"events": facts["events"][:events]}, form)
    else:
        if form == "wide":
            rows = summaries([family.predictor], [family.autoscaler] if family.autoscaler else [])
            click.echo(Overview(namespaces=False, wide=True).table(rows) + "\n")
        click.echo(describe(family, events))
    return bool(facts["ready"] == "True")


def _all(cluster: Cluster, namespace: str, form: str | None) -> bool:
    predictors = cluster.predictors(namespace)
    rows = summaries(predictors, _autoscalers(cluster, namespace) if predictors else [])
    if form in ("json", "yaml"):
        emit({"items": [asdict(row) for row in rows]}, form)
    elif rows:
        click.echo(Overview(namespaces=not namespace, wide=form == "wide").table(rows))
    else:
        _nothing(namespace)
    return all(row.ready == "True" for row in rows)


def _nothing(namespace: str) -> None:
    to_screen(f"No resources found in {namespace} namespace." if namespace
              else "No resources found")  # fmt: skip


def _autoscalers(cluster: Cluster, namespace: str) -> list[Body]:
    return cluster.items(path(names.AUTOSCALERS, namespace), labelSelector=names.LABEL)


def _watch(cluster: Cluster, namespace: str, name: str | None, form: str | None) -> None:
    """A table of all, then a row for each change; never ends by itself."""
    shown: dict[str, Summary] = {}
    screen = Overview(namespaces=not namespace, wide=form == "wide")
    for predictors in _changes(cluster, namespace, name):
        rows = [summary(each, _autoscaler_of(cluster, each)) for each in predictors]
        if form not in ("json", "yaml"):
            # The table has no column for it.
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


def _changes(cluster: Cluster, namespace: str, name: str | None) -> Iterator[list[Body]]:
    """First all there are, then those that changed."""
    where = path(names.PREDICTORS, namespace)
    only = {"fieldSelector": f"metadata.name={name}"} if name else {}
    if name:
        cluster.predictor(namespace, name)
    while True:
        listed = cluster.get(where, **only)
        yield listed["items"]
        version = listed["metadata"]["resourceVersion"]
        while version:
            events = cluster.lines(
                where, WATCH_SECONDS + 30, watch="true", resourceVersion=version,
                timeoutSeconds=WATCH_SECONDS, allowWatchBookmarks="true", **only,
            )  # fmt: skip
            for line in events:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    # The version is too old to go on from: all again.
                    version = ""
                    break
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield [event["object"]]


def _autoscaler_of(cluster: Cluster, predictor: Body) -> Body | None:
    metadata = predictor["metadata"]
    found = cluster.find(path(names.AUTOSCALERS, metadata["namespace"], metadata["name"]))
    return found if found is not None and owner(found).get("uid") == metadata["uid"] else None
