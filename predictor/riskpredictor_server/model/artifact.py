"""Loads and verifies an artifact folder: ``card.json``, ``scorer.json``, ``model.joblib``.

Checked in this order: the card's own digest and shape, the digest of every file that it lists, the
format of the scorer, the golden cases. A model that fails a check does not serve; the error gives
the reason. Digests prove that files belong together, not who made them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from riskpredictor_server.model.card import (
    ARTIFACT_FORMAT,
    FORMAT_1,
    case_values,
    from_format_1,
    wrong_shape,
)
from riskpredictor_server.model.declaration import SchemaError, read_schema
from riskpredictor_server.model.linear_scorer import LinearScorer
from riskpredictor_server.model.schema import Schema
from riskpredictor_server.model.scorer import Scorer

CARD, LINEAR, JOBLIB, SIGNATURE = "card.json", "scorer.json", "model.joblib", "model.sig"
FILES: Final = (CARD, LINEAR, JOBLIB, SIGNATURE)
"""Every file of an artifact that a server can be asked for."""
ERROR: Final = "ERROR"
"""What an optional fetch leaves in the folder in the place of a model: {"reason", "message"}."""
VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
"""A model version becomes an image tag, a label and a header."""
GOLDEN_TOLERANCE = 1e-9
"""Largest accepted difference from a golden probability; rounding errors are far smaller."""


class ArtifactError(Exception):
    """The artifact must not serve; the message gives the reason and the fix."""


class NotLinearError(ArtifactError):
    """Only its pickle can score, and that was not to be opened."""


@dataclass(frozen=True)
class Model:
    """A verified model."""

    version: str
    schema: Schema
    scorer: Scorer
    card: Mapping[str, Any]
    """In format 2, whatever format the file has."""
    digest: str
    """SHA-256 of the file that scores, for metrics and logs."""
    card_digest: str
    """SHA-256 of the bytes of card.json: the identity of the model."""
    files: Mapping[str, bytes] = field(repr=False)
    """The bytes that were verified, by name of the file."""

    @property
    def examples(self) -> list[dict[str, Any]]:
        """Records to show, with titles: the card's, else its golden cases."""
        shown = self.card.get("examples") or [
            {"title": case["name"].capitalize(), "record": case["input"]}
            for case in self.card["golden_cases"][:5]
        ]
        # A card's keys are sorted; people read a record in the order of the features.
        names = self.schema.names
        return [
            {
                **example,
                "record": {n: example["record"][n] for n in names if n in example["record"]},
            }
            for example in shown
        ]


def self_digest(card: Mapping[str, Any]) -> str:
    """SHA-256 of the card without its own digest, as JSON with sorted keys."""
    body = {key: value for key, value in card.items() if key != "card_sha256"}
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def load(folder: Path, *, linear_only: bool = False) -> Model:
    """Load and verify the model in ``folder``; raises ArtifactError.

    With ``linear_only`` no pickle is opened: a model that needs one raises NotLinearError.
    """
    raw, card, schema = read_card(folder)
    if linear_only and LINEAR not in card["files"]:
        raise NotLinearError(f"{folder / CARD}: files does not list {LINEAR}: it is not linear")
    files = {name: _read_file(folder, name, digest) for name, digest in card["files"].items()}
    scorer = _scorer(folder, files, schema)
    _check_fills(folder, scorer, schema, card["features"])
    _check_golden(scorer, schema, card["golden_cases"])
    scoring = LINEAR if LINEAR in files else JOBLIB
    files[CARD] = raw
    if (folder / SIGNATURE).is_file():
        files[SIGNATURE] = (folder / SIGNATURE).read_bytes()
    return Model(
        version=card["model_version"],
        schema=schema,
        scorer=scorer,
        card=card,
        digest=card["files"][scoring],
        card_digest=hashlib.sha256(raw).hexdigest(),
        files=files,
    )


def read_card(folder: Path) -> tuple[bytes, dict[str, Any], Schema]:
    """Return the bytes of a card, the card in format 2 and its schema; raises ArtifactError."""
    path = folder / CARD
    try:
        raw = path.read_bytes()
        card = orjson.loads(raw)
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read ({error.strerror}); train a model into this folder with"
            " python -m riskpredictor_server.train"
        ) from error
    except orjson.JSONDecodeError as error:
        raise ArtifactError(f"{path} is not valid JSON ({error}); the file is damaged") from error
    if not isinstance(card, dict) or card.get("format") not in (ARTIFACT_FORMAT, FORMAT_1):
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise ArtifactError(f"{path}: format is {found!r}, this server reads {ARTIFACT_FORMAT}")
    if card.get("card_sha256") != self_digest(card):
        raise ArtifactError(f"{path}: digest mismatch; the card was changed after training")
    again = "; train the model again"
    if card["format"] == FORMAT_1:
        try:
            card = from_format_1(card)
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: malformed card of format 1: {error!r}{again}") from error
    try:
        schema = read_schema(card)
    except SchemaError as error:
        raise ArtifactError(f"{path}: {error}{again}") from error
    wrong = wrong_shape(card, schema)
    if not wrong and not VERSION.fullmatch(card["model_version"]):
        wrong = f"model_version {card['model_version'][:64]!r} is not a version"
    if wrong:
        raise ArtifactError(f"{path}: {wrong}{again}")
    return raw, card, schema


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


def _scorer(folder: Path, files: Mapping[str, bytes], schema: Schema) -> Scorer:
    if LINEAR in files:
        try:
            return LinearScorer(orjson.loads(files[LINEAR]), schema)
        except ValueError as error:
            raise ArtifactError(f"{folder / LINEAR}: {error}") from error
    if JOBLIB not in files:
        raise ArtifactError(f"{folder / CARD}: files lists neither {LINEAR} nor {JOBLIB}")
    # A pickle is opened only here, and only after its digest matched.
    from riskpredictor_server.model.sklearn_scorer import load_pipeline

    try:
        return load_pipeline(files[JOBLIB], schema)
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"{folder / JOBLIB}: this model needs the module {error.name}, which is not installed;"
            " for scikit-learn pip install 'riskpredictor-server[sklearn]', or build the image"
            " with --build-arg EXTRAS=sklearn"
        ) from error
    except Exception as error:
        raise ArtifactError(f"{folder / JOBLIB}: cannot be loaded: {error}") from error


def _check_fills(folder: Path, scorer: Scorer, schema: Schema, rows: list[dict[str, Any]]) -> None:
    """The card says what a record is told; the linear form what is scored."""
    if not isinstance(scorer, LinearScorer):
        return
    for feature, row, fill in zip(schema.features, rows, scorer.fills, strict=True):
        if not feature.required and row.get("fill") != fill:
            raise ArtifactError(
                f"{folder / CARD}: features: {feature.name}: fill is {row.get('fill')!r},"
                f" {LINEAR} scores {fill!r}; train the model again"
            )


def _check_golden(scorer: Scorer, schema: Schema, cases: list[dict[str, Any]]) -> None:
    for case in cases:
        name, expected = case["name"], case["probabilities"]
        try:
            got = scorer.score(case_values(case["input"], schema)).probabilities
        except Exception as error:  # an unpickled classifier can raise anything
            raise ArtifactError(
                f"golden case {name!r}: the model cannot score it: {error!r}"
            ) from error
        if not all(abs(a - b) <= GOLDEN_TOLERANCE for a, b in zip(got, expected, strict=True)):
            raise ArtifactError(
                f"golden case {name!r}: the scorer answers {list(got)},"
                f" training recorded {expected}; train the model again"
            )
