"""Candidates for tests: variants of model v1, and scorers that misbehave."""

from __future__ import annotations

import hashlib
import math
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from unit.predictor.support import artifact, service

from riskpredictor_server.api.service import Service
from riskpredictor_server.asgi import Application, Message
from riskpredictor_server.model.artifact import load, self_digest
from riskpredictor_server.model.card import case_values
from riskpredictor_server.model.linear_scorer import LinearScorer
from riskpredictor_server.model.schema import Values
from riskpredictor_server.model.scorer import Scored, ScoredMany

ROLLOUT = "0123456789ab"
"""A roll-out's id."""


def write_variant(
    out: Path,
    version: str = "v2",
    high: float = 0.0,
    change: Callable[[dict[str, Any], dict[str, Any]], None] = lambda _card, _form: None,
) -> Path:
    """Write v1 with another version to ``out``: its logit of the highest level is ``high`` more.

    ``change`` may change card and linear form before their digests are made.
    """
    shutil.copytree(artifact(), out)
    model = load(out)
    card = orjson.loads((out / "card.json").read_bytes())
    form = orjson.loads((out / "scorer.json").read_bytes())
    form["intercepts"][-1] += high
    card["model_version"] = version
    change(card, form)
    scorer = LinearScorer(form, model.schema)
    for case in card["golden_cases"]:
        values = case_values(case["input"], model.schema)
        case["probabilities"] = list(scorer.score(values).probabilities)
    data = orjson.dumps(form)
    (out / "scorer.json").write_bytes(data)
    card["files"]["scorer.json"] = hashlib.sha256(data).hexdigest()
    seal(out, card)
    return out


def seal(folder: Path, card: dict[str, Any]) -> None:
    """Write a card with its own digest."""
    card["card_sha256"] = self_digest(card)
    (folder / "card.json").write_bytes(orjson.dumps(card))


@cache
def variant(version: str = "v2", high: float = 0.0) -> Path:
    """A variant that no test changes."""
    return write_variant(Path(tempfile.mkdtemp()) / version, version, high)


@cache
def lower() -> Path:
    """A model that never says High."""
    return variant("v2-under", high=-60.0)


@cache
def higher() -> Path:
    """A model that always says High."""
    return variant("v2-over", high=60.0)


def with_candidate(folder: Path | None = None, **changes: Any) -> Service:
    """A service over v1 with a candidate."""
    given = {"candidate": str(folder or variant()), "rollout_id": ROLLOUT, **changes}
    return service(**given)


class Broken:
    """A scorer that gives ``outcome``, or raises it, for every record."""

    explains = True

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.asked = 0

    def score(self, _values: Values) -> Scored:
        self.asked += 1
        if isinstance(self.outcome, Exception):
            raise self.outcome
        found: Scored = self.outcome
        return found

    def score_many(self, rows: Sequence[Values]) -> ScoredMany:
        self.asked += 1
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if not isinstance(self.outcome, tuple):
            broken: ScoredMany = self.outcome
            return broken
        probabilities, shares = self.outcome
        return ScoredMany([probabilities] * len(rows), [shares] * len(rows))


_SHARES = (0.1, 0.1, 0.1, 0.1)
OUTCOMES: dict[str, Any] = {
    "raises": ValueError("no"),
    "overflows": OverflowError("math range error"),
    "no memory": MemoryError(),
    "NaN": ((math.nan, 0.5, 0.5), _SHARES),
    "infinite": ((math.inf, 0.0, 0.0), _SHARES),
    "adds up to 2": ((1.0, 0.5, 0.5), _SHARES),
    "negative": ((-0.5, 0.5, 1.0), _SHARES),
    "too short": ((0.5, 0.5), _SHARES),
    "too long": ((0.25, 0.25, 0.25, 0.25), _SHARES),
    "no shares": ((0.2, 0.3, 0.5), None),
    "shares too short": ((0.2, 0.3, 0.5), (0.1,)),
    "NaN shares": ((0.2, 0.3, 0.5), (math.nan, 0.1, 0.1, 0.1)),
    "None": None,
    "text": (("a", "b", "c"), _SHARES),
}
"""What no score may be."""


@contextmanager
def scoring_with(scorer: Any) -> Iterator[None]:
    """Let candidates that are loaded meanwhile score with ``scorer``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "riskpredictor_server.model.candidate.load",
            lambda folder, linear_only: replace(
                load(folder, linear_only=linear_only), scorer=scorer
            ),
        )
        yield


def patients(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Distinct records of v1."""
    rng = random.Random(seed)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    while len(found) < count:
        record = {
            "heart_rate": rng.randint(40, 180),
            "blood_pressure": rng.randint(70, 220),
            "temperature": round(rng.uniform(95, 106), 1),
            "oxygen_level": rng.randint(80, 100),
        }
        found[tuple(record.values())] = record
    return list(found.values())


async def call(
    application: Application,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Ask an ASGI application; return status, headers and body. A header comes at most once."""
    sent: list[Message] = []
    lines = [(b"content-type", b"application/json"), (b"x-request-id", b"r-1"), *headers]
    lines.append((b"content-length", b"%d" % len(body)))

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": lines, "query_string": b""}
    await application(scope, receive, send)
    start, end = sent
    assert len(start["headers"]) == len(dict(start["headers"]))
    return start["status"], dict(start["headers"]), end["body"]
