"""Says what the pods have to be made of, before a pass writes anything.

The status is the state of a change, and the pod template its second witness: what the one has lost
is taken from the other. A model that is declared never reaches the pods otherwise than through a
state, unless no gates are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from riskpredictor_operator.core.change import record as records
from riskpredictor_operator.core.change.record import Record, Who
from riskpredictor_operator.core.change.state import (
    ABORTED,
    CANARY,
    COMPARING,
    OBSERVING,
    PROMOTING,
    RUNNING,
    SHADOW,
    State,
    abort_key,
    after,
    rollout_id,
    same_model,
)
from riskpredictor_operator.core.reasons import ROLLOUT_ABORTED
from riskpredictor_operator.core.release import Candidate, Release, Serving
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body


@dataclass(frozen=True, slots=True)
class Resolved:
    """What to render, and the record that goes with it."""

    serving: Serving
    record: Record
    moves: bool
    """Whether the pods are of another model or stage now: no roll-out that nobody asked for."""


def resolve(
    rp: RiskPredictor,
    declared: Release,
    shadow: Release | None,
    live: Serving | None,
    status: Body,
    who: Who,
    now: str,
) -> Resolved:
    """What the pods have to be made of now.

    Args:
        rp: what is declared.
        declared: its model.
        shadow: the model of ``spec.shadow``, if there is one.
        live: what the Deployment was made of; None if there is none, or it cannot be told.
        status: as stored.
        who: who declared it.
        now: RFC 3339 time.
    """
    record = records.read(status)
    before = record.state if record.state and _holds(record.state, live) else None
    record = replace(record, state=before)
    remembered = records.keys_of(record.aborted, live.aborted if live else ())
    stable = _stable(before, live)
    if not rp.rollout.progressive or stable is None or same_model(stable, declared):
        if before and before.phase in RUNNING:
            record = _left(record, before, rp, declared, who, now)
        state = _observing(rp, record, declared, shadow, now) if shadow else None
        record = replace(record, state=state)
        return _resolved(_serving(rp, declared, state, remembered), record, live)
    key = abort_key(declared, rp.rollout.retry)
    name = _name(rp, record, stable, declared)
    if before and before.id == name:
        state = _continued(rp, before, declared, now)
    else:
        if before and before.phase in RUNNING:
            record = record.ended(records.SUPERSEDED, before, rp, who, now)
        if not record.is_newest(stable):
            # It was brought without a record, and is what a revert goes back to.
            record = record.served(stable, rp, Who(), now)
        name = _name(rp, record, stable, declared)
        state = _begun(rp, name, stable, declared, live, now)
    if record.was_promoted(declared):
        # A way back: it has passed its gates here.
        if state.phase in COMPARING and not (before and before.id == name):
            state = replace(state, phase=PROMOTING, percent=0.0)
    elif key in remembered and state.phase != ABORTED:
        reason, message = record.reason_of(key)
        state = replace(
            state,
            phase=ABORTED,
            percent=0.0,
            reason=reason or ROLLOUT_ABORTED,
            message=message or "it was aborted before; the Deployment's annotation remembers it",
        )
    record = replace(record, state=state)
    return _resolved(_serving(rp, declared, state, remembered), record, live)


def _left(
    record: Record, before: State, rp: RiskPredictor, declared: Release, who: Who, now: str
) -> Record:
    """The record once a change is not gone on with."""
    if same_model(before.stable, declared):
        return record.ended(records.REVERTED, before, rp, who, now)
    # The declared model is served without a comparison, and that is to be seen later.
    message = f"spec.rollout.strategy is {rp.rollout.strategy}"
    return record.ended(records.SUPERSEDED, replace(before, message=message), rp, who, now)


def _resolved(serving: Serving, record: Record, live: Serving | None) -> Resolved:
    return Resolved(serving, record, live is not None and not same_pods(live, serving))


def same_pods(one: Serving, other: Serving) -> bool:
    """Whether pods hold the same models, at the same stage; their server images may differ."""
    return same_model(one.stable, other.stable) and _stage(one) == _stage(other)


def _stage(serving: Serving) -> tuple[object, ...]:
    """Which candidate is tried, and how; wherever it comes from."""
    if (c := serving.candidate) is None:
        return ()
    return c.rollout_id, c.stage, c.percent, c.sample, c.guard, c.subject_header, c.cases


def _name(rp: RiskPredictor, record: Record, stable: Release, declared: Release) -> str:
    return rollout_id(stable, declared, rp.rollout.retry, record.trials_of(declared))


def _holds(state: State, live: Serving | None) -> bool:
    """Whether a stored state is about what runs. A status may be restored from a backup."""
    if live is None:
        return True
    return any(same_model(live.stable, each) for each in (state.stable, state.candidate))


def _stable(before: State | None, live: Serving | None) -> Release | None:
    """What answers until the declared model has passed its gates.

    While a model is promoted the template says it already, and after an abort it may still.
    """
    if before and (before.phase != OBSERVING or live is None):
        return before.stable
    return live.stable if live else None


def _begun(
    rp: RiskPredictor, name: str, stable: Release, declared: Release, live: Serving | None, now: str
) -> State:
    """A new change; at the stage of the template where that is of the same change."""
    phase, percent = SHADOW, 0.0
    if live and live.candidate and live.candidate.rollout_id == name and live.candidate.percent:
        phase, percent = CANARY, live.candidate.percent
    state = _new(rp, name, phase, stable, declared, now)
    # The pods have counted since before this step, and nobody knows how much.
    return replace(state, percent=percent, step_pairs=None if percent else 0)


def _new(
    rp: RiskPredictor, name: str, phase: str, stable: Release, candidate: Release, now: str
) -> State:
    """A comparison that begins now."""
    return State(
        id=name,
        phase=phase,
        percent=0.0,
        stable=stable,
        candidate=candidate,
        digest=candidate.digest,
        policy_digest=rp.rollout.digest,
        generation=rp.generation,
        started_at=now,
        step_started_at=now,
        deadline_at=after(now, rp.rollout.deadline_seconds),
    )


def _continued(rp: RiskPredictor, before: State, declared: Release, now: str) -> State:
    """The same change in this pass. What ``spec.shadow`` has found counts as its first step."""
    state = replace(before, candidate=declared, policy_digest=rp.rollout.digest)
    if before.phase == OBSERVING:
        return replace(
            state,
            phase=SHADOW,
            generation=rp.generation,
            started_at=now,
            deadline_at=after(now, rp.rollout.deadline_seconds),
        )
    # Another deadline in Git counts from the same beginning.
    return replace(state, deadline_at=after(before.started_at, rp.rollout.deadline_seconds))


def _observing(
    rp: RiskPredictor, record: Record, declared: Release, shadow: Release, now: str
) -> State:
    """The comparison of ``spec.shadow``; the same one goes on."""
    before = record.state
    name = rollout_id(declared, shadow, "", record.trials_of(shadow))
    if before and before.id == name and before.phase in (OBSERVING, SHADOW):
        return replace(before, phase=OBSERVING, stable=declared, candidate=shadow, percent=0.0)
    return _new(rp, name, OBSERVING, declared, shadow, now)


def _serving(
    rp: RiskPredictor, declared: Release, state: State | None, remembered: tuple[str, ...]
) -> Serving:
    """What the pods are made of in a state."""
    if state is None or state.phase == PROMOTING:
        return Serving(declared, None, remembered)
    if state.phase == ABORTED:
        return Serving(state.stable, None, remembered)
    policy = rp.rollout
    candidate = Candidate(
        release=state.candidate,
        rollout_id=state.id,
        stage=f"Canary-{state.percent:g}" if state.percent else "Shadow",
        percent=state.percent,
        sample=policy.shadow.sample,
        guard=policy.guard,
        subject_header=policy.subject_header,
        cases=policy.gates.cases,
    )
    return Serving(state.stable, candidate, remembered)
