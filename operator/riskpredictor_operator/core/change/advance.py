"""Decides the next step of a change: from what the pods have counted, and what became of them.

A step forward needs everything: the pods of the present step, an answer of each, the pairs, the
time, the gates. A step back needs one thing. What is decided is written into the status first, and
the next pass makes the pods of it: a crash between leaves the decision on record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from riskpredictor_operator.core import reasons
from riskpredictor_operator.core.change import record as records
from riskpredictor_operator.core.change import words
from riskpredictor_operator.core.change.evidence import Evidence
from riskpredictor_operator.core.change.facts import Facts, Look, look_at
from riskpredictor_operator.core.change.gates import FAILED, PENDING
from riskpredictor_operator.core.change.record import Record, Who
from riskpredictor_operator.core.change.state import (
    ABORTED,
    AWAITING_APPROVAL,
    CANARY,
    OBSERVING,
    PROMOTING,
    SHADOW,
    Snapshot,
    State,
    seconds_between,
)
from riskpredictor_operator.core.change.verdict import (
    cause_to_abort,
    running_reason,
    stable_is_broken,
    step_after,
    step_of,
    waits_for,
)
from riskpredictor_operator.core.conditions import CANDIDATE_ACCEPTED, Condition, Explanation
from riskpredictor_operator.core.policy import HOLD
from riskpredictor_operator.core.release import Release
from riskpredictor_operator.core.spec import RiskPredictor

OBSERVING_FACTOR = 10
"""How much more seldom the counts of a comparison without end are written."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When and for whom a decision is made."""

    now: str
    """RFC 3339 time."""
    who: Who
    every: float
    """Seconds between two writes of mere counts."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What came of a change in a pass."""

    record: Record
    why: Explanation | None = None
    """Reason and message of Ready; None where the pods alone decide."""
    stalled: bool = False
    moved: bool = False
    """Whether the pods have to be made of something else now."""
    accepted: Condition | None = None
    """The condition CandidateAccepted, while the pods hold a candidate."""
    look_again: float | None = None
    """Seconds until time alone may change something."""

    @property
    def aborts(self) -> bool:
        """Whether the change was aborted in this pass."""
        state = self.record.state
        return self.moved and state is not None and state.phase == ABORTED


def advance(
    rp: RiskPredictor,
    record: Record,
    declared: Release,
    facts: Facts,
    evidence: Evidence | None,
    moment: Moment,
) -> Advanced:
    """The record after a pass, and what the status says of the change.

    Args:
        rp: what is declared.
        record: as ``resolve`` left it.
        declared: the model that is declared.
        facts: what this pass found of the pods.
        evidence: what the pods have counted; None before the first answer.
        moment: when and for whom.
    """
    state = record.state
    if state is None:
        if rp.rollout.progressive and facts.settled and not record.is_newest(declared):
            record = record.served(declared, rp, moment.who, moment.now)
        return Advanced(record)
    if state.phase == ABORTED:
        return _aborted(record, state)
    if state.phase == PROMOTING:
        return _promote(rp, record, state, facts, moment)
    look = None
    if evidence is not None and evidence.rollout_id == state.id:
        look = look_at(evidence, rp.rollout.gates, state.levels)
        if look.reports and (state.step_pairs is None or state.step_pairs > look.total.pairs):
            # Not known any more, or counts of pods were lost since: the step counts from now on.
            state = replace(state, step_pairs=look.total.pairs)
    if state.phase == OBSERVING:
        every = moment.every * OBSERVING_FACTOR
        state = _written(state, look, moment.now, every, step_of(rp, state).min_pairs)
        waiting = waits_for(rp, state, facts, look, moment.now)
        return Advanced(
            replace(record, state=state),
            accepted=_accepted(state, waiting),
            look_again=_due(state, moment.now, every),
        )
    return _compare(rp, record, state, facts, look, moment)


def _compare(
    rp: RiskPredictor, record: Record, state: State, facts: Facts, look: Look | None, moment: Moment
) -> Advanced:
    now = moment.now
    if cause := cause_to_abort(rp, state, facts, look, now):
        return _abort(rp, record, _fresh(state, look, now), cause, moment)
    broken = stable_is_broken(state, facts, look)
    if broken and not _needs_approval(rp, state):
        return _moved(record, _promoting(state, now, words.forced(state)))
    state = _written(state, look, now, moment.every, step_of(rp, state).min_pairs)
    why = waits_for(rp, state, facts, look, now)
    if why and broken:
        why = replace(why, message=f"{why.message}; {words.untried(state)}")
    if why is None and look is not None and look.evidence.unheard:
        why = Explanation(_running(state), words.unheard(state, look.evidence.unheard))
    elif why is None and look is not None:
        state = _fresh(state, look, now)
        if not look.is_comparable:
            state = replace(state, reason=reasons.CANDIDATE_NOT_COMPARABLE)
        elif step := step_after(rp, state):
            return _moved(record, _to(state, CANARY, step.percent, now))
        if not _needs_approval(rp, state):
            return _moved(record, _promoting(state, now, words.passed(look)))
        if state.phase != AWAITING_APPROVAL:
            state = replace(state, phase=AWAITING_APPROVAL)
        text = words.no_approval(state, rp.rollout.approval_digest)
        why = Explanation(reasons.AWAITING_APPROVAL, text)
    elif state.phase == AWAITING_APPROVAL:
        # Since then a gate has become undecided again, or a pod is gone.
        state = replace(state, phase=CANARY if state.percent else SHADOW)
    assert why is not None  # noqa: S101 - without a look there is something to wait for
    late = seconds_between(state.started_at, now) >= rp.rollout.deadline_seconds
    if late and rp.rollout.on_inconclusive != HOLD:
        cause = Explanation(reasons.ROLLOUT_ABORTED, words.inconclusive(state, why.message))
        return _abort(rp, record, _fresh(state, look, now), cause, moment)
    waits = [
        seconds_between(now, state.deadline_at),
        step_of(rp, state).min_seconds - seconds_between(state.step_started_at, now),
        _due(state, now, moment.every) if look else 0.0,
    ]
    return Advanced(
        replace(record, state=state),
        why,
        stalled=late or facts.stalled,
        accepted=_accepted(state, why),
        look_again=min((each for each in waits if each > 0), default=None),
    )


