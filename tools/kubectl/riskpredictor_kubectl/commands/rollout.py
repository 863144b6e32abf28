"""``kubectl riskpredictor rollout``: how a model is changed, and which versions ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from riskpredictor_kubectl import model_change, model_report, rollout_report, rollout_view
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.commands.abort import abort
from riskpredictor_kubectl.commands.undo import revisions_of, undo
from riskpredictor_kubectl.comparison import Agreement, from_matrix
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.forward import forwarding
from riskpredictor_kubectl.history import Revision
from riskpredictor_kubectl.model_change import ABORTED, PROMOTING, Change
from riskpredictor_kubectl.model_source import short
from riskpredictor_kubectl.names import Body
from riskpredictor_kubectl.options import name_argument, output_flag, with_client
from riskpredictor_kubectl.output import age, as_json, emit, table
from riskpredictor_kubectl.predictor import Predictor
from riskpredictor_kubectl.remedies import is_current
from riskpredictor_kubectl.watch import changes

NOT_SERVED = 3
"""Exit status of a watch that sees a roll-out end without its model; 1 is for errors."""


@click.group()
def rollout() -> None:
    """Show how a change of the model goes, stop it, and go back to an earlier version."""


@rollout.command()
@name_argument()
@output_flag("json", "yaml")
@click.option("-w", "--watch", is_flag=True,
              help=f"Then print a line for each change until it ends; exit with {NOT_SERVED} if it "
                   "was aborted.")  # fmt: skip
@with_client
def status(client: Client, name: str, form: str | None, watch: bool) -> None:
    """Show the change that is under way.

    That is its evidence, its gates, what it waits for and what comes next. Without one, shows what
    is served and the last change on record.
    """
    if not watch:
        predictor = client.predictor(client.namespace, name)
        _show(predictor, form)
        return
    _watch(changes(client, client.namespace, name), form)


def _show(predictor: Body, form: str | None) -> None:
    if form:
        emit(rollout_view.document(predictor), form)
    else:
        click.echo(rollout_view.text(predictor))


def _watch(news: Iterator[list[Body]], form: str | None) -> None:
    """Print all, then a line for each change, until nothing is under way."""
    shown: Any = None
    for predictors in news:
        for predictor in predictors:
            line = rollout_view.row(predictor)
            # Times go on by themselves, so they are no news.
            seen = rollout_view.document(predictor) if form else (*line[:2], *line[3:])
            if form and seen != shown:
                emit(seen, form, several=True)
            elif shown is None:
                click.echo(rollout_view.text(predictor) + "\n")
                click.echo(rollout_view.watched(rollout_view.WATCHED))
                click.echo(rollout_view.watched(line))
            elif seen != shown:
                click.echo(rollout_view.watched(line))
            shown = seen
            change = model_change.current(predictor)
            if is_current(predictor) and not _goes_on(change):
                click.get_current_context().exit(NOT_SERVED if change else 0)


def _goes_on(change: Change | None) -> bool:
    return change is not None and change.state != ABORTED


@rollout.command()
@name_argument()
@click.option("--revisions", "of_pods", is_flag=True,
              help="List the revisions of the pods, as rollout undo --to-revision numbers "
                   "them.")  # fmt: skip
@output_flag("json", "yaml", "wide")
@with_client
def history(client: Client, name: str, of_pods: bool, form: str | None) -> None:
    """List the changes on record, or revisions.

    With spec.rollout.strategy Progressive the operator keeps ten changes of the model, shown with
    the latest first. Without any, lists the revisions
    of the pods, oldest first: a revision is a template of pods; scaling makes none.
    """
    predictor = client.predictor(client.namespace, name)
    past = model_change.past(predictor)
    if past and not of_pods:
        if form in ("json", "yaml"):
            emit({"history": [asdict(change) for change in past]}, form)
            return
        change = model_change.current(predictor)
        click.echo(rollout_view.history(past, change if _goes_on(change) else None))
        return
    found = revisions_of(client, predictor)
    if form in ("json", "yaml"):
        data = [{k: v for k, v in vars(one).items() if k != "template"} for one in found]
        emit({"revisions": data}, form)
        return
    click.echo(_table(found))


def _table(found: list[Revision]) -> str:
    header = ["REVISION", "MODEL", "READY", "AGE", "STATE", "IMAGE"]
    # Only of those who compare models, or keep them in a store.
    compared = any(one.candidate for one in found)
    stored = any(one.digest for one in found)
    header += (["CANDIDATE"] if compared else []) + (["DIGEST", "SOURCE"] if stored else [])
    rows = [
        [str(one.number), one.model, f"{one.ready}/{one.pods}", age(one.created), one.state or "-",
         one.image] + ([one.candidate] if compared else [])
        + ([short(one.digest), one.source] if stored else [])
        for one in found
    ]  # fmt: skip
    return table(header, rows)


@rollout.command()
@name_argument()
@click.option("--entry", type=click.IntRange(1), metavar="N",
              help="One that has ended, as rollout history numbers them.")  # fmt: skip
@click.option("--version", metavar="V", help="The last change to this model version.")
@click.option("-o", "--output", "form", type=click.Choice(["markdown", "json"]), show_default=True,
              default="markdown", help="Output format.")  # fmt: skip
@click.option("-f", "--file", "file", type=click.File("w", encoding="utf-8", lazy=True),
              default="-", metavar="FILE", help="Write it there.")  # fmt: skip
@with_client
def report(
    client: Client, name: str, entry: int | None, version: str | None, form: str, file: Any
) -> None:
    """Print all about a change, to be kept.

    That is both models, who declared the change and when, policy, gates and evidence. By default of
    the one under way, else of the last on record. It has counts only, and can be kept with a safety
    case.

    \b
      kubectl riskpredictor rollout report health-predictor -f change-v2.md
    """
    if entry and version:
        raise click.UsageError("--entry and --version exclude each other")
    change = _change(client.predictor(client.namespace, name), name, entry, version)
    about = (client.namespace, name)
    if form == "json":
        text = as_json(rollout_report.document(about, change)) + "\n"
    else:
        text = rollout_report.markdown(about, change)
    file.write(text)


def _change(predictor: Body, name: str, entry: int | None, version: str | None) -> Change:
    """The change that is asked for; one that was aborted is on record, too, with more details."""
    past, change = model_change.past(predictor), model_change.current(predictor)
    if entry:
        if entry > len(past):
            raise PluginError(
                f"{name} has {len(past)} changes on record, so no entry {entry}; "
                f"see: kubectl riskpredictor rollout history {name}"
            )
        return past[entry - 1]
    known = ([change] if change and _goes_on(change) else []) + past
    known += [change] if change else []
    if version:
        known = [one for one in known if one.after.version == version]
        if not known:
            raise PluginError(
                f"{name} has no change to {version} on record; "
                f"see: kubectl riskpredictor rollout history {name}"
            )
    if not known:
        raise PluginError(
            f"{name} has no roll-out under way, and none on record: "
            "spec.rollout.strategy Progressive makes them"
        )
    return known[0]


@rollout.command()
@name_argument()
@output_flag("json", "yaml")
@with_client
def diff(client: Client, name: str, form: str | None) -> None:
    """Compare the stable model and the candidate.

    Shows what their cards say, of the stable model as A and of the candidate as B, and how far they
    agree on the requests so far. The cards are those that a pod has loaded. Downgraded is a record
    that the candidate finds at a lower risk.
    """
    predictor = client.predictor(client.namespace, name)
    change = model_change.current(predictor)
    if change is None:
        raise PluginError(
            f"{name} has no roll-out under way, so nothing to compare; two models in stores: "
            "kubectl riskpredictor model diff A B"
        )
    if change.state in (ABORTED, PROMOTING):
        raise PluginError(
            f"the pods of {name} hold no candidate ({change.step}); two models in stores: "
            "kubectl riskpredictor model diff A B"
        )
    one, other = _cards(client, name)
    for model, card in ((change.before, one), (change.after, other)):
        if model.digest not in ("", card["digest"]):
            raise PluginError(
                f"the pod of {name} that answered does not hold {model.version} "
                f"({short(model.digest)}): its pods are being replaced; try again"
            )
    found = _agreement(change)
    if form:
        emit(model_report.difference(one, other, found), form)
    else:
        click.echo(model_report.difference_text(one, other, found))


def _cards(client: Client, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cards of the stable model and the candidate, each with the model's digest."""
    with forwarding(client, name) as forward:
        pod = Predictor(forward.url)
        stable = pod.card()
        try:
            return stable, pod.card(candidate=True)
        except PluginError as error:
            raise PluginError(
                f"a pod of {name} does not give the candidate's card ({error.args[0]}); "
                f"see: kubectl riskpredictor rollout status {name}"
            ) from None


def _agreement(change: Change) -> Agreement | None:
    found = change.evidence
    return from_matrix(found.levels, found.matrix) if found.pairs else None


rollout.add_command(undo)
rollout.add_command(abort)
