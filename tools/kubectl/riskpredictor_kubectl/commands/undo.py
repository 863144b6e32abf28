"""``kubectl riskpredictor rollout undo``."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click
import yaml

from riskpredictor_kubectl import model_change, names
from riskpredictor_kubectl import undo as changes
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.history import Revision, revisions
from riskpredictor_kubectl.model_change import ABORTED, Change
from riskpredictor_kubectl.names import Body, path
from riskpredictor_kubectl.options import name_argument, output_flag, with_client
from riskpredictor_kubectl.output import emit, notice
from riskpredictor_kubectl.remedies import is_current
from riskpredictor_kubectl.resources import owns


@click.command()
@name_argument()
@click.option("--to-revision", type=click.IntRange(1), metavar="N",
              help="Revision to go back to (rollout history --revisions); by default the one "
                   "before, or the stable one while a model is on trial.")  # fmt: skip
@output_flag("json", "yaml")
@with_client
def undo(client: Client, name: str, to_revision: int | None, form: str | None) -> None:
    """Print the change of the spec that goes back.

    It does not change the cluster: the spec belongs in Git, which would revert the change.
    Everything that shapes the pods is restored, the digest and the source of a model from a store
    among it; the bounds of scaling stay.

    While a model is on trial, and after it was aborted, that is what was declared before it.
    """
    predictor = client.predictor(client.namespace, name)
    found = revisions_of(client, predictor)
    change = model_change.current(predictor)
    trial = change if change and (change.is_running or change.state == ABORTED) else None
    now, then = found[-1], _wanted(found, name, to_revision, trial)
    declared = trial.after if trial else None
    patch = changes.patch(predictor["spec"], now.template, then.template, declared)
    if not is_current(predictor) or predictor["spec"].get("suspend"):
        notice("warning: the operator has not applied the present spec; compare the change with it")
    if not patch:
        notice(f"nothing to change: revision {then.number} ({then.model}) is what is declared")
        return
    metadata = {"name": name, "namespace": client.namespace}
    body = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata,
            "spec": patch}  # fmt: skip
    if form == "json":
        emit(body, form)
        return
    start = f"revision {now.number} ({now.model})"
    if trial:
        start = f"{trial.after.version} ({trial.step})"
    click.echo(f"# From {start} back to {then.number} ({then.model}).")
    click.echo("# In Git, change this; null means: remove.")
    click.echo(yaml.safe_dump(body, sort_keys=False, allow_unicode=True), nl=False)
    if form != "yaml":
        click.echo("# If it is not declared in Git:")
        click.echo(f"#   {_command(client, name, patch)}")


def revisions_of(client: Client, predictor: Body) -> list[Revision]:
    """The revisions of a RiskPredictor's pods, at least one."""
    name = predictor["metadata"]["name"]
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
    return found


def _wanted(found: list[Revision], name: str, number: int | None, trial: Change | None) -> Revision:
    if number is not None:
        for one in found:
            if one.number == number:
                return one
        there = ", ".join(str(one.number) for one in found)
        raise PluginError(f"{name} has no revision {number}; there are: {there}")
    # Those with a candidate are steps on the way to another one, unless nothing else is left.
    whole = [one for one in found if not one.candidate]
    if trial:
        stable = trial.before
        same = [one for one in found if one.is_of(stable.version, stable.digest)]
        without = [one for one in same if one in whole]
        if not same:
            raise PluginError(
                f"no revision of {name} with {stable.version} is left; take it from Git, or see: "
                f"kubectl riskpredictor rollout history {name}"
            )
        return (without or same)[-1]
    before = [one for one in whole if one is not found[-1]] or found[:-1]
    if not before:
        raise PluginError(f"{name} has only revision {found[0].number}: nothing to go back to")
    return before[-1]


def _command(client: Client, name: str, change: dict[str, Any]) -> str:
    text = json.dumps({"spec": change}, separators=(",", ":"))
    return shlex.join(
        ["kubectl", *client.target.kubectl_flags, "-n", client.namespace, "patch",
         "riskpredictor", name, "--type=merge", "-p", text]
    )  # fmt: skip
