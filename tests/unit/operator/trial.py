"""A model change without a cluster: declared, live and stored state, and pods that count.

``turn`` is one pass of the operator. It can be cut off between its writes, as by a kill.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from unit.operator.builders import OPTIONS, declared, pruned, schema

from riskpredictor_operator.core.change import record as records
from riskpredictor_operator.core.change.advance import Advanced, Moment, advance
from riskpredictor_operator.core.change.evidence import COMPARING, Counts, Evidence, PodReport
from riskpredictor_operator.core.change.facts import Facts
from riskpredictor_operator.core.change.record import Who
from riskpredictor_operator.core.change.resolve import Resolved, resolve, same_pods
from riskpredictor_operator.core.release import Candidate, Serving, shadow_of
from riskpredictor_operator.core.release import declared as release_declared

LEVELS = ("Low", "Medium", "High")
AGREES = ((70, 0, 0), (0, 20, 0), (0, 0, 10))
"""A hundred pairs without a difference."""
UNDER_TRIAGE = ((70, 0, 0), (0, 20, 0), (2, 3, 5))
"""A hundred pairs of a model that misses half of the high risks."""
WHO = Who("argocd-controller", "CHG-4711")
EVERY = 60.0

FAST: Mapping[str, Any] = {
    "strategy": "Progressive",
    "shadow": {"minPairs": 500, "minDuration": "0s"},
    "canary": {
        "steps": [
            {"percent": 10, "minPairs": 200, "minDuration": "0s"},
            {"percent": 50, "minPairs": 200, "minDuration": "0s"},
        ]
    },
}
"""A policy whose steps take no time."""


def digest(version: str) -> str:
    """Some digest of a model."""
    return "sha256:" + f"{sum(map(ord, version)):064x}"


def model(version: str) -> dict[str, Any]:
    """The fields of a spec for a model from a store."""
    source = {"http": {"url": f"https://models.example.com/risk/{version}/"}}
    return {"modelVersion": version, "model": {"digest": digest(version), "source": source}}


def times(matrix: tuple[tuple[int, ...], ...], factor: int) -> tuple[tuple[int, ...], ...]:
    """So many times the counts."""
    return tuple(tuple(count * factor for count in row) for row in matrix)


@dataclass
class Trial:
    """One RiskPredictor whose model changes."""

    spec: dict[str, Any]
    status: dict[str, Any] = field(default_factory=dict)
    live: Serving | None = None
    now: datetime.datetime = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
    matrix: tuple[tuple[int, ...], ...] = ()
    """What the pods have counted for the present candidate."""
    counted_for: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    _last: Advanced | None = None
    other: str = ""
    """The id of another trial that the evidence is about."""
    second: dict[str, Any] = field(default_factory=dict)
    """What a second pod reports otherwise."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """What is otherwise in the evidence."""
    silent: bool = False
    """Whether no pod answers the operator."""
    seen: list[str] = field(default_factory=list)
    """Every step that the status has shown."""

    @property
    def stamp(self) -> str:
        """The present time."""
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def last(self) -> Advanced:
        """What came of the last pass that was not cut off."""
        assert self._last is not None
        return self._last

    @property
    def candidate(self) -> Candidate | None:
        """What the pods hold beside the stable model."""
        return self.live.candidate if self.live else None

    @property
    def phase(self) -> str:
        """The phase in the status; empty if nothing is under way."""
        return str((self.status.get("rollout") or {}).get("phase", ""))

    @property
    def answering(self) -> str:
        """The version that answers whatever no candidate answers."""
        return self.live.stable.version if self.live else ""

    def declare(self, version: str, **spec: Any) -> None:
        """A commit that changes the model, and perhaps more."""
        self.spec = {**self.spec, **model(version), **spec}

    def policy(self, **fields: Any) -> None:
        """A commit that changes the policy."""
        self.spec = {**self.spec, "rollout": {**self.spec["rollout"], **fields}}

    def count(self, matrix: tuple[tuple[int, ...], ...], factor: int = 1) -> None:
        """Requests come in, and pods count."""
        more = Counts(times(matrix, factor))
        self.matrix = (Counts(self.matrix) + more).matrix

    def turn(self, seconds: float = 10.0, *, cut: str = "") -> None:
        """A pass, so many seconds after the last one.

        Args:
            seconds: since the last pass.
            cut: ``before`` or ``between`` the writes the operator is killed.
        """
        self.now += datetime.timedelta(seconds=seconds)
        rp = declared(**self.spec)
        of = release_declared(rp, OPTIONS)
        resolved = resolve(rp, of, shadow_of(rp, OPTIONS), self.live, self.status, WHO, self.stamp)
        if cut == "before":
            return
        self._render(resolved)
        if cut == "between":
            return
        facts = Facts(
            **{"settled": self._is_settled(resolved), "wanted": 2, "ready": 2, **self.facts}
        )
        self._last = advance(
            rp, resolved.record, of, facts, self._evidence(resolved), Moment(self.stamp, WHO, EVERY)
        )
        # A field that the CRD does not know would be lost in a cluster.
        self.status = pruned(records.to_fields(self._last.record), schema()["properties"]["status"])
        step = (self.status.get("rollout") or {}).get("step", "")
        if not self.seen or self.seen[-1] != step:
            self.seen.append(step)

    def turns(self, count: int, seconds: float = 10.0) -> None:
        """So many passes."""
        for _ in range(count):
            self.turn(seconds)

    def _render(self, resolved: Resolved) -> None:
        self.live = resolved.serving
        candidate = resolved.serving.candidate
        name = candidate.rollout_id if candidate else ""
        if name != self.counted_for:
            self.counted_for, self.matrix = name, ()

    def _is_settled(self, resolved: Resolved) -> bool:
        return self.live is not None and same_pods(self.live, resolved.serving)

    def _evidence(self, resolved: Resolved) -> Evidence | None:
        candidate = resolved.serving.candidate
        if candidate is None or self.silent:
            return None
        report = PodReport(
            pod="risk-1", instance="a", rollout_id=candidate.rollout_id, levels=LEVELS,
            state=COMPARING, reason="", message="", stable_digest=digest("v1"),
            candidate_version=candidate.release.version,
            candidate_digest=candidate.release.digest or digest(candidate.release.version),
            counts=Counts(self.matrix), cases=None, brier=(0.12, 0.12),
        )  # fmt: skip
        report = replace(report, **self.report)
        reports = [report]
        if self.second:
            reports.append(replace(report, pod="risk-2", counts=Counts(), **self.second))
        found = {"reports": tuple(reports), "carried": Counts(), **self.evidence}
        return Evidence(self.other or candidate.rollout_id, **found)


def settled(**rollout: Any) -> Trial:
    """A RiskPredictor that serves v1."""
    trial = Trial({**model("v1"), "rollout": {**FAST, **rollout}})
    trial.turns(2)
    return trial


def shuffled(seed: int) -> random.Random:
    """Repeatable chance."""
    return random.Random(seed)
