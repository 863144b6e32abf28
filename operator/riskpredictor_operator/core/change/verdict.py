"""Says what ends the trial of a candidate, or what its next step waits for."""

from __future__ import annotations

from collections.abc import Iterable

from riskpredictor_operator.core import reasons
from riskpredictor_operator.core.change import evidence as pods_say
from riskpredictor_operator.core.change import gates, words
from riskpredictor_operator.core.change.facts import Facts, Look
from riskpredictor_operator.core.change.gates import FAILED, PENDING, GateResult
from riskpredictor_operator.core.change.state import COMPARING, State, seconds_between
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.core.policy import ShadowStep, Step
from riskpredictor_operator.core.spec import RiskPredictor

_WITHOUT_PAIRS = frozenset({gates.CALIBRATION, gates.CASES})
"""Gates that need no comparison."""
BROKEN_SECONDS = 60.0
"""How long no pod may answer before the stable model counts as broken."""


def step_of(rp: RiskPredictor, state: State) -> Step | ShadowStep:
    """The declared step that a state is at: the last one that does not exceed its percentage, for
    the steps may be declared anew meanwhile."""
    reached = [step for step in rp.rollout.steps if step.percent <= state.percent]
    return reached[-1] if state.percent and reached else rp.rollout.shadow


def step_after(rp: RiskPredictor, state: State) -> Step | None:
    """The next canary step; None after the last."""
    return next((step for step in rp.rollout.steps if step.percent > state.percent), None)


def cause_to_abort(
    rp: RiskPredictor, state: State, facts: Facts, look: Look | None, now: str
) -> Explanation | None:
    """What ends the trial at once, if anything does."""
    if facts.abort_id == state.id:
        return Explanation(reasons.ROLLOUT_ABORTED, words.by_hand(state))
    if look is not None and (cause := _by_reports(rp, state, look, now)):
        return cause
    broken = state.phase in COMPARING and _nothing_answers(state, facts, look)
    if facts.stalled and facts.trouble and not broken:
        reason = facts.trouble.reason
        if reason not in reasons.OF_THE_STORE:
            reason = reasons.ROLLOUT_ABORTED
        return Explanation(reason, words.no_pods_came_up(state, facts.trouble.message))
    return None


def _by_reports(rp: RiskPredictor, state: State, look: Look, now: str) -> Explanation | None:
    unusable = look.in_state(pods_say.UNUSABLE)
    for each in unusable:
        if each.reason in reasons.STALLED_AT_ONCE:
            rejected = each.reason == reasons.MODEL_REJECTED
            reason = reasons.CANDIDATE_REJECTED if rejected else each.reason
            return Explanation(reason, each.message)
    if other := _of_another_model(state, look):
        return Explanation(reasons.MODEL_DIGEST_MISMATCH, other)
    patience = rp.pod_template.progress_deadline_seconds
    late = seconds_between(state.step_started_at, now) >= patience
    if late and unusable and len(unusable) == len(look.reports):
        return Explanation(unusable[0].reason, words.not_fetched(unusable[0].message, patience))
    if not look.is_comparable and rp.rollout.gates.cases and not any(r.cases for r in look.reports):
        return Explanation(reasons.CANDIDATE_REJECTED, words.cases_not_run(state))
    failed = [gate for gate in look.gates if gate.state == FAILED]
    if not failed:
        return None
    of_cases = all(gate.name == gates.CASES for gate in failed)
    reason = reasons.CANDIDATE_REJECTED if of_cases else reasons.ROLLOUT_ABORTED
    return Explanation(reason, words.failed(failed, look))


def _of_another_model(state: State, look: Look) -> str:
    """What a pod has instead of the model that was counted so far; empty if nothing. The tag of an
    image may be moved meanwhile."""
    told = [each for each in look.reports if each.candidate_digest]
    known = state.digest or next((each.candidate_digest for each in told), "")
    other = next((each for each in told if each.candidate_digest != known), None)
    return words.another_model(state, known, other) if other else ""


def stable_is_broken(state: State, facts: Facts, look: Look | None) -> bool:
    """Whether nothing answers that the candidate could be compared with, through no fault of the
    candidate's and without hope that it passes by itself."""
    return (
        _nothing_answers(state, facts, look)
        and facts.trouble is not None
        and facts.trouble.reason not in reasons.PASSES_BY_ITSELF
        and facts.unavailable_seconds >= BROKEN_SECONDS
    )


def _nothing_answers(state: State, facts: Facts, look: Look | None) -> bool:
    """Whether no pod is ready, and none of this trial has ever been: pods of a stable model that
    works stay until there are others."""
    reports = look.reports if look else ()
    return facts.wanted > 0 and facts.ready == 0 and state.pairs == 0 and not reports


def running_reason(state: State) -> str:
    """The reason of a step that goes on."""
    return reasons.CANARY_RUNNING if state.percent else reasons.SHADOWING


def waits_for(
    rp: RiskPredictor, state: State, facts: Facts, look: Look | None, now: str
) -> Explanation | None:
    """What the next step waits for; None if for nothing."""
    running = running_reason(state)
    if facts.trouble:
        return facts.trouble
    if not facts.settled:
        return Explanation(running, words.replacing(state))
    if facts.wanted == 0:
        return Explanation(reasons.INSUFFICIENT_DATA, words.no_pods(state))
    if look is None:
        return Explanation(running, words.unread(state))
    if look.evidence.unaware:
        return Explanation(reasons.INSUFFICIENT_DATA, words.unaware(state, look.evidence.unaware))
    if look.evidence.refused:
        return Explanation(reasons.INSUFFICIENT_DATA, words.refused(look.evidence.refused))
    if look.evidence.unreachable or not look.reports:
        text = words.unreachable(look.evidence.unreachable)
        return Explanation(reasons.INSUFFICIENT_DATA, text)
    if unusable := look.in_state(pods_say.UNUSABLE):
        return Explanation(unusable[0].reason, words.unusable(state, unusable))
    return _waits_for_data(rp, state, look, running, now)


def _waits_for_data(
    rp: RiskPredictor, state: State, look: Look, running: str, now: str
) -> Explanation | None:
    step = step_of(rp, state)
    undecided = pending(look.gates)
    if not look.is_comparable:
        # There will be no pairs: what can be told without them decides.
        of_card = [gate for gate in undecided if gate.name in _WITHOUT_PAIRS]
        if of_card:
            return Explanation(reasons.INSUFFICIENT_DATA, words.undecided(state, of_card))
        return None
    left = step.min_seconds - seconds_between(state.step_started_at, now)
    short = state.in_step(look.total.pairs) < step.min_pairs or bool(undecided)
    if not short and left <= 0:
        return None
    reason = reasons.INSUFFICIENT_DATA if short and left <= 0 else running
    # The message has the numbers of the snapshot: the status is not written for each request.
    counted = state.in_step(state.pairs)
    more = max(
        step.min_pairs - counted,
        gates.pairs_missing(rp.rollout.gates, state.counts, look.levels),
    )
    if state.snapshot:
        left = step.min_seconds - seconds_between(state.step_started_at, state.snapshot.at)
    text = words.waiting(state, counted, more, left, pending(state.gates), step_after(rp, state))
    return Explanation(reason, text)


def pending(results: Iterable[GateResult]) -> list[GateResult]:
    """The gates that are not decided."""
    return [gate for gate in results if gate.state == PENDING]
