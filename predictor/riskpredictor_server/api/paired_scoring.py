"""Scores by a candidate what the stable model has scored, counts how they agree, and decides which
of them answers.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from operator import lt
from typing import Any, NamedTuple

from riskpredictor_server.api.answers import Warner, answerer
from riskpredictor_server.api.problems import Headers
from riskpredictor_server.model.artifact import Model
from riskpredictor_server.model.assignment import Assignment
from riskpredictor_server.model.audit import Scoring, identity
from riskpredictor_server.model.comparison import Comparison, Distinct
from riskpredictor_server.model.guarded_scorer import RAISED, CandidateError, GuardedScorer
from riskpredictor_server.model.schema import Values
from riskpredictor_server.settings import NEVER_LOWER, Settings

STABLE, CANDIDATE = "stable", "candidate"


class Counts:
    """What is counted besides pairs; the lock is for these, too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answers = {STABLE: 0, CANDIDATE: 0}
        """Answered records by the role of the model that answered."""
        self.withheld = 0
        """Records that the candidate was to answer and would have lowered."""

    def answered(self, role: str, records: int) -> None:
        """Count answered records."""
        with self.lock:
            self.answers[role] += records


class Second(NamedTuple):
    """What came of records that the candidate scored, too."""

    answers: list[dict[str, Any]] | None
    """The candidate's, if they are to go out."""
    scoring: Scoring
    """Who answers, and what the other said: for the audit log."""
    model: Model
    """The candidate."""
    headers: Headers
    """Of its answers."""


class PairedScoring:
    """The comparison of one candidate."""

    def __init__(self, comparison: Comparison, settings: Settings, counts: Counts) -> None:
        self.comparison = comparison
        self._counts = counts
        stable, candidate = comparison.stable, comparison.candidate
        self.scorer = GuardedScorer(candidate)
        self.model = replace(candidate, scorer=self.scorer)
        """The candidate, guarded."""
        self.headers = (
            ("X-Model-Version", candidate.version),
            ("X-Stable-Version", stable.version),
        )
        """Of the answers that it gives; the latter only these have: the page tells of it."""
        self._assign = Assignment(settings.rollout_id, settings.candidate_percent, settings.sample)
        self._never_lower = settings.guard == NEVER_LOWER
        self._distinct = Distinct()
        self._stable, self._candidate = identity(stable), identity(candidate)
        self._levels = candidate.schema.levels
        self._place = {level: place for place, level in enumerate(self._levels)}
        self._level_of = candidate.schema.level_of
        self._kept_by_level = [self._kept([level]) for level in self._levels]
        self._answer, self._warner = answerer(candidate), Warner(candidate)

    def score(self, values: Values, stable_level: str, subject: bytes) -> Second | None:
        """Score one record, whose level the stable model says; count the pair.

        ``subject`` is the value of the subject header, or empty. None if the candidate is not asked
        or gives no score that can be used.
        """
        if self.scorer.switched_off:
            self._alone(1)
            return None
        given = None
        try:
            record = self.comparison.canonical(values)
            answers, sampled = self._assign.of(subject or record)
            if not (answers or sampled):
                self._alone(1)
                return None
            mapped = self.comparison.for_candidate(values)
            probabilities, shares = self.scorer.score(mapped)
            theirs = self._level_of(probabilities)
            if answers:
                given = self._answer(probabilities, shares, self._warner.warnings(mapped))
        except Exception as error:
            self._failed(error, 1)
            return None
        ours = self._place[stable_level]
        counts = self._counts
        with counts.lock:
            if self._distinct.add(record):
                self.comparison.count(ours, theirs)
            if given and theirs < ours and self._never_lower:
                counts.withheld += 1
                given = None
            counts.answers[CANDIDATE if given else STABLE] += 1
        if given:
            return self._given([given], [stable_level])
        return self._kept_by_level[theirs]

    def score_many(
        self, rows: Sequence[Values], stable_levels: Sequence[str], subject: bytes
    ) -> Second | None:
        """Score a batch as :meth:`score` does a record; one model answers all of it.

        It is assigned by its subject, else by its first record. If the candidate would lower one of
        its records, the stable model answers.
        """
        if self.scorer.switched_off:
            self._alone(len(rows))
            return None
        given = None
        try:
            records = list(map(self.comparison.canonical, rows))
            answers, sampled = self._assign.of(subject or records[0])
            if not (answers or sampled):
                self._alone(len(rows))
                return None
            mapped = list(map(self.comparison.for_candidate, rows))
            probabilities, shares = self.scorer.score_many(mapped)
            theirs = list(map(self._level_of, probabilities))
            if answers:
                warnings = self._warner.of_many(mapped)
                given = list(map(self._answer, probabilities, shares or (), warnings))
        except Exception as error:
            self._failed(error, len(rows))
            return None
        ours = [self._place[level] for level in stable_levels]
        lowered = sum(map(lt, theirs, ours)) if self._never_lower else 0
        counts = self._counts
        with counts.lock:
            for record, one, other in zip(records, ours, theirs, strict=True):
                if self._distinct.add(record):
                    self.comparison.count(one, other)
            if given and lowered:
                counts.withheld += lowered
                given = None
            counts.answers[CANDIDATE if given else STABLE] += len(rows)
        if given:
            return self._given(given, stable_levels)
        return self._kept([self._levels[place] for place in theirs])

    def _alone(self, records: int) -> None:
        self._counts.answered(STABLE, records)

    def _failed(self, error: Exception, records: int) -> None:
        """Let the stable model's answer go out as if there were no candidate."""
        if not isinstance(error, CandidateError):
            self.scorer.failed(RAISED, type(error).__name__)
        self._counts.answered(STABLE, records)

    def _given(self, answers: list[dict[str, Any]], stable_levels: Sequence[str]) -> Second:
        scoring = Scoring(self._candidate, self._stable, stable_levels)
        return Second(answers, scoring, self.model, self.headers)

    def _kept(self, levels: Sequence[str]) -> Second:
        return Second(None, Scoring(self._stable, self._candidate, levels), self.model, ())