def _promote(
    rp: RiskPredictor, record: Record, state: State, facts: Facts, moment: Moment
) -> Advanced:
    if cause := cause_to_abort(rp, state, facts, None, moment.now):
        return _abort(rp, record, state, cause, moment)
    if facts.settled:
        ended = record.ended(records.PROMOTED, state, rp, moment.who, moment.now)
        return Advanced(replace(ended, state=None))
    why = facts.trouble or Explanation(reasons.PROMOTING, words.promoting(state))
    return Advanced(replace(record, state=state), why)


def _promoting(state: State, now: str, message: str) -> State:
    return replace(_to(state, PROMOTING, 0.0, now), message=message)


def _to(state: State, phase: str, percent: float, now: str) -> State:
    """The state at the beginning of its next step."""
    return replace(state, phase=phase, percent=percent, step_started_at=now, step_pairs=state.pairs)


def _moved(record: Record, state: State) -> Advanced:
    why = Explanation(
        reasons.PROMOTING if state.phase == PROMOTING else reasons.CANARY_RUNNING,
        words.promoting(state) if state.phase == PROMOTING else words.replacing(state),
    )
    return Advanced(replace(record, state=state), why, moved=True)


def _abort(
    rp: RiskPredictor, record: Record, state: State, cause: Explanation, moment: Moment
) -> Advanced:
    state = replace(
        _to(state, ABORTED, 0.0, moment.now), reason=cause.reason, message=cause.message
    )
    record = record.ended(records.ABORTED, state, rp, moment.who, moment.now)
    return replace(_aborted(replace(record, state=state), state), moved=True)


def _aborted(record: Record, state: State) -> Advanced:
    return Advanced(record, Explanation(state.reason, words.aborted(state)), stalled=True)


def _accepted(state: State, why: Explanation | None) -> Condition:
    """The condition CandidateAccepted: what the gates say by the last counts."""
    failed = [gate for gate in state.gates if gate.state == FAILED]
    if failed:
        text = words.of_gates(failed, state)
        return Condition(CANDIDATE_ACCEPTED, "False", failed[0].name, text)
    if state.gates and not any(gate.state == PENDING for gate in state.gates):
        return Condition(
            CANDIDATE_ACCEPTED, "True", reasons.GATES_PASSED, words.of_gates(state.gates, state)
        )
    text = why.message if why else words.unread(state)
    return Condition(CANDIDATE_ACCEPTED, "Unknown", reasons.INSUFFICIENT_DATA, text)


def _running(state: State) -> str:
    """The reason of a step that goes on as it is."""
    if state.phase == AWAITING_APPROVAL:
        return reasons.AWAITING_APPROVAL
    return running_reason(state)


def _needs_approval(rp: RiskPredictor, state: State) -> bool:
    return rp.rollout.approval_required and rp.rollout.approval_digest != state.digest


def _written(state: State, look: Look | None, now: str, every: float, enough: int) -> State:
    """The state with the counts of now, if they are due, or if they say something else: a gate is
    decided, or there are as many pairs as the step needs at least."""
    if look is None or not (look.reports or look.total.pairs):
        return state
    before = [(gate.name, gate.state) for gate in state.gates]
    same = before == [(gate.name, gate.state) for gate in look.gates]
    same = same and state.levels == look.levels
    had, has = (state.in_step(pairs) >= enough for pairs in (state.pairs, look.total.pairs))
    same = same and had == has
    if state.snapshot and same and seconds_between(state.snapshot.at, now) < every:
        return state
    return _fresh(state, look, now)


def _fresh(state: State, look: Look | None, now: str) -> State:
    """The state with the counts of now."""
    if look is None:
        return state
    first = next(iter(look.reports), None)
    cases = next((each.cases.digest for each in look.reports if each.cases), state.cases_digest)
    return replace(
        state,
        snapshot=Snapshot(look.total, len(look.reports), now),
        carried=look.evidence.carried,
        levels=look.levels,
        gates=look.gates,
        cases_digest=cases,
        digest=state.digest or (first.candidate_digest if first else ""),
    )


def _due(state: State, now: str, every: float) -> float:
    """Seconds until the counts are written again."""
    if state.snapshot is None:
        return every
    return max(1.0, every - seconds_between(state.snapshot.at, now))
