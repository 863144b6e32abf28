"""``kubectl riskpredictor model``: models in folders and stores, without a cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TextIO

import click
import yaml

from riskpredictor_kubectl import artifacts, declaration, model_report
from riskpredictor_kubectl.answers import placed
from riskpredictor_kubectl.artifacts import Access, Artifact, Declared
from riskpredictor_kubectl.comparison import Agreement, agreement
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.options import output_flag
from riskpredictor_kubectl.output import emit, notice
from riskpredictor_kubectl.predictor import RefusedError
from riskpredictor_kubectl.records import Row, read_csv, refused


def _with_access(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that say how stores are reached, and pass them as ``access``."""

    @click.option("--server", metavar="URL", envvar="MLFLOW_TRACKING_URI", show_envvar=True,
                  help="MLflow server of a models:/ URI.")  # fmt: skip
    @click.option("--endpoint", metavar="URL", help="Of an S3, GCS or Azure store.")
    @click.option("--region", metavar="NAME", help="Of an S3 bucket.")
    @click.option("--path", metavar="FOLDER", help="Of the model in an MLflow version.")
    @click.option("--credentials", metavar="DIR", type=click.Path(exists=True, file_okay=False),
                  help="Has files named as the keys of spec.model.credentialsSecret.")  # fmt: skip
    @click.option("--ca", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
                  help="PEM certificates to trust beside the system's.")  # fmt: skip
    @functools.wraps(function)
    def wrapper(
        server: str | None,
        endpoint: str | None,
        region: str | None,
        path: str | None,
        credentials: str | None,
        ca: str | None,
        **arguments: Any,
    ) -> Any:
        details = {"endpoint": endpoint, "region": region, "path": path}
        given = {name: value for name, value in details.items() if value}
        access = Access(credentials or "", ca or "", server or "", given)
        return function(access=access, **arguments)

    return wrapper


@click.group()
def model() -> None:
    """Look at models in folders and stores, compare them, and declare them.

    A place is a folder, or the URI of a store: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX,
    az://ACCOUNT/CONTAINER/PREFIX, https://HOST/PATH/, oci://HOST/NAME:TAG, models:/NAME@ALIAS.
    Credentials are those of the environment, or of files (--credentials).
    """


@model.command()
@click.argument("place")
@output_flag("json", "yaml")
@_with_access
def inspect(place: str, form: str | None, access: Access) -> None:
    """Show what a model is: identity, levels, features, metrics, files.

    All is verified by the card's digests. A model of the linear form is loaded, too, and must
    answer its golden cases; one that is a pickle is not, because that runs code.
    """
    found = artifacts.read(place, access)
    if form:
        emit(model_report.document(found.digest, found.card, found.files), form)
        return
    proven = found.model is not None
    click.echo(model_report.text(found.digest, found.card, found.files, proven=proven))
    if not proven:
        notice("warning: the model is a pickle, which runs code when it is loaded; it was not")


@model.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.argument("place")
@output_flag("json", "yaml")
@_with_access
def push(folder: str, place: str, form: str | None, access: Access) -> None:
    """Put the model of a folder into a store, and print the lines for Git."""
    reference, declared = artifacts.push(folder, place, access)
    notice(f"pushed to {reference}")
    _declare(declared, form)


@model.command()
@click.argument("place")
@output_flag("json", "yaml")
@_with_access
def resolve(place: str, form: str | None, access: Access) -> None:
    """Print the lines for Git that declare the model that is at a place now.

    \b
      kubectl riskpredictor model resolve models:/risk@champion --server https://mlflow.example.com
    """
    _declare(artifacts.resolve(place, access), form)


def _declare(declared: Declared, form: str | None) -> None:
    if "folder" in declared.source:
        return
    spec = {
        "modelVersion": declared.version,
        "model": {"digest": declared.digest, "source": dict(declared.source)},
    }
    if form:
        emit(spec, form)
        return
    for name, value in spec.items():
        click.echo(_line({name: value}))


def _line(value: dict[str, Any]) -> str:
    """YAML on one line, to be pasted below ``spec:``."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=float("inf"))
    return text.strip().removeprefix("{").removesuffix("}")


@model.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--data", type=click.File(encoding="utf-8-sig"), metavar="FILE",
              help="A CSV file of records, which both models are asked about.")  # fmt: skip
@click.option("--allow-pickle", is_flag=True,
              help="Load a model that is a pickle: this runs code.")  # fmt: skip
@output_flag("json", "yaml")
@_with_access
def diff(
    first: str,
    second: str,
    data: TextIO | None,
    allow_pickle: bool,
    form: str | None,
    access: Access,
) -> None:
    """Compare two models: features, levels, metrics, and answers about the same records.

    Downgraded is a record that B finds at a lower risk than A.
    """
    one, other = (artifacts.read(place, access, pickles=allow_pickle) for place in (first, second))
    found = _agreement(one, other, data) if data else None
    if form:
        emit(model_report.difference(_identified(one), _identified(other), found), form)
    else:
        click.echo(model_report.difference_text(_identified(one), _identified(other), found))


def _identified(artifact: Artifact) -> dict[str, Any]:
    return {**artifact.card, "digest": artifact.digest}


def _agreement(one: Artifact, other: Artifact, data: TextIO) -> Agreement:
    lines = data.readlines()
    answers = []
    for artifact in (one, other):
        version = artifact.card["model_version"]
        if artifact.model is None:
            raise PluginError(
                f"{version} is a pickle, which runs code when it is loaded; "
                "if you trust it: --allow-pickle"
            )
        name = f"{data.name} for {version}"
        rows = read_csv(lines, name, declaration.read(artifact.card))
        answers.append(_levels(artifact, rows, name))
    levels = [artifact.card["levels"] for artifact in (one, other)]
    return agreement(levels[0] if levels[0] == levels[1] else [], *answers)


def _levels(artifact: Artifact, rows: list[Row], name: str) -> list[str]:
    try:
        return artifacts.levels(artifact, [row.record for row in rows])
    except RefusedError as error:
        raise refused(name, [placed(each, rows) for each in error.problems]) from None
