"""What the status says of a change, for people."""

from __future__ import annotations

from collections.abc import Sequence

from riskpredictor_operator.core.change.evidence import PodReport
from riskpredictor_operator.core.change.facts import Look
from riskpredictor_operator.core.change.gates import GateResult
from riskpredictor_operator.core.change.state import OBSERVING, State
from riskpredictor_operator.core.conditions import some
from riskpredictor_operator.core.policy import Step

_NAMED = 3
"""How many pods or gates a message names."""


def waiting(
    state: State,
    counted: int,
    more: int,
    left: float,
    undecided: Sequence[GateResult],
    after: Step | None,
) -> str:
    """How far a step is, and what it needs.

    Args:
        state: the change.
        counted: pairs of this step.
        more: pairs that it needs at least, if both models agree on all.
        left: seconds that it has to last, or less than 0.
        undecided: gates that are not decided.
        after: the next canary step.
    """
    needs = [f"about {more} more pairs"] if more > 0 else []
    needs += [f"{duration(left)} more"] if left > 0 else []
    text = f"{_who_answers(state)}; {_pairs(counted)} in this step"
    if needs:
        text += f", needs {' and '.join(needs)}"
    if undecided:
        text += f"; undecided: {_gates(undecided)}"
    if state.phase == OBSERVING:
        return f"{text}; it is observed, and never promoted (spec.shadow)"
    return f"{text}; next: {f'canary {after.percent:g} %' if after else 'promotion'}"


def _who_answers(state: State) -> str:
    stable, candidate = state.stable.version, state.candidate.version
    if state.percent:
        return f"{candidate} answers {state.percent:g} % of the requests, {stable} the others"
    return f"{candidate} is compared with {stable} and answers nobody"


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


def _gates(results: Sequence[GateResult]) -> str:
    """A few gates: first those that wait for a person, with what for; others with their numbers."""
    results = sorted(results, key=lambda gate: bool(gate.bound))
    shown = [
        f"{gate.name} {gate.bound} (limit {gate.limit})"
        if gate.bound
        else f"{gate.name} ({gate.observed})"
        for gate in results
    ]
    return some(shown, _NAMED)


def replacing(state: State) -> str:
    """The pods of a step are coming."""
    return f"{_who_answers(state)}; its pods are coming"


def unread(state: State) -> str:
    """No pod has been asked yet."""
    return f"{_who_answers(state)}; the pods have not been asked yet"


def unheard(state: State, pods: Sequence[str]) -> str:
    """Some pods have not been heard of yet."""
    return f"{_who_answers(state)}; {some(pods, _NAMED)} has not told its counts yet"


def no_pods(state: State) -> str:
    """There is no pod that could compare."""
    return f"no pod is wanted, so {state.candidate.version} cannot be compared"


def unaware(state: State, pods: Sequence[str]) -> str:
    """The server's image cannot compare."""
    return (
        f"the server in {state.stable.image} cannot compare two models ({_have_no(pods)} "
        f"GET /rollout); serve {state.stable.version} with an image of this release first"
    )


def refused(reports: Sequence[str]) -> str:
    """Pods answer what cannot be counted."""
    return f"what pods tell of their counts cannot be used: {'; '.join(reports[:_NAMED])}"


def unreachable(pods: Sequence[str]) -> str:
    """Pods do not answer the operator."""
    which = some(pods, _NAMED) if pods else "any pod"
    return (
        f"the operator cannot read the counts of {which}; let it reach port 5000 of the predictors "
        "(NetworkPolicy), meanwhile nothing is decided"
    )


def unusable(state: State, reports: Sequence[PodReport]) -> str:
    """Pods have no candidate, and may get it."""
    which = _have_no([each.pod for each in reports])
    return (
        f"{which} {state.candidate.version}: {reports[0].message}; "
        f"meanwhile {state.stable.version} answers"
    )


def undecided(state: State, results: Sequence[GateResult]) -> str:
    """A gate that needs no pairs is not decided."""
    said = "; ".join(f"{gate.name}: {gate.observed}" for gate in results)
    return f"{state.candidate.version} waits for {said}"


