"""``kubectl riskpredictor rollout``."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click
import yaml

from riskpredictor_kubectl import names, undo
from riskpredictor_kubectl.advice import is_current
from riskpredictor_kubectl.cluster import Cluster
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.family import owner
from riskpredictor_kubectl.history import Revision, revisions
from riskpredictor_kubectl.names import Body, path
from riskpredictor_kubectl.options import name_argument, output_flag, to_screen, with_cluster
from riskpredictor_kubectl.output import emit
from riskpredictor_kubectl.text import age, table


@click.group()
def rollout() -> None:
    """See which versions ran; go back to one."""


@rollout.command()
@name_argument()
@output_flag("json", "yaml", "wide")
@with_cluster
def history(cluster: Cluster, name: str, form: str | None) -> None:
    """List the revisions, oldest first.

    A revision is a template of pods; scaling makes none.
    """
    _, found = _revisions(cluster, name)
    if form in ("json", "yaml"):
        data = [{k: v for k, v in vars(one).items() if k != "template"} for one in found]
        emit({"revisions": data}, form)
        return
    rows = [
        (str(one.number), one.model, f"{one.ready}/{one.pods}", age(one.created), one.state or "-",
         one.image)
        for one in found
    ]  # fmt: skip
    click.echo(table(("REVISION", "MODEL", "READY", "AGE", "STATE", "IMAGE"), rows))


@rollout.command(name="undo")
@name_argument()
@click.option("--to-revision", type=click.IntRange(1), metavar="N",
              help="A number from history; otherwise the one before.")  # fmt: skip
@output_flag("json", "yaml")
@with_cluster
def undo_command(cluster: Cluster, name: str, to_revision: int | None, form: str | None) -> None:
    """Print the spec change that goes back.

    Changes nothing: what is declared belongs to Git, or else Git would bring it back. Everything
    that shapes the pods comes back, the bounds of scaling stay.
    """
    predictor, found = _revisions(cluster, name)
    now, then = found[-1], _wanted(found, name, to_revision)
    change = undo.patch(predictor["spec"], now.template, then.template)
    if not is_current(predictor) or predictor["spec"].get("suspend"):
        to_screen("warning: the operator has not applied the present spec; compare with it")
    if not change:
        to_screen(f"nothing to change: revision {then.number} ({then.model}) is what is declared")
        return
    metadata = {"name": name, "namespace": cluster.namespace}
    body = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata,
            "spec": change}  # fmt: skip
    if form == "json":
        emit(body, form)
        return
    click.echo(f"# From revision {now.number} ({now.model}) back to {then.number} ({then.model}).")
    click.echo("# In Git, change this; null means: remove.")
    click.echo(yaml.safe_dump(body, sort_keys=False, allow_unicode=True), nl=False)
    if form != "yaml":
        click.echo("# Where nothing but kubectl declares it:")
        click.echo(f"#   {_command(cluster, name, change)}")


def _revisions(cluster: Cluster, name: str) -> tuple[Body, list[Revision]]:
    """The RiskPredictor and its revisions, of which there is at least one."""
    predictor = cluster.predictor(cluster.namespace, name)
    deployment = cluster.find(path(names.DEPLOYMENTS, cluster.namespace, name))
    if deployment is None or owner(deployment).get("uid") != predictor["metadata"]["uid"]:
        raise PluginError(
            f"{name} has no Deployment of its own, so no history; "
            f"see: kubectl riskpredictor status {name}"
        )
    sets = cluster.items(
        path(names.REPLICA_SETS, cluster.namespace), labelSelector=f"{names.LABEL}={name}"
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


def _command(cluster: Cluster, name: str, change: dict[str, Any]) -> str:
    text = json.dumps({"spec": change}, separators=(",", ":"))
    return shlex.join(
        ["kubectl", *cluster.target.kubectl_flags, "-n", cluster.namespace, "patch",
         "riskpredictor", name, "--type=merge", "-p", text]
    )  # fmt: skip
