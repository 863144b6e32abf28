"""Models as artifacts, in a folder or in a store.

The only module that uses the predictor's package: its transports, and its checks of an artifact
(docs/decisions/0020). It is imported when a command needs it, for nothing else does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.predictor import RefusedError, problem
from riskpredictor_kubectl.records import Record

if TYPE_CHECKING:
    from riskpredictor_server.model.artifact import Model
    from riskpredictor_server.store.transport import FetchContext

INSTALL = (
    "kubectl riskpredictor model needs the predictor's package beside the plug-in; in the folder of"
    " the project: pip install ./predictor"
)


@dataclass(frozen=True)
class Access:
    """How stores are reached."""

    credentials: str = ""
    """A folder of files named as the keys of ``spec.model.credentialsSecret``; if empty, what the
    environment says."""
    authority: str = ""
    """A PEM file of certificates that are trusted beside the system's."""
    server: str = ""
    """The MLflow server of a ``models:/`` URI."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What an URI cannot say: ``endpoint``, ``region``, ``path``."""


@dataclass(frozen=True)
class Artifact:
    """A model whose files are those that its card lists."""

    digest: str
    """``sha256:...`` of card.json, the identity of the model."""
    card: Mapping[str, Any]
    files: Mapping[str, bytes]
    model: Model | None
    """As the predictor loads it, checked by its golden cases; None if that would run a pickle."""


@dataclass(frozen=True)
class Declared:
    """A model in a store, as a RiskPredictor declares it."""

    version: str
    digest: str
    source: Mapping[str, Any]


def read(where: str, access: Access, *, pickles: bool = False) -> Artifact:
    """Read an artifact and verify it; a folder or a URI of a store.

    A model without scorer.json is a pickle, which can run any code: it is loaded only with
    ``pickles``.

    Raises:
        PluginError: there is none, or it is damaged.
    """
    return _read(_place(where, access), where, access, pickles=pickles)


def _read(
    source: Mapping[str, Any], where: str, access: Access, *, pickles: bool = False
) -> Artifact:
    with _told():
        from riskpredictor_server.model.artifact import CARD, LINEAR
        from riskpredictor_server.store.library import read_any

        files = read_any(source, _context(access))
        digest = f"sha256:{hashlib.sha256(files[CARD]).hexdigest()}"
        if LINEAR not in files and not pickles:
            return Artifact(digest, json.loads(files[CARD]), files, None)
        model = _load(files, where)
        return Artifact(digest, model.card, files, model)


def push(folder: str, where: str, access: Access) -> tuple[str, Declared]:
    """Put the artifact of a folder into a store; returns what exactly to refer to, and the model.

    Raises:
        PluginError: it is damaged, or the store refuses.
    """
    # Nothing that would not serve, as far as that can be seen without running it.
    checked = read(folder, Access())
    with _told():
        from riskpredictor_server.store.library import push as put

        pushed = put(Path(folder), _place(where, access), _context(access))
    source = _place(where, access)
    return pushed.reference, Declared(checked.card["model_version"], pushed.digest, source)


def resolve(where: str, access: Access) -> Declared:
    """What a RiskPredictor declares to serve the model that is there now.

    Of an MLflow alias, which moves, that is the version that has it.

    Raises:
        PluginError: there is none, it is damaged, or it is in no store.
    """
    source = _place(where, access)
    if "folder" in source:
        raise PluginError(f"{where} is a folder, which pods cannot read; push it to a store first")
    if mlflow := source.get("mlflow"):
        with _told():
            from riskpredictor_server.store.mlflow import resolve as version_of

            source = {"mlflow": {**mlflow, "uri": version_of(mlflow, _context(access)).uri}}
    found = _read(source, where, access)
    return Declared(found.card["model_version"], found.digest, source)


def levels(artifact: Artifact, records: Sequence[Record]) -> list[str]:
    """The level that a loaded model gives to each record.

    Raises:
        RefusedError: the model does not take some of them.
    """
    from riskpredictor_server.api.records import InvalidRecordError, RecordReader

    model = artifact.model
    assert model is not None  # noqa: S101 - callers load what they score with
    try:
        reader = RecordReader(model.schema, model.examples[0]["record"])
        rows = reader.read_many(records, "instances")
    except InvalidRecordError as error:
        raise RefusedError([problem(each) for each in error.errors]) from None
    table = model.scorer.score_many(rows).probabilities
    return [model.schema.levels[model.schema.level_of(list(row))] for row in table]


def _load(files: Mapping[str, bytes], where: str) -> Model:
    from riskpredictor_server.model.artifact import ArtifactError, load

    with TemporaryDirectory(prefix="riskpredictor-model-") as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        try:
            return load(Path(folder))
        except ArtifactError as error:
            text = str(error).replace(f"{folder}/", "")
            raise PluginError(f"the model at {where} would not serve: {text}") from None


def _place(where: str, access: Access) -> dict[str, Any]:
    """The place as ``spec.model.source`` has it; ``folder`` is one of this machine."""
    if where.startswith("models:/") and not access.server:
        raise PluginError(f"{where} is at an MLflow server: name it with --server URL")
    with _told():
        from riskpredictor_server.store.sources import from_uri

        found = from_uri(where, access.server)
    # Of two places one may be a folder, of which the flags say nothing.
    details = access.details if found.kind != "folder" else {}
    return {found.kind: {**found.source, **details}}


def _context(access: Access) -> FetchContext:
    from riskpredictor_server.store.credentials import read_credentials
    from riskpredictor_server.store.library import new_context

    authority = Path(access.authority) if access.authority else None
    return new_context(read_credentials(access.credentials), authority)


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the predictor's package as errors of the plug-in."""
    try:
        from riskpredictor_server.store.errors import StoreError
    except ImportError:
        raise PluginError(INSTALL) from None
    try:
        yield
    except StoreError as error:
        raise PluginError(error.message) from None
    except ValueError as error:
        raise PluginError(str(error)) from None
