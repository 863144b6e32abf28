"""``kubectl riskpredictor rollout``."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click
import yaml

from riskpredictor_kubectl import names, undo
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.history import Revision, revisions
from riskpredictor_kubectl.model_source import short
from riskpredictor_kubectl.names import Body, path
from riskpredictor_kubectl.options import name_argument, output_flag, with_client
from riskpredictor_kubectl.output import age, emit, notice, table
from riskpredictor_kubectl.remedies import is_current
from riskpredictor_kubectl.resources import owns


@click.group()
def rollout() -> None:
    """Show which versions ran, and how to go back to one."""


@rollout.command()
@name_argument()
@output_flag("json", "yaml", "wide")
@with_client
def history(client: Client, name: str, form: str | None) -> None:
    """List the revisions, oldest first.

    A revision is a template of pods; scaling makes none.
    """
    _, found = _revisions(client, name)
    if form in ("json", "yaml"):
        data = [{k: v for k, v in vars(one).items() if k != "template"} for one in found]
        emit({"revisions": data}, form)
        return
    click.echo(_table(found))


def _table(found: list[Revision]) -> str:
    header = ["REVISION", "MODEL", "READY", "AGE", "STATE", "IMAGE"]
    # Only of those who keep models in a store.
    stored = any(one.digest for one in found)
    header += ["DIGEST", "SOURCE"] if stored else []
    rows = [
        [str(one.number), one.model, f"{one.ready}/{one.pods}", age(one.created), one.state or "-",
         one.image] + ([short(one.digest), one.source] if stored else [])
        for one in found
    ]  # fmt: skip
    return table(header, rows)


@rollout.command(name="undo")
@name_argument()
@click.option("--to-revision", type=click.IntRange(1), metavar="N",
              help="Revision to go back to; by default the one before.")  # fmt: skip
@output_flag("json", "yaml")
@with_client
def undo_command(client: Client, name: str, to_revision: int | None, form: str | None) -> None:
    """Print the change of the spec that goes back.

    It does not change the cluster: the spec belongs in Git, which would revert the change.
    Everything that shapes the pods is restored, the digest and the source of a model from a store
    among it; the bounds of scaling stay.
    """
    predictor, found = _revisions(client, name)
    now, then = found[-1], _wanted(found, name, to_revision)
    change = undo.patch(predictor["spec"], now.template, then.template)
    if not is_current(predictor) or predictor["spec"].get("suspend"):
        notice("warning: the operator has not applied the present spec; compare the change with it")
    if not change:
        notice(f"nothing to change: revision {then.number} ({then.model}) is what is declared")
        return
    metadata = {"name": name, "namespace": client.namespace}
    body = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata,
            "spec": change}  # fmt: skip
    if form == "json":
        emit(body, form)
        return
    click.echo(f"# From revision {now.number} ({now.model}) back to {then.number} ({then.model}).")
    click.echo("# In Git, change this; null means: remove.")
    click.echo(yaml.safe_dump(body, sort_keys=False, allow_unicode=True), nl=False)
    if form != "yaml":
        click.echo("# If it is not declared in Git:")
        click.echo(f"#   {_command(client, name, change)}")


def _revisions(client: Client, name: str) -> tuple[Body, list[Revision]]:
    """The RiskPredictor and its revisions, at least one."""
    predictor = client.predictor(client.namespace, name)
    deployment = client.find(path(names.DEPLOYMENTS, client.namespace, name))
    if deployment is None or not owns(predictor, deployment):
        raise PluginError(
            f"{name} has no Deployment of its own, so no history; "
            f"see: kubectl riskpredictor status {name}"
        )
    sets = client.items(
        path(names.REPLICA_SETS, client.namespace), labelSelector=f"{names.LABEL}={name}"
    )
    found = revisions(deployment, sets)
    if not found:
        raise PluginError(f"the Deployment of {name} has no revision yet; try again in a moment")
    return predictor, found


def _wanted(found: list[Revision], name: str, number: int | None) -> Revision:
    if number is None:
        if len(found) < 2:
            raise PluginError(f"{name} has only revision {found[0].number}: nothing to go back to")
        return found[-2]
    for one in found:
        if one.number == number:
            return one
    there = ", ".join(str(one.number) for one in found)
    raise PluginError(f"{name} has no revision {number}; there are: {there}")


def _command(client: Client, name: str, change: dict[str, Any]) -> str:
    text = json.dumps({"spec": change}, separators=(",", ":"))
    return shlex.join(
        ["kubectl", *client.target.kubectl_flags, "-n", client.namespace, "patch",
         "riskpredictor", name, "--type=merge", "-p", text]
    )  # fmt: skip
