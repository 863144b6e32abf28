"""What is remembered of changes: ``status.aborted`` and ``status.history``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from riskpredictor_operator.core.change import state as states
from riskpredictor_operator.core.change.state import State, abort_key
from riskpredictor_operator.core.release import Release
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body

PROMOTED: Final = "Promoted"
WITHDRAWN: Final = "Withdrawn"
"""Promoted once, and taken back by a change to a model that was served before it."""
ABORTED: Final = "Aborted"
SUPERSEDED: Final = "Superseded"
"""Something else was declared before the change had ended: another model or retry word, or no
gates."""
REVERTED: Final = "Reverted"
"""The stable model was declared again before the change had ended."""

FIELDS: Final = ("rollout", "aborted", "history")
"""The fields of the status that hold it."""
MOST: Final = 10
"""Entries that are kept of each list."""


@dataclass(frozen=True, slots=True)
class Record:
    """The part of a status that is about changes of the model."""

    state: State | None = None
    aborted: tuple[Body, ...] = ()
    """The latest first."""
    history: tuple[Body, ...] = ()
    """The latest first."""

    def was_promoted(self, model: Release) -> bool:
        """Whether a model passed its gates here, and was not taken back since."""
        latest = next((e for e in self.history if _is_of(e, model) and _counts(e)), None)
        if latest is None or latest["outcome"] != PROMOTED:
            return False
        # Without a digest the image alone says which model it is.
        return bool(model.digest) or latest.get("image") == model.image

    def trials_of(self, model: Release) -> int:
        """How many changes to a model have ended here; not those that were aborted, which are tried
        again by another word alone."""
        return sum(_is_of(e, model) and e.get("outcome") != ABORTED for e in self.history)

    def is_newest(self, model: Release) -> bool:
        """Whether the model that was promoted last is this one."""
        promoted = (e for e in self.history if e.get("outcome") == PROMOTED)
        return _is_of(next(promoted, {}), model)

    def ended(self, outcome: str, state: State, rp: RiskPredictor, who: Who, now: str) -> Record:
        """The record after a change has ended, or was aborted."""
        entry = _entry(outcome, state, rp, who, now)
        history = self.history
        if outcome == PROMOTED:
            history = _withdrawn(history, state.candidate)
        record = replace(self, history=(entry, *history)[:MOST])
        if outcome == ABORTED:
            memory = _memory(state, rp.rollout.retry, now)
            others = [each for each in self.aborted if each.get("key") != memory["key"]]
            record = replace(record, aborted=(memory, *others)[:MOST])
        return record

    def served(self, model: Release, rp: RiskPredictor, who: Who, now: str) -> Record:
        """The record once a model is served that no change on record has brought."""
        entry = {
            **_who(rp, who),
            "version": model.version,
            **({"digest": model.digest} if model.digest else {}),
            "image": model.image,
            "outcome": PROMOTED,
            "at": now,
            "generation": rp.generation,
            "policyDigest": rp.rollout.digest,
        }
        return replace(self, history=(entry, *_withdrawn(self.history, model))[:MOST])

    def reason_of(self, key: str) -> tuple[str, str]:
        """Reason and message of a remembered abort; empty where only the Deployment knows it."""
        entry: Body = next((e for e in self.aborted if e.get("key") == key), {})
        return str(entry.get("reason", "")), str(entry.get("message", ""))


@dataclass(frozen=True, slots=True)
class Who:
    """Who asked for a change, as far as the API server knows."""

    manager: str = ""
    """Field manager of ``spec.modelVersion``, such as argocd-controller."""
    change_ref: str = ""
    """The annotation ``healthtech.dev/change-ref``."""


def read(status: Body) -> Record:
    """The record in a status. What is no entry is left out: a status can be edited."""
    return Record(
        states.from_document(status.get("rollout")),
        tuple(_entries(status.get("aborted"))),
        tuple(_entries(status.get("history"))),
    )


def to_fields(record: Record) -> dict[str, Any]:
    """The fields of the status; absent where there is nothing to tell."""
    fields: dict[str, Any] = {}
    if record.state:
        fields["rollout"] = states.to_document(record.state)
    if record.aborted:
        fields["aborted"] = [dict(each) for each in record.aborted]
    if record.history:
        fields["history"] = [dict(each) for each in record.history]
    return fields


def keys_of(aborted: Iterable[Body], elsewhere: Sequence[str]) -> tuple[str, ...]:
    """The keys of all remembered aborts, of the status and of the second witness."""
    own = [str(each["key"]) for each in aborted if "key" in each]
    return tuple(dict.fromkeys([*own, *elsewhere]))[:MOST]


def _entries(value: Any) -> list[Body]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _is_of(entry: Body, model: Release) -> bool:
    if entry.get("version") != model.version:
        return False
    return not model.digest or entry.get("digest") == model.digest


def _counts(entry: Body) -> bool:
    return entry.get("outcome") in (PROMOTED, WITHDRAWN)


def _withdrawn(history: Sequence[Body], model: Release) -> tuple[Body, ...]:
    """The history once a model is served again: what was promoted after it is withdrawn."""
    since = next((i for i, e in enumerate(history) if _is_of(e, model) and _counts(e)), 0)
    return tuple(
        {**entry, "outcome": WITHDRAWN}
        if index < since and entry.get("outcome") == PROMOTED
        else entry
        for index, entry in enumerate(history)
    )


def _who(rp: RiskPredictor, who: Who) -> dict[str, Any]:
    entry = {"manager": who.manager, "changeRef": who.change_ref, "retry": rp.rollout.retry}
    return {name: value for name, value in entry.items() if value}


def _entry(outcome: str, state: State, rp: RiskPredictor, who: Who, now: str) -> dict[str, Any]:
    """What stays on record of a change."""
    approved = rp.rollout.approval_digest
    return {
        **_who(rp, who),
        **_model(state),
        "outcome": outcome,
        "from": {
            "version": state.stable.version,
            **({"digest": state.stable.digest} if state.stable.digest else {}),
        },
        "startedAt": state.started_at,
        "at": now,
        "generation": state.generation,
        "policyDigest": state.policy_digest,
        **({"approval": approved} if approved and approved == state.digest else {}),
        **states.found(state),
        **({"reason": state.reason} if state.reason else {}),
        **({"message": state.message} if state.message else {}),
    }


def _memory(state: State, retry: str, now: str) -> dict[str, Any]:
    return {
        "key": abort_key(state.candidate, retry),
        **_model(state),
        "retry": retry,
        "reason": state.reason,
        "message": state.message,
        "at": now,
    }


def _model(state: State) -> dict[str, Any]:
    return {
        "version": state.candidate.version,
        **({"digest": state.digest} if state.digest else {}),
        "image": state.candidate.image,
    }