def no_approval(state: State, given: str | None) -> str:
    """The gates are passed, and a person has to say yes."""
    digest = state.digest or "the digest of its card"
    wrong = f"; it is {given}, another model" if given and given != state.digest else ""
    return (
        f"{state.candidate.version} has passed its gates over {_pairs(state.pairs)}; to promote "
        f"it, set spec.rollout.approval.digest to {digest}{wrong}"
    )


def promoting(state: State) -> str:
    """The pods of the promoted model are coming."""
    return f"{state.candidate.version} takes the place of {state.stable.version}" + (
        f": {state.message}" if state.message else ""
    )


def passed(look: Look) -> str:
    """Why a candidate is promoted."""
    if not look.is_comparable:
        why = next((each.message for each in look.reports if each.message), "")
        return f"it cannot be compared ({why}), and passed the gates that need no comparison"
    return f"it passed its gates over {_pairs(look.total.pairs)}"


def forced(state: State) -> str:
    """Why a candidate is promoted without a comparison."""
    return f"no pod of {state.stable.version} answers, so there is nothing to compare it with"


def untried(state: State) -> str:
    """What a person can do where there is nothing to compare a candidate with."""
    how = f"digest to {state.digest}" if state.digest else "required to false"
    return (
        f"to serve {state.candidate.version} without a comparison, set spec.rollout.approval.{how}"
    )


def failed(results: Sequence[GateResult], look: Look) -> str:
    """Which gates a candidate failed."""
    return f"{_told(results)} (after {_pairs(look.total.pairs)})"


def of_gates(results: Sequence[GateResult], state: State) -> str:
    """What the gates say by the last counts."""
    return f"{state.candidate.version}: {_told(results)} (after {_pairs(state.pairs)})"


def _told(results: Sequence[GateResult]) -> str:
    return "; ".join(
        f"{gate.name} is {gate.observed}"
        + (f" (true value {gate.bound})" if gate.bound else "")
        + (f", limit {gate.limit}" if gate.limit else "")
        for gate in results
        if gate.observed
    )


def by_hand(state: State) -> str:
    """A person stopped it."""
    return f"stopped by hand (annotation healthtech.dev/abort) at {state.step}"


def not_fetched(message: str, seconds: int) -> str:
    """No pod has got the candidate for as long as a roll-out may take."""
    return f"{message} (for {seconds} s, spec.podTemplate.progressDeadlineSeconds)"


def cases_not_run(state: State) -> str:
    """The hospital's own cases cannot be run with this candidate."""
    return (
        f"spec.rollout.gates.cases cannot be checked with {state.candidate.version}, which is not "
        "scored beside the stable model; remove it from the gates, or declare a linear model"
    )


def another_model(state: State, known: str, other: PodReport) -> str:
    """A pod has another model than was compared so far."""
    return (
        f"{state.candidate.version} is {known}, and {other.pod} has {other.candidate_digest}; a "
        "model version does not change: give the changed model a new one"
    )


def no_pods_came_up(state: State, message: str) -> str:
    """The pods of a step did not come up."""
    return f"its pods do not come up at {state.step}: {message}"


def inconclusive(state: State, message: str) -> str:
    """The deadline passed, and the change is to be given up then."""
    return f"undecided at spec.rollout.deadline ({state.step}): {message}"


def aborted(state: State) -> str:
    """What was aborted, why, and what can be done."""
    return (
        f"{state.candidate.version} was stopped, {state.stable.version} answers: {state.message}; "
        f"declare {state.stable.version} again (git revert), or another model; to try this one "
        "again, put another word into spec.rollout.retry"
    )


def duration(seconds: float) -> str:
    """Seconds for people: 45 s, 12 min, 3 h, 2 d."""
    whole = max(1, round(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{round(whole / size)} {unit}"
    return f"{whole} s"


def _have_no(names: Sequence[str]) -> str:
    return f"{some(names, _NAMED)} {'has' if len(names) == 1 else 'have'} no"
