"""Transport ``mlflow``: versions in a registry of models, whose server hands out their files.

By plain requests of MLflow's REST interface: its client alone would be 17 MB in every image.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from riskpredictor_server.model.artifact import CARD
from riskpredictor_server.store.errors import FETCH_FAILED, NOT_FOUND, REJECTED, StoreError
from riskpredictor_server.store.sources import from_uri
from riskpredictor_server.store.transport import FetchContext, Reader, Source
from riskpredictor_server.store.verification import CARD_LIMIT
from riskpredictor_server.store.web_server import authorization
from riskpredictor_server.store.words import of_body, shown_url

FIELD = "spec.model.source.mlflow"
ANSWER_LIMIT = 1024 * 1024
STAGES = ("none", "staging", "production", "archived", "latest")
"""What may stand in the place of a version, and changes behind one's back."""
_URI = re.compile(
    r"models:/(?:(?P<logged>m-[0-9a-f]{32})"
    r"|(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+)))"
)
_BAD_REQUEST = 400


@dataclass(frozen=True)
class Resolved:
    """One version, whatever becomes of its alias."""

    uri: str
    """Names exactly this version: ``models:/NAME/NUMBER``, or ``models:/m-ID``."""
    name: str
    version: str
    """Number of the version in MLflow; empty for a logged model, which has none."""
    digest: str
    """``sha256:...`` of card.json: ``spec.model.digest``."""
    model_version: str
    """What the card calls it: ``spec.modelVersion``."""


def open(source: Source, context: FetchContext) -> Reader:  # noqa: A001 - as all transports
    """Ask ``source['server']`` where the files of ``source['uri']`` are, below ``path`` if given.

    ``uri`` is ``models:/NAME/NUMBER``, ``models:/NAME@ALIAS`` or ``models:/m-ID``. Credentials:
    ``token``, or ``username`` and ``password``. Files that the server does not hand out itself
    are read from the object store that it names, with the credentials for that store.
    """
    server = _Server(source["server"], context)
    return _files(server, _version(server, source["uri"]), source.get("path", ""))


def resolve(source: Source, context: FetchContext) -> Resolved:
    """Return which version ``source`` means now, and the digest of its card; raises StoreError."""
    server = _Server(source["server"], context)
    version = _version(server, source["uri"])
    card = _files(server, version, source.get("path", "")).read(CARD, CARD_LIMIT)
    try:
        model_version = json.loads(card)["model_version"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise StoreError(REJECTED, f"{version.uri}: {CARD} has no model_version") from error
    digest = f"sha256:{hashlib.sha256(card).hexdigest()}"
    return Resolved(version.uri, version.name, version.number, digest, str(model_version))


@dataclass(frozen=True)
class _Version:
    uri: str
    name: str
    number: str
    files: str
    """URI of the folder of its files."""


class _Server:
    """MLflow's server."""

    def __init__(self, url: str, context: FetchContext) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise StoreError(
                FETCH_FAILED,
                f"{FIELD}.server: must begin with https:// or http://, and name a host without user"
                " and password; those belong into the Secret of spec.model.credentialsSecret",
            )
        self.url, self.context = url.rstrip("/"), context

    def ask(self, path: str, what: str, **query: str) -> Any:
        """Return MLflow's answer; raises StoreError."""
        url = f"{self.url}/api/2.0/mlflow/{path}{'?' if query else ''}{urlencode(query)}"
        answer = self.context.http.request(
            url, ANSWER_LIMIT, headers=authorization(self.context), accept=(_BAD_REQUEST,)
        )
        # That is how it says that there is no such alias.
        if answer.status == _BAD_REQUEST:
            raise StoreError(NOT_FOUND, f"{what}: MLflow says: {of_body(answer.body)}")
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise self.no_mlflow(what) from error

    def no_mlflow(self, what: str) -> StoreError:
        """Return the error for an answer that is none of MLflow's."""
        return StoreError(
            FETCH_FAILED,
            f"{what}: {shown_url(self.url)} does not answer as MLflow does; check {FIELD}.server",
        )


def _version(server: _Server, uri: str) -> _Version:
    found = _URI.fullmatch(uri)
    if found is None:
        raise _wrong(uri, "must be models:/NAME/NUMBER, models:/NAME@ALIAS or models:/m-ID")
    what = f"{uri} of {shown_url(server.url)}"
    try:
        if model_id := found["logged"]:
            info = server.ask(f"logged-models/{model_id}", what)["model"]["info"]
            return _Version(uri, str(info["name"]), "", str(info["artifact_uri"]))
        name, number = unquote(found["name"]), _number(server, uri, what, found)
        files = server.ask("model-versions/get-download-uri", what, name=name, version=number)
        return _Version(
            f"models:/{found['name']}/{number}", name, number, str(files["artifact_uri"])
        )
    except (TypeError, KeyError) as error:
        raise server.no_mlflow(what) from error


def _number(server: _Server, uri: str, what: str, found: re.Match[str]) -> str:
    if alias := found["alias"]:
        query = {"name": unquote(found["name"]), "alias": unquote(alias)}
        return str(server.ask("registered-models/alias", what, **query)["model_version"]["version"])
    version: str = found["version"]
    if version.lower() in STAGES:
        raise _wrong(
            uri,
            "is a stage; MLflow gave stages up, and they move: give the version an alias"
            f" (models:/{found['name']}@champion), or name its number",
        )
    if not re.fullmatch(r"[0-9]{1,18}", version):
        raise _wrong(uri, f"{version!r} is not the number of a version; an alias is NAME@ALIAS")
    return version


def _wrong(uri: str, what: str) -> StoreError:
    return StoreError(FETCH_FAILED, f"{FIELD}.uri: {uri[:200]!r}: {what}")


def _files(server: _Server, version: _Version, path: str) -> Reader:
    """Return how to read the version's files, wherever MLflow has them."""
    folder = "/".join(part for part in (version.files.rstrip("/"), path.strip("/")) if part)
    parts = urlsplit(folder)
    served = f"{server.url}/api/2.0/mlflow-artifacts/artifacts/"
    # The host is the server's where it is named at all.
    if parts.scheme == "mlflow-artifacts" and parts.netloc in ("", urlsplit(server.url).netloc):
        return _Artifacts(served + quote(unquote(parts.path).lstrip("/")), version, server.context)
    if folder.startswith(served):
        return _Artifacts(folder, version, server.context)
    if parts.scheme in ("s3", "gs") and parts.netloc and parts.path.strip("/"):
        return from_uri(folder).open(server.context)
    raise StoreError(
        FETCH_FAILED,
        f"{version.uri}: MLflow has its files at {shown_url(folder)[:200]}, which is not read from"
        " pods: start the server with --serve-artifacts and register the model again, so that the"
        " server hands them out; or name the store itself in spec.model.source",
    )


@dataclass(frozen=True)
class _Artifacts:
    """A folder that MLflow's server hands out."""

    url: str
    version: _Version
    context: FetchContext

    def read(self, name: str, limit: int) -> bytes:
        """See ``transport.Reader``."""
        http, headers = self.context.http, authorization(self.context)
        try:
            return http.request(f"{self.url}/{quote(name)}", limit, headers=headers).body
        except StoreError as error:
            if error.reason != NOT_FOUND:
                raise
            raise StoreError(
                NOT_FOUND,
                f"{error.message}; {self.version.uri} must hold the files of the model's folder; if"
                f" they are in a folder of it, name that in {FIELD}.path",
            ) from error
