"""Loads and verifies an artifact folder: ``card.json``, ``scorer.json``, ``model.joblib``.

Checked in this order: the card's own digest and shape, the digest of every file that it lists, the
format of the scorer, the golden cases. A model that fails a check does not serve; the error gives
the reason. Digests prove that files belong together, not who made them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from riskpredictor_server.model.linear_scorer import LinearScorer
from riskpredictor_server.model.scorer import Scorer
from riskpredictor_server.model.vitals import RISK_LEVELS, VITAL_NAMES

ARTIFACT_FORMAT = "riskpredictor-artifact/1"
CARD, LINEAR, JOBLIB = "card.json", "scorer.json", "model.joblib"
VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
"""A model version becomes an image tag, a label and a header."""
GOLDEN_TOLERANCE = 1e-9
"""Largest accepted difference from a golden probability; rounding errors are far smaller."""

_values_of = itemgetter(*VITAL_NAMES)


class ArtifactError(Exception):
    """The artifact must not serve; the message gives the reason and the fix."""


@dataclass(frozen=True)
class Model:
    """A verified model."""

    version: str
    scorer: Scorer
    card: Mapping[str, Any]
    digest: str
    """SHA-256 of the file that scores, for metrics and logs."""


def card_digest(card: Mapping[str, Any]) -> str:
    """SHA-256 of the card without its own digest, as JSON with sorted keys."""
    body = {key: value for key, value in card.items() if key != "card_sha256"}
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def load(folder: Path) -> Model:
    """Load and verify the model in ``folder``; raises ArtifactError."""
    card = _read_card(folder)
    files = {name: _read_file(folder, name, digest) for name, digest in card["files"].items()}
    scorer = _scorer(folder, files)
    _check_golden(scorer, card["golden_cases"])
    scoring = LINEAR if LINEAR in files else JOBLIB
    return Model(card["model_version"], scorer, card, card["files"][scoring])


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
    wrong = _wrong_shape(card)
    if wrong:
        raise ArtifactError(f"{path}: {wrong}; train the model again")
    return card


def _wrong_shape(card: Mapping[str, Any]) -> str:
    """Name the first part of a card that serving needs and cannot use; empty if there is none."""
    kinds = {"model_version": str, "files": dict, "features": list, "golden_cases": list}
    for name, kind in kinds.items():
        if not isinstance(card.get(name), kind) or not card[name]:
            return f"{name} is missing or empty"
    if not VERSION.fullmatch(card["model_version"]):
        return f"model_version {card['model_version'][:64]!r} is not a version"
    names = [row.get("name") if isinstance(row, dict) else None for row in card["features"]]
    if sorted(map(str, names)) != sorted(VITAL_NAMES):
        return f"features must be {', '.join(VITAL_NAMES)}"
    for row in card["features"]:
        span, baseline = (row.get(key) for key in ("trained_on", "baseline"))
        if not isinstance(span, dict) or not _numbers([span.get("minimum"), span.get("maximum")]):
            return f"features: {row['name']}: trained_on must have minimum and maximum"
        if not isinstance(baseline, dict) or not _is_baseline(baseline):
            return f"features: {row['name']}: baseline must have edges and one more shares"
    for index, case in enumerate(card["golden_cases"]):
        if not isinstance(case, dict) or not isinstance(case.get("name"), str):
            return f"golden_cases[{index}] must be an object with a name"
        wrong = f"golden case {case['name'][:64]!r}: "
        if not _numbers(case.get("probabilities"), len(RISK_LEVELS)):
            return wrong + "probabilities must be 3 numbers"
        record = case.get("input")
        if not isinstance(record, dict) or not (
            record.keys() == {*VITAL_NAMES} and _numbers([*record.values()])
        ):
            return wrong + f"input must be numbers for {', '.join(VITAL_NAMES)} and nothing else"
    return ""


def _is_baseline(baseline: Mapping[str, Any]) -> bool:
    edges = baseline.get("edges")
    return _numbers(edges) and _numbers(baseline.get("shares"), len(edges or ()) + 1)


def _numbers(value: Any, count: int | None = None) -> bool:
    return (
        isinstance(value, list)
        and all(type(each) in (int, float) for each in value)
        and count in (None, len(value))
    )


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
    # A pickle is opened only here, and only after its digest matched.
    from riskpredictor_server.model.sklearn_scorer import load_pipeline

    try:
        return load_pipeline(files[JOBLIB])
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"{folder / JOBLIB}: this model needs the module {error.name}, which is not installed;"
            " for scikit-learn pip install 'riskpredictor-server[sklearn]', or build the image"
            " with --build-arg EXTRAS=sklearn"
        ) from error
    except Exception as error:
        raise ArtifactError(f"{folder / JOBLIB}: cannot be loaded: {error}") from error


def _check_golden(scorer: Scorer, cases: list[dict[str, Any]]) -> None:
    for case in cases:
        name, expected = case["name"], case["probabilities"]
        try:
            got = scorer.score(_values_of(case["input"])).probabilities
        except Exception as error:  # an unpickled classifier can raise anything
            raise ArtifactError(
                f"golden case {name!r}: the model cannot score it: {error!r}"
            ) from error
        if not all(abs(a - b) <= GOLDEN_TOLERANCE for a, b in zip(got, expected, strict=True)):
            raise ArtifactError(
                f"golden case {name!r}: the scorer answers {list(got)},"
                f" training recorded {expected}; train the model again"
            )
