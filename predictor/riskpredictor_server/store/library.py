"""Stores as a library: open a source, read any whole artifact from it, put one there."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskpredictor_server.model.artifact import CARD, SIGNATURE
from riskpredictor_server.store.errors import NOT_FOUND, StoreError
from riskpredictor_server.store.folder import Folder
from riskpredictor_server.store.http import HttpClient
from riskpredictor_server.store.retry import Retries
from riskpredictor_server.store.sources import Place, from_uri, place
from riskpredictor_server.store.transport import FetchContext, Reader
from riskpredictor_server.store.verification import CARD_LIMIT, read_artifact
from riskpredictor_server.store.words import without_secrets

log = logging.getLogger("riskpredictor")


@dataclass(frozen=True)
class Pushed:
    """An artifact that was put into a store."""

    reference: str
    """Where exactly these bytes are."""
    digest: str
    """Its identity, ``sha256:...`` of card.json: ``spec.model.digest``."""


def new_context(
    credentials: Mapping[str, str] | None = None,
    authority: Path | None = None,
    seconds: float = 60.0,
    idle_seconds: float = 10.0,
) -> FetchContext:
    """Return what transports share; the time, ``seconds``, begins now. Raises StoreError.

    ``credentials`` are as the files of the Secret; without them those of the environment count.
    """
    known = dict(credentials or {})
    retries = Retries(
        seconds, report=lambda text: log.warning("%s", without_secrets(text, known.values()))
    )
    http = HttpClient(retries, authority, idle_seconds)
    return FetchContext(http, retries, known, authority, idle_seconds)


def open_source(
    where: str | Mapping[str, Any], context: FetchContext, server: str = ""
) -> tuple[Reader, str]:
    """Open a URI or a ``spec.model.source``; return how to read it, and its name in messages.

    ``server`` is the MLflow server of a ``models:/`` URI. Raises ValueError for what is none,
    StoreError if the store does not answer.
    """
    found = _place(where, server)
    return found.open(context), found.address


def read_any(
    where: str | Mapping[str, Any], context: FetchContext, server: str = ""
) -> dict[str, bytes]:
    """Return the files of the artifact at ``where``, verified by its own card; raises as above."""
    reader, address = open_source(where, context, server)
    return read_artifact(reader, address, None)


def push(folder: Path, where: str | Mapping[str, Any], context: FetchContext) -> Pushed:
    """Put the artifact of a folder into a store; raises as ``open_source``.

    Only what the card lists, and model.sig if there is one; the card comes last, so that nobody
    finds a card without its files.
    """
    local = Folder(folder, f"the folder {folder}")
    files = read_artifact(local, str(folder), None)
    try:
        files[SIGNATURE] = local.read(SIGNATURE, CARD_LIMIT)
    except StoreError as error:
        if error.reason != NOT_FOUND:
            raise
    card = files.pop(CARD)
    reference = _place(where, "").open_writer(context).write({**files, CARD: card})
    return Pushed(reference, f"sha256:{hashlib.sha256(card).hexdigest()}")


def _place(where: str | Mapping[str, Any], server: str) -> Place:
    return from_uri(where, server) if isinstance(where, str) else place(where)
