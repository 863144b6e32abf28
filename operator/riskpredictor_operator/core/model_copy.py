"""The copy of a model that a namespace holds, so that pods start while the store is down.

A copy is an immutable ConfigMap with the files of the model. What is copied comes from a pod and is
verified here: the card by the declared digest, the other files by the card.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from riskpredictor_operator.core import api, metadata, names
from riskpredictor_operator.core.release import Serving
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body

CARD: Final = "card.json"
SIGNATURE: Final = "model.sig"
"""Optional, and in no card; the fetch step verifies it wherever a key is declared."""

SIZE_LIMIT: Final = 900 * 1024
"""Bytes of all files of a copy; a ConfigMap has room for 1 MiB."""
FORMER_COPIES: Final = 3
"""Copies that are kept of models that were served before."""
_MOST_FILES = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

KEPT: Final = "Kept"
TOO_LARGE: Final = "TooLarge"
REFUSED: Final = "Refused"
"""What ``status.model.copy`` may say; nothing where it is not known yet."""


class DamagedError(ValueError):
    """Files that are not the declared model; says which."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model of which there should be a copy."""

    digest: str
    signed: bool = False
    """Whether the pods ask for a signature."""


def wanted_of(serving: Serving) -> tuple[Wanted, ...]:
    """The models from stores that pods are made of, the stable one first."""
    candidate = serving.candidate.release.model if serving.candidate else None
    return tuple(
        Wanted(model.digest, signed=model.public_key is not None)
        for model in (serving.stable.model, candidate)
        if model is not None
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of the copies of a predictor's models."""

    states: Mapping[str, str]
    """By digest of a model that was to be copied: one of the words above, or empty."""
    copies: tuple[str, ...]
    """Digests of the models of which there is a verified copy, the latest first."""


def listed_files(card: bytes, digest: str) -> dict[str, str]:
    """The files that a card lists, and the SHA-256 of each in hexadecimal digits.

    Raises:
        DamagedError: the card is not the one with this digest, or lists what cannot be a file.
    """
    if f"sha256:{hashlib.sha256(card).hexdigest()}" != digest:
        raise DamagedError(f"{CARD} is not the one with the digest {digest}")
    try:
        files = json.loads(card)["files"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise DamagedError(f"{CARD} lists no files") from None
    if not isinstance(files, dict) or len(files) > _MOST_FILES:
        raise DamagedError(f"{CARD} lists no files, or more than {_MOST_FILES}")
    for name, sha256 in files.items():
        if not _NAME.fullmatch(name) or name in (CARD, SIGNATURE) or not isinstance(sha256, str):
            raise DamagedError(f"{CARD} lists {name[:100]!r}, which cannot be a file of a model")
    return files


def verify(files: Mapping[str, bytes], digest: str) -> None:
    """Check that these are the files of the model with a digest, and no others.

    Raises:
        DamagedError: they are not.
    """
    listed = listed_files(files.get(CARD, b""), digest)
    if unknown := set(files) - set(listed) - {CARD, SIGNATURE}:
        raise DamagedError(f"{min(unknown)} is in no card")
    for name, sha256 in listed.items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != sha256:
            raise DamagedError(f"{name} is not the one that the card lists")


def build_copy(rp: RiskPredictor, digest: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The ConfigMap with the files of a model."""
    return {
        "apiVersion": api.CONFIG_MAP.api_version,
        "kind": api.CONFIG_MAP.kind,
        "metadata": {
            "name": names.model_copy_of(rp.key, digest),
            "namespace": rp.key.namespace,
            "labels": {**rp.child_metadata.labels, **metadata.labels(rp)},
            "annotations": {
                **rp.child_metadata.annotations,
                api.ANNOTATION_MODEL_DIGEST: digest,
            },
            "ownerReferences": [metadata.owner(rp)],
        },
        "immutable": True,
        "binaryData": {
            name: base64.b64encode(content).decode() for name, content in sorted(files.items())
        },
    }


def is_intact(copy: Body, digest: str) -> bool:
    """Whether a live ConfigMap holds the model with this digest."""
    try:
        files = {
            name: base64.b64decode(text, validate=True)
            for name, text in (copy.get("binaryData") or {}).items()
        }
        verify(files, digest)
    except (DamagedError, binascii.Error):
        return False
    return not copy.get("data")


def remember(
    current: Sequence[str], before: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The digests whose copies stay once there are those of ``current``, and those whose go.

    Args:
        current: of the models that are served and tried now.
        before: digests of the present copies, the latest first.
    """
    former = [each for each in before if each not in current]
    return (*current, *former[:FORMER_COPIES]), tuple(former[FORMER_COPIES:])
