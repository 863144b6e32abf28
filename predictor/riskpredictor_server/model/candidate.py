"""Loads the candidate beside the stable model. Whatever is in its folder, that never raises."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson

from riskpredictor_server.model.artifact import (
    CARD,
    ERROR,
    FILES,
    LINEAR,
    ArtifactError,
    Model,
    NotLinearError,
    load,
    read_card,
)
from riskpredictor_server.model.comparison import Comparison, NotComparableError

log = logging.getLogger("riskpredictor")

COMPARING, NOT_COMPARABLE, UNUSABLE = "Comparing", "NotComparable", "Unusable"
NOT_FOUND, REJECTED, FETCH_FAILED = "ModelNotFound", "ModelRejected", "ModelFetchFailed"
REASONS: Final = (
    NOT_FOUND,
    FETCH_FAILED,
    "ModelDigestMismatch",
    "ModelSignatureInvalid",
    REJECTED,
)
"""Why a candidate is unusable."""
MOST_TERMS: Final = 64
"""Of the linear form: every request is scored by it, too, so it must cost little."""
MOST_FACTORS: Final = 4 * MOST_TERMS
"""Of all its terms: a term is a product, and each factor of it costs as much as a term."""
MOST_BYTES: Final = 1_048_576
"""Of each file: the memory of a pod was sized for one model."""
_MOST_TEXT: Final = 1000
"""Characters of a message."""


@dataclass(frozen=True)
class Candidate:
    """A candidate as it was found at the start of the process."""

    state: str
    version: str = ""
    digest: str = ""
    """sha256: and the SHA-256 of card.json. Empty, as the version, where it is not known."""
    reason: str = ""
    """One of REASONS, if it is unusable."""
    message: str = ""
    """Why it is unusable or cannot be compared, for people."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """Empty where it could not be read. One that is not compared has it, too: its Brier score is
    what is left to judge it by."""
    model: Model | None = None
    """If it could be loaded."""
    comparison: Comparison | None = None
    """If it is to be compared."""


def load_candidate(folder: Path, stable: Model) -> Candidate:
    """Load the candidate in ``folder``, and prepare its comparison with the stable model."""
    found = Candidate(UNUSABLE)
    try:
        found = _identified(folder)
        if found.state == COMPARING:
            found = _loaded(folder, stable, found)
    except NotLinearError as error:
        found = replace(found, state=NOT_COMPARABLE, message=str(error))
    except ArtifactError as error:
        found = replace(found, state=UNUSABLE, reason=REJECTED, message=str(error))
    except Exception as error:
        log.exception("the candidate in %s cannot be loaded", folder)
        message = f"{folder}: cannot be loaded: {type(error).__name__}"
        found = replace(found, state=UNUSABLE, reason=REJECTED, message=message)
    found = replace(found, message=found.message[:_MOST_TEXT])
    if found.state == COMPARING:
        log.info("candidate %s loaded, golden cases pass", found.version)
    else:
        log.error("candidate: %s %s: %s", found.state, found.reason, found.message)
    return found


def _identified(folder: Path) -> Candidate:
    """Tell which model is there, by its card alone; raises ArtifactError."""
    if not folder.is_dir():
        message = f"{folder} is not there: nothing was fetched or copied into it"
        return Candidate(UNUSABLE, reason=NOT_FOUND, message=message)
    if (folder / ERROR).is_file():
        reason, message = _told(folder / ERROR)
        return Candidate(UNUSABLE, reason=reason, message=message)
    for name in FILES:
        _check_file(folder, name)
    large = [n for n in FILES if (folder / n).is_file() and _size(folder / n) > MOST_BYTES]
    message = "".join(
        f"{folder / name} has {_size(folder / name)} bytes; a candidate is compared if no file of"
        f" it has more than {MOST_BYTES}"
        for name in large[:1]
    )
    if CARD in large:
        return Candidate(NOT_COMPARABLE, message=message)
    raw, card, _ = read_card(folder)
    found = Candidate(
        NOT_COMPARABLE if message else COMPARING,
        card["model_version"],
        "sha256:" + hashlib.sha256(raw).hexdigest(),
        message=message,
        card=card,
    )
    if LINEAR not in card["files"]:
        message = (
            "it is not linear: without scorer.json only its pickle could score, which a server that"
            " answers patients does not open for a candidate"
        )
        found = replace(found, state=NOT_COMPARABLE, message=message)
    return found


def _loaded(folder: Path, stable: Model, found: Candidate) -> Candidate:
    """Load it; raises ArtifactError."""
    model = load(folder, linear_only=True)
    digest = f"sha256:{model.card_digest}"
    found = replace(found, version=model.version, digest=digest, card=model.card, model=model)
    terms = orjson.loads(model.files[LINEAR])["terms"]
    # Format 1 has terms of one factor each, without the name.
    factors = sum(len(term.get("factors", (term,))) for term in terms)
    for count, most, what in (
        (len(terms), MOST_TERMS, "terms"),
        (factors, MOST_FACTORS, "factors in its terms"),
    ):
        if count > most:
            message = f"it has {count} {what}; a candidate with at most {most} is compared"
            return replace(found, state=NOT_COMPARABLE, message=message)
    try:
        return replace(found, comparison=Comparison(stable, model))
    except NotComparableError as error:
        return replace(found, state=NOT_COMPARABLE, message=str(error))


def _check_file(folder: Path, name: str) -> None:
    """Raise ArtifactError for what is there and no file of this folder.

    A pipe or a device would be read for ever; a link to elsewhere could show what is no model's.
    """
    path = folder / name
    real = Path(os.path.realpath(path))
    inside = real.is_relative_to(os.path.realpath(folder))
    if os.path.lexists(path) and not (inside and real.is_file()):
        raise ArtifactError(f"{path} must be a file, or a link to one in its folder")


def _size(path: Path) -> int:
    return path.stat().st_size


def _told(path: Path) -> tuple[str, str]:
    """Read what the fetch step left in the place of a model."""
    try:
        with path.open("rb") as file:
            told = orjson.loads(file.read(MOST_BYTES))
        reason, message = told["reason"], told["message"]
        if reason in REASONS and isinstance(message, str):
            return reason, message
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return FETCH_FAILED, f"{path} does not say why; the log of the fetch step does"
