"""How far the change of a model is: ``status.rollout``, read and written."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from riskpredictor_operator.core import release
from riskpredictor_operator.core.change.evidence import Counts
from riskpredictor_operator.core.change.gates import GateResult
from riskpredictor_operator.core.release import Release
from riskpredictor_operator.kube import Body

SHADOW: Final = "Shadow"
CANARY: Final = "Canary"
AWAITING_APPROVAL: Final = "AwaitingApproval"
PROMOTING: Final = "Promoting"
ABORTED: Final = "Aborted"
OBSERVING: Final = "Observing"
"""``spec.shadow``: the comparison has no end."""

NOTHING: Final = Counts()

COMPARING: Final = frozenset({SHADOW, CANARY, AWAITING_APPROVAL})
"""Phases of a change in which the pods hold both models."""
RUNNING: Final = COMPARING | {PROMOTING}
"""Phases of a change that is under way."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the pods had counted when the status was last written about it."""

    counts: Counts
    pods: int
    at: str


@dataclass(frozen=True, slots=True)
class State:
    """One change of the model, or one comparison without end. Times are RFC 3339."""

    id: str
    """Of stable release, candidate and retry word; see ``rollout_id``."""
    phase: str
    percent: float
    stable: Release
    candidate: Release
    digest: str
    """Of the candidate: declared or, where the model is in its image, as the pods tell it."""
    policy_digest: str
    generation: int
    started_at: str
    step_started_at: str
    deadline_at: str
    step_pairs: int | None = 0
    """Pairs when the step began; None where that is not known any more, until the next look."""
    carried: Counts = NOTHING
    """Counts of pods that were gone by the last snapshot."""
    snapshot: Snapshot | None = None
    levels: tuple[str, ...] = ()
    gates: tuple[GateResult, ...] = ()
    cases_digest: str = ""
    reason: str = ""
    """Why it was aborted: one of ``reasons``."""
    message: str = ""

    @property
    def step(self) -> str:
        """The step for people."""
        words = {AWAITING_APPROVAL: "Awaiting approval", OBSERVING: "Shadow"}
        if self.phase == CANARY:
            return f"Canary {self.percent:g}%"
        return words.get(self.phase, self.phase)

    @property
    def counts(self) -> Counts:
        """What was counted by the last snapshot."""
        return self.snapshot.counts if self.snapshot else NOTHING

    @property
    def pairs(self) -> int:
        """Pairs at the last snapshot."""
        return self.counts.pairs

    def in_step(self, pairs: int) -> int:
        """How many of all these pairs are of the present step."""
        return 0 if self.step_pairs is None else max(0, pairs - self.step_pairs)


def same_model(one: Release, other: Release) -> bool:
    """Whether two releases are the same model; their server images may differ."""
    return (one.version, one.digest) == (other.version, other.digest)


def rollout_id(stable: Release, candidate: Release, retry: str, before: int) -> str:
    """12 hexadecimal digits that name the trial of a candidate against a stable release.

    ``before`` is how many changes to this candidate have ended here: pods of a former trial may
    still run, and their counts are none of this one.
    """
    again = (str(before),) if before else ()
    parts = (stable.version, stable.digest, candidate.version, candidate.digest, retry)
    return _hashed(*parts, *again)


def abort_key(candidate: Release, retry: str) -> str:
    """12 hexadecimal digits under which an abort is remembered, whatever was stable then.

    The digest alone says which model it is; where none is declared, version and image do.
    """
    of = (candidate.digest,) if candidate.digest else (candidate.version, candidate.image)
    return _hashed(*of, retry)


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def to_document(state: State) -> dict[str, Any]:
    """The state as ``status.rollout``."""
    document: dict[str, Any] = {
        "id": state.id,
        "phase": state.phase,
        "step": state.step,
        "percent": state.percent,
        "stable": release.to_document(state.stable),
        "candidate": {
            **release.to_document(state.candidate),
            **({"digest": state.digest} if state.digest else {}),
        },
        "policyDigest": state.policy_digest,
        "generation": state.generation,
        "startedAt": state.started_at,
        "stepStartedAt": state.step_started_at,
    }
    if state.step_pairs is not None:
        document["stepPairs"] = state.step_pairs
    if state.phase != OBSERVING:
        document["deadlineAt"] = state.deadline_at
    if state.carried != NOTHING:
        document["carried"] = state.carried.to_document()
    document |= found(state)
    if state.reason:
        document["reason"] = state.reason
    if state.message:
        document["message"] = state.message
    return document


def found(state: State) -> dict[str, Any]:
    """What was found so far: evidence, levels, gates, cases."""
    document: dict[str, Any] = {}
    if state.snapshot:
        counts = state.snapshot.counts.to_document()
        counts |= {"pairs": state.pairs, "pods": state.snapshot.pods, "at": state.snapshot.at}
        document |= {"evidence": counts, "levels": list(state.levels)}
    if state.gates:
        document["gates"] = [
            {"name": g.name, "state": g.state, "observed": g.observed, "bound": g.bound,
             "limit": g.limit}
            for g in state.gates
        ]  # fmt: skip
    if state.cases_digest:
        document["cases"] = {"digest": state.cases_digest}
    return document


def from_document(document: Any) -> State | None:
    """The state in ``status.rollout``; None where it cannot be read: a status can be edited."""
    if not isinstance(document, Mapping):
        return None
    try:
        return _read(document)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _read(document: Body) -> State:
    candidate = release.from_document(document["candidate"])
    seen = document.get("evidence")
    state = State(
        id=_text(document["id"]),
        phase=_text(document["phase"]),
        percent=float(document["percent"]),
        stable=release.from_document(document["stable"]),
        candidate=candidate,
        digest=_text(document["candidate"].get("digest", "")),
        policy_digest=_text(document["policyDigest"]),
        generation=int(document["generation"]),
        started_at=_time(document["startedAt"]),
        step_started_at=_time(document["stepStartedAt"]),
        deadline_at=_time(document.get("deadlineAt") or document["startedAt"]),
        step_pairs=int(document["stepPairs"]) if "stepPairs" in document else None,
        carried=Counts.from_document(document.get("carried")),
        levels=tuple(map(_text, document.get("levels") or ())),
        gates=tuple(GateResult(**gate) for gate in document.get("gates") or ()),
        cases_digest=_text((document.get("cases") or {}).get("digest", "")),
        reason=_text(document.get("reason", "")),
        message=_text(document.get("message", "")),
    )
    if state.phase not in RUNNING | {ABORTED, OBSERVING}:
        raise ValueError(state.phase)
    if seen:
        snapshot = Snapshot(Counts.from_document(seen), int(seen["pods"]), _time(seen["at"]))
        state = replace(state, snapshot=snapshot)
    sizes = {len(counts.matrix) for counts in (state.carried, state.counts) if counts.matrix}
    if sizes - {len(state.levels)}:
        raise ValueError("a matrix has a row and a column for each level")
    return state


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _time(value: Any) -> str:
    # Of a time without its zone nothing else can be subtracted.
    seconds_between(_text(value), "1970-01-01T00:00:00Z")
    return str(value)


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one RFC 3339 time to another; 0 where the clock was set back."""
    first, last = map(datetime.datetime.fromisoformat, (earlier, later))
    return max(0.0, (last - first).total_seconds())


def after(time: str, seconds: float) -> str:
    """The RFC 3339 time so many seconds later, in whole seconds."""
    then = datetime.datetime.fromisoformat(time) + datetime.timedelta(seconds=seconds)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")
