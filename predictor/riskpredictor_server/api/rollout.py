"""Lets a candidate score what the stable model scores, and answer its share of it.

The stable model has scored before, so a candidate that fails costs nothing but the count of it. No
record and no subject is kept: only counts, and bits of hashes.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from riskpredictor_server.api.cases import CasesResult, check_cases
from riskpredictor_server.api.paired_scoring import CANDIDATE, STABLE, Counts, PairedScoring, Second
from riskpredictor_server.model.artifact import Model
from riskpredictor_server.model.audit import identity
from riskpredictor_server.model.candidate import REJECTED, UNUSABLE, Candidate, load_candidate
from riskpredictor_server.model.guarded_scorer import KINDS
from riskpredictor_server.model.schema import Values
from riskpredictor_server.settings import Settings

log = logging.getLogger("riskpredictor")

SWITCHED_OFF: Final = "SwitchedOff"
_MOST_FAILED: Final = 20
"""Failed cases that are told."""
_MOST_TEXT: Final = 256
"""Characters of each."""

Gauge = tuple[str, str, dict[str, str], float]
"""Name, help, labels and value of a sample."""


class Rollout:
    """The candidate of one process, and the counts since its start."""

    def __init__(self, stable: Model, settings: Settings) -> None:
        """Load the candidate, if one is declared; that never raises."""
        self._settings, self._stable = settings, stable
        self._instance = secrets.token_hex(8)
        self._counts = Counts()
        self.candidate: Candidate | None = None
        """None if none is declared."""
        self.paired: PairedScoring | None = None
        """None unless the candidate can be compared."""
        self._cases: CasesResult | None = None
        if not settings.candidate:
            return
        self.candidate = load_candidate(Path(settings.candidate), stable)
        try:
            if self.candidate.comparison:
                self.paired = PairedScoring(self.candidate.comparison, settings, self._counts)
        except Exception as error:
            self.give_up(error)
        self._check_cases()

    def _check_cases(self) -> None:
        """Score the hospital's cases once; until then look for them, for they may come later."""
        if self._cases and self._cases != CasesResult():
            return
        folder, model = self._settings.cases, self.candidate.model if self.candidate else None
        if not (folder and model):
            return
        try:
            self._cases = check_cases(Path(folder), model)
        except Exception as error:
            self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """Go on without the candidate, which could not be prepared."""
        log.error("the candidate cannot be prepared", exc_info=error)
        message = f"it cannot be prepared: {type(error).__name__}; the log of the pod has the rest"
        version, digest = (
            (self.candidate.version, self.candidate.digest) if self.candidate else ("", "")
        )
        self.candidate = Candidate(UNUSABLE, version, digest, REJECTED, message)
        self.paired = self._cases = None

    def score(self, values: Values, stable_level: str, subject: bytes) -> Second | None:
        """Let the candidate score a record that the stable model has scored."""
        if self.paired:
            return self.paired.score(values, stable_level, subject)
        self._counts.answered(STABLE, 1)
        return None

    def score_many(
        self, rows: list[Values], stable_levels: list[str], subject: bytes
    ) -> Second | None:
        """Let it score a batch."""
        if self.paired:
            return self.paired.score_many(rows, stable_levels, subject)
        self._counts.answered(STABLE, len(rows))
        return None

    @property
    def state(self) -> str:
        """State of the candidate, as ``GET /rollout`` tells it."""
        if self.paired and self.paired.scorer.switched_off:
            return SWITCHED_OFF
        return self.candidate.state if self.candidate else ""

    def document(self) -> dict[str, Any]:
        """Build the answer of ``GET /rollout``: counts, and nothing of a record."""
        self._check_cases()
        settings, stable = self._settings, self._stable
        candidate, counts = self.candidate, self._counts
        levels = stable.schema.levels
        comparison = candidate.comparison if candidate else None
        card = candidate.card if candidate else {}
        brier = {STABLE: _brier(stable.card), CANDIDATE: _brier(card)}
        with counts.lock:
            matrix = comparison.matrix if comparison else [[0] * len(levels) for _ in levels]
            return {
                "instance": self._instance,
                "id": settings.rollout_id,
                "percent": settings.candidate_percent,
                "sample": settings.sample,
                "guard": settings.guard,
                "levels": list(levels),
                "stable": {"version": stable.version, "digest": f"sha256:{stable.card_digest}"},
                "candidate": self._told(candidate) if candidate else None,
                "pairs": comparison.pairs if comparison else 0,
                "matrix": [list(row) for row in matrix],
                "answers": dict(counts.answers),
                "withheld": counts.withheld,
                "errors": self._errors(),
                "cases": _told_cases(self._cases) if self._cases else None,
                "brier": brier,
            }

    def _told(self, candidate: Candidate) -> dict[str, str]:
        state, message = self.state, candidate.message
        if state == SWITCHED_OFF and self.paired:
            message = self.paired.scorer.told()
        return {
            "version": candidate.version,
            "digest": candidate.digest,
            "state": state,
            "reason": candidate.reason,
            "message": message,
        }

    def _errors(self) -> dict[str, int]:
        return dict(self.paired.scorer.errors) if self.paired else dict.fromkeys(KINDS, 0)

    def gauges(self) -> Iterator[Gauge]:
        """Yield the metrics that there are only with a candidate."""
        if not self.candidate:
            return
        if self.candidate.model:
            labels = {**identity(self.candidate.model), "role": CANDIDATE}
            yield "riskpredictor_model_info", "", labels, 1.0
        document = self.document()
        levels = document["levels"]
        text = "Distinct records that both models scored, by the level of each."
        for stable, row in zip(levels, document["matrix"], strict=True):
            for candidate, count in zip(levels, row, strict=True):
                labels = {STABLE: stable, CANDIDATE: candidate}
                yield "riskpredictor_shadow_pairs_total", text, labels, float(count)
        text = "Requests whose scores by the candidate could not be used, by what was wrong."
        for kind, count in document["errors"].items():
            yield "riskpredictor_candidate_errors_total", text, {"kind": kind}, float(count)
        text = "Answered records by the role of the model that answered."
        for role, count in document["answers"].items():
            yield "riskpredictor_answers_total", text, {"role": role}, float(count)
        text = "Records whose level the candidate would have lowered; the stable model answered."
        yield "riskpredictor_withheld_total", text, {}, float(document["withheld"])
        text = "1 when this pod no longer asks its candidate, after three errors."
        off = float(self.state == SWITCHED_OFF)
        yield "riskpredictor_candidate_switched_off", text, {}, off


def _brier(card: Mapping[str, Any]) -> float | None:
    """The Brier score on a card, if it has one."""
    metrics = card.get("metrics")
    found = metrics.get("brier") if isinstance(metrics, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < math.inf:
        return None
    return float(found)


def _told_cases(cases: CasesResult) -> dict[str, Any]:
    return {
        "digest": cases.digest,
        "passed": cases.passed,
        "failed": [text[:_MOST_TEXT] for text in cases.failed[:_MOST_FAILED]],
    }
