"""Reads an artifact from anywhere and proves that it is the declared one.

The digest of card.json is compared before its first byte is parsed; the card then says what every
other file must be.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskpredictor_server.model.artifact import CARD, JOBLIB, LINEAR, SIGNATURE
from riskpredictor_server.store.errors import (
    DIGEST_MISMATCH,
    NOT_FOUND,
    REJECTED,
    SIGNATURE_INVALID,
    StoreError,
)
from riskpredictor_server.store.transport import Reader

log = logging.getLogger("riskpredictor")

CARD_LIMIT = 4 * 1024 * 1024
TOTAL_LIMIT = 256 * 1024 * 1024
"""Most bytes of the card, and of all files of an artifact."""
FILES = (LINEAR, JOBLIB)
"""What a card may list."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Wanted:
    """What a RiskPredictor declares of its model."""

    version: str
    digest: str
    """SHA-256 of card.json, as 64 hexadecimal digits."""
    public_key: bytes | None = None
    """PEM; then the artifact must be signed by it."""


def read_artifact(reader: Reader, where: str, wanted: Wanted | None) -> dict[str, bytes]:
    """Return the files by name, card.json first; raises StoreError for anything not as declared.

    ``where`` names the place in messages. Without ``wanted`` any model will do, if it is whole.
    """
    card_bytes = _timed(reader, CARD, CARD_LIMIT)
    if wanted is not None:
        _check_card_digest(card_bytes, where, wanted)
    card = _parse(card_bytes, where)
    files = {CARD: card_bytes}
    left = TOTAL_LIMIT - len(card_bytes)
    for name, digest in card["files"].items():
        data = _read_listed(reader, name, left, where)
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            raise StoreError(
                DIGEST_MISMATCH,
                f"{name} of {where} has sha256:{found} ({len(data)} bytes), its card says"
                f" sha256:{digest}: the file is damaged or of another model; put the artifact there"
                " again, as a whole",
            )
        files[name], left = data, left - len(data)
    if wanted is None:
        return files
    if wanted.public_key is not None:
        files[SIGNATURE] = _check_signature(reader, files, where, wanted.public_key)
    if card["model_version"] != wanted.version:
        raise StoreError(
            REJECTED,
            f"the model at {where} calls itself {card['model_version'][:64]!r},"
            f" spec.modelVersion is {wanted.version!r}: declare the version of the card, or train"
            f" the model with --model-version {wanted.version}",
        )
    return files


def _timed(reader: Reader, name: str, limit: int) -> bytes:
    started = time.monotonic()
    data = reader.read(name, limit)
    log.info("%s: %d bytes in %.2f s", name, len(data), time.monotonic() - started)
    return data


def _check_card_digest(data: bytes, where: str, wanted: Wanted) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != wanted.digest:
        raise StoreError(
            DIGEST_MISMATCH,
            f"{CARD} of {where} has sha256:{found} ({len(data)} bytes), spec.model.digest is"
            f" sha256:{wanted.digest}: correct the digest (sha256sum {CARD}), or the source; other"
            " bytes need another modelVersion",
        )


def _parse(data: bytes, where: str) -> dict[str, Any]:
    """Return the card; its digest is right, so what is wrong here was made wrong."""
    try:
        card = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _rejected(where, f"is no JSON ({error})") from error
    if not isinstance(card, dict) or not isinstance(card.get("model_version"), str):
        raise _rejected(where, "has no model_version")
    files = card.get("files")
    if not isinstance(files, dict) or not files:
        raise _rejected(where, "lists no files")
    for name, digest in files.items():
        if name not in FILES:
            raise _rejected(
                where, f"lists {name[:64]!r}; an artifact has {' and '.join(FILES)} only"
            )
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise _rejected(where, f"gives no SHA-256 of {name}")
    return card


def _rejected(where: str, text: str) -> StoreError:
    return StoreError(
        REJECTED,
        f"{CARD} of {where} {text}; make the artifact with python -m riskpredictor_server.train",
    )


def _read_listed(reader: Reader, name: str, limit: int, where: str) -> bytes:
    try:
        return _timed(reader, name, limit)
    except StoreError as error:
        if error.reason != NOT_FOUND:
            raise
        message = f"{CARD} of {where} lists {name}, which is not there: {error.message}"
        raise StoreError(NOT_FOUND, message) from error


def _check_signature(
    reader: Reader, files: Mapping[str, bytes], where: str, public_key: bytes
) -> bytes:
    from riskpredictor_server.store import signature

    try:
        signed = _timed(reader, SIGNATURE, CARD_LIMIT)
    except StoreError as error:
        if error.reason != NOT_FOUND:
            raise
        raise StoreError(
            SIGNATURE_INVALID,
            f"{where} has no {SIGNATURE}, and spec.model.signature wants one: sign the folder,"
            f" and put {SIGNATURE} beside {CARD}: {signature.SIGN}",
        ) from error
    signature.verify(signed, files, public_key)
    log.info("%s: by the declared key", SIGNATURE)
    return signed
