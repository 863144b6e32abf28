"""What is told of a change of the model, from two statuses that follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from riskpredictor_operator.core import reasons
from riskpredictor_operator.core.change import record as records
from riskpredictor_operator.core.change import state as states
from riskpredictor_operator.core.conditions import Explanation
from riskpredictor_operator.kube import Body


def of(previous: Body, current: Body) -> list[Explanation]:
    """Reasons and messages for going from one status to another, in the order of what happened."""
    return [*_ended(previous, current), *_under_way(previous, current)]


def _ended(previous: Body, current: Body) -> Iterator[Explanation]:
    """By what is new in ``status.history``, the oldest first."""
    before = {_identity(entry): entry.get("outcome") for entry in previous.get("history") or ()}
    for entry in reversed(current.get("history") or ()):
        outcome, known = entry.get("outcome"), before.get(_identity(entry))
        # One without a former model has come into service without a comparison.
        if outcome in _OUTCOMES and outcome != known and (known or entry.get("from")):
            yield Explanation(_OUTCOMES[outcome], _what(entry))


_OUTCOMES = {
    records.PROMOTED: reasons.ROLLOUT_PROMOTED,
    records.ABORTED: reasons.ROLLOUT_ABORTED,
    records.REVERTED: reasons.ROLLOUT_REVERTED,
    records.WITHDRAWN: reasons.ROLLOUT_REVERTED,
    records.SUPERSEDED: reasons.SUPERSEDED,
}
"""Reasons by outcome."""


def _what(entry: Body) -> str:
    """What became of a change."""
    model, former = _named(entry), _named(entry.get("from") or {})
    after = _numbers(entry)
    messages = {
        records.PROMOTED: f"{model} is promoted and answers instead of {former}{after}",
        records.ABORTED: f"{model} is not promoted and {former} goes on answering{after}",
        records.REVERTED: f"{former} is declared again: {model} ends before it is promoted{after}",
        records.WITHDRAWN: (
            f"{model}, promoted at {entry.get('at')}, is withdrawn: a model that was served before "
            "it is declared again"
        ),
        records.SUPERSEDED: (
            f"something else is declared: {model} ends before it is promoted{after}"
        ),
    }
    why = ": ".join(str(entry[name]) for name in ("reason", "message") if entry.get(name))
    message = messages[entry["outcome"]]
    return f"{message}: {why}" if why else message


def _identity(entry: Body) -> tuple[Any, ...]:
    """What tells entries apart; the outcome of one may change later."""
    names = ("version", "digest", "image", "startedAt", "at", "generation")
    return tuple(entry.get(name) for name in names)


def _named(model: Body) -> str:
    """A version with the beginning of its digest, as far as known."""
    version, digest = model.get("version", ""), model.get("digest", "")
    return f"{version} ({digest[:19]})" if digest else str(version)


def _numbers(told: Body) -> str:
    pairs = (told.get("evidence") or {}).get("pairs")
    return "" if pairs is None else f" after {pairs} pairs"


def _under_way(previous: Body, current: Body) -> Iterator[Explanation]:
    """By what is new in ``status.rollout``."""
    before, after = previous.get("rollout") or {}, current.get("rollout") or {}
    if not after or after.get("phase") == states.ABORTED:
        # The history tells of an abort, with its numbers.
        return
    stable, candidate = _named(after.get("stable") or {}), _named(after.get("candidate") or {})
    if before.get("id") != after.get("id"):
        never = "; it never answers" if after.get("phase") == states.OBSERVING else ""
        step = f"; step {after['step']}" if after.get("step") and not never else ""
        yield Explanation(
            reasons.ROLLOUT_STARTED,
            f"{candidate} is on trial beside {stable}, which answers{never}{step}",
        )
        return
    if before.get("policyDigest") != after.get("policyDigest"):
        yield Explanation(
            reasons.GATES_CHANGED,
            f"spec.rollout was changed while {candidate} is on trial: its digest is "
            f"{after.get('policyDigest')}, and was {before.get('policyDigest')}; what was counted "
            "stays",
        )
    if before.get("step") != after.get("step"):
        yield Explanation(
            reasons.STEP_REACHED,
            f"{candidate} beside {stable}: {after.get('step')} follows {before.get('step')}"
            f"{_numbers(after)}",
        )
