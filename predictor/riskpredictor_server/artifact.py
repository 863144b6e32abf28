"""The artifact folder: ``model.joblib``, ``scorer.json``, ``card.json``; loaded with suspicion.

Integrity, in order: the card's own digest, the digest of every file that the card lists, the
formats, then the golden cases. A model that fails any of it is refused with the reason and is
never asked for an answer. Digests prove that files belong together, not who made them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from riskpredictor_server.schema import InvalidRecordError, read_record
from riskpredictor_server.scoring import LinearScorer, Scorer

ARTIFACT_FORMAT = "riskpredictor-artifact/1"
CARD, LINEAR, JOBLIB = "card.json", "scorer.json", "model.joblib"
GOLDEN_TOLERANCE = 1e-9
"""Largest difference of a probability from its golden value: far above rounding, far below harm."""


class ArtifactError(Exception):
    """The artifact must not serve; the message says why and what to do."""


@dataclass(frozen=True)
class Model:
    """A verified model."""

    version: str
    scorer: Scorer
    card: Mapping[str, Any]
    digest: str
    """SHA-256 of the file that answers, for metrics and logs."""


def card_digest(card: Mapping[str, Any]) -> str:
    """SHA-256 of the card without its own digest, as canonical JSON."""
    body = {key: value for key, value in card.items() if key != "card_sha256"}
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def load(folder: Path) -> Model:
    """Load and prove the model in ``folder``; raises ArtifactError."""
    card = _read_card(folder)
    files = {name: _read_file(folder, name, digest) for name, digest in card["files"].items()}
    scorer = _scorer(folder, files)
    _check_golden(scorer, card["golden_cases"])
    answering = LINEAR if LINEAR in files else JOBLIB
    return Model(card["model_version"], scorer, card, card["files"][answering])


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    try:
        card = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read ({error.strerror}); train a model into this folder with"
            " python -m riskpredictor_server.train"
        ) from error
    except orjson.JSONDecodeError as error:
        raise ArtifactError(f"{path} is not valid JSON ({error}); the file is damaged") from error
    if not isinstance(card, dict) or card.get("format") != ARTIFACT_FORMAT:
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise ArtifactError(f"{path}: format is {found!r}, this server reads {ARTIFACT_FORMAT}")
    if card.get("card_sha256") != card_digest(card):
        raise ArtifactError(f"{path}: digest mismatch; the card was changed after training")
    for name, kind in (("model_version", str), ("files", dict), ("golden_cases", list)):
        if not isinstance(card.get(name), kind) or not card[name]:
            raise ArtifactError(f"{path}: {name} is missing or empty")
    return card


def _read_file(folder: Path, name: str, digest: str) -> bytes:
    if name not in (LINEAR, JOBLIB):
        raise ArtifactError(f"{folder / CARD}: files: unknown file {name!r}")
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{folder / name} cannot be read ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise ArtifactError(f"{folder / name}: digest mismatch; changed or cut after training")
    return data


def _scorer(folder: Path, files: Mapping[str, bytes]) -> Scorer:
    if LINEAR in files:
        try:
            return LinearScorer(orjson.loads(files[LINEAR]))
        except ValueError as error:
            raise ArtifactError(f"{folder / LINEAR}: {error}") from error
    if JOBLIB not in files:
        raise ArtifactError(f"{folder / CARD}: files lists neither {LINEAR} nor {JOBLIB}")
    # Only here, and only after its digest matched, is a pickle opened.
    from riskpredictor_server.fallback import load_pipeline

    try:
        return load_pipeline(files[JOBLIB])
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"{folder / JOBLIB}: this model needs the module {error.name}, which is not here; for"
            " scikit-learn pip install 'riskpredictor-server[sklearn]', or build the image with"
            " --build-arg EXTRAS=sklearn"
        ) from error
    except Exception as error:
        raise ArtifactError(f"{folder / JOBLIB}: cannot be loaded: {error}") from error


def _check_golden(scorer: Scorer, cases: list[dict[str, Any]]) -> None:
    for case in cases:
        try:
            values = read_record(case["input"])
        except InvalidRecordError as error:
            raise ArtifactError(f"golden case {case['name']!r}: invalid input: {error}") from error
        got = scorer.score(values).probabilities
        if not all(
            abs(a - b) <= GOLDEN_TOLERANCE for a, b in zip(got, case["probabilities"], strict=True)
        ):
            raise ArtifactError(
                f"golden case {case['name']!r}: the scorer answers {list(got)},"
                f" training recorded {case['probabilities']}; train the model again"
            )
