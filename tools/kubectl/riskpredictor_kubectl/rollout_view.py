"""What ``rollout status`` and ``rollout history`` show of the changes of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from riskpredictor_kubectl import model_change
from riskpredictor_kubectl.model_change import ABORTED, PROMOTING, Change, Model
from riskpredictor_kubectl.model_source import short
from riskpredictor_kubectl.names import Body, condition
from riskpredictor_kubectl.next_step import needs, what_follows
from riskpredictor_kubectl.output import age, align, facts, fold, right, table
from riskpredictor_kubectl.remedies import NOT_SEEN, is_current, readiness

NOW = "now"
"""In the list of changes: the one that is under way."""


def document(predictor: Body) -> dict[str, Any]:
    """All about the change of a model, as ``rollout status -o json`` prints it."""
    change, past = model_change.current(predictor), model_change.past(predictor)
    ready, reason, message = readiness(predictor)
    step = needs(change, predictor["spec"]) if change else None
    return {
        "namespace": predictor["metadata"]["namespace"],
        "name": predictor["metadata"]["name"],
        "serving": asdict(_serving(predictor)),
        "ready": ready,
        "reason": reason,
        "message": message,
        "rollout": asdict(change) if change else None,
        "needs": asdict(step) if step else None,
        "next": what_follows(change, predictor["spec"]) if change else "",
        "latest": asdict(past[0]) if past else None,
    }


def _serving(predictor: Body) -> Model:
    status = predictor.get("status") or {}
    digest = (status.get("model") or {}).get("digest", "")
    return Model(status.get("servingVersion", ""), digest, status.get("image", ""))


def text(predictor: Body) -> str:
    """The same for people."""
    change = model_change.current(predictor)
    seen = [] if is_current(predictor) else [fold(readiness(predictor)[2], "")]
    if change is None:
        return "\n\n".join([*seen, _idle(predictor)])
    sections = [
        *seen,
        facts(_facts(change, predictor)),
        matrix(change),
        _gates(change),
        _aborted(change, predictor) if change.state == ABORTED else _waiting(predictor),
    ]
    return "\n\n".join(filter(None, sections))


def _idle(predictor: Body) -> str:
    name, serving = predictor["metadata"]["name"], _serving(predictor)
    served = f"{named(serving)} is served" if serving.version else "nothing is served yet"
    lines = [fold(f"No roll-out of {name} is under way: {served}.", "")]
    policy = predictor["spec"].get("rollout") or {}
    if policy.get("strategy") != "Progressive":
        lines.append(
            fold(
                "Another model would replace it at once, without a comparison: "
                "spec.rollout.strategy is not Progressive.",
                "",
            )
        )
    past = model_change.past(predictor)
    return "\n".join(lines) + (f"\n\nLast on record:\n{history(past[:1])}" if past else "")


def _facts(change: Change, predictor: Body) -> list[tuple[str, str]]:
    spec = predictor["spec"]
    return [
        ("ROLLOUT", f"{predictor['metadata']['name']}, {change.id}, began {_ago(change.started)}"),
        ("STABLE", named(change.before)),
        ("CANDIDATE", named(change.after)),
        ("STEP", f"{change.step} for {age(change.step_started)}, since {change.step_started}"),
        ("ANSWERS", _answers(change)),
        ("PAIRS", _pairs(change, spec)),
        ("COUNTED", _counted(change)),
        ("NEXT", what_follows(change, spec)),
        ("DEADLINE", _deadline(change, spec)),
    ]


def _answers(change: Change) -> str:
    """Which model answers."""
    old, new = change.before.version, change.after.version
    if change.state == PROMOTING:
        return f"{old}, and {new} from each pod that is replaced"
    if change.percent:
        return f"{new} to {change.percent:g} % of the requests, {old} to the others"
    return old


def _ago(time: str) -> str:
    return f"{age(time)} ago" if time else "at an unknown time"


def named(model: Model) -> str:
    """A model for people: version and short digest."""
    return ", ".join(filter(None, (model.version or "?", short(model.digest))))


def _pairs(change: Change, spec: Body) -> str:
    step = needs(change, spec)
    if step is None:
        return str(change.evidence.pairs)
    said = f"{change.counted} of {step.pairs} in this step, which lasts at least {step.duration}"
    return said + (f"; {change.evidence.pairs} in all" if change.step_pairs else "")


def _counted(change: Change) -> str:
    found = change.evidence
    if not found.at:
        return "nothing yet"
    pods = f"{found.pods} pod{'' if found.pods == 1 else 's'}"
    said = f"{_ago(found.at)} in {pods}: the candidate made {found.errors} errors"
    if found.answered or found.withheld:
        said += f", answered {found.answered}; the guard held back {found.withheld} lower answers"
    return said


def _deadline(change: Change, spec: Body) -> str:
    if not change.deadline or change.state == PROMOTING or not change.is_running:
        return ""
    ends = (spec.get("rollout") or {}).get("onInconclusive") == "Abort"
    return f"{change.deadline}; then it {'is aborted' if ends else 'holds, and is Stalled'}"


def matrix(change: Change) -> str:
    """The agreement matrix; empty if there are no pairs."""
    found = change.evidence
    if not found.pairs:
        return ""
    corner = f"{change.before.version} \\ {change.after.version}"
    rows = [[level, *map(str, row)] for level, row in zip(found.levels, found.matrix, strict=True)]
    return align(right([[corner, *found.levels], *rows]))


def _gates(change: Change) -> str:
    if not change.gates:
        return ""
    rows = [
        (gate.name, gate.state, gate.observed or "-", gate.bound or "-", gate.limit or "-")
        for gate in change.gates
    ]
    return table(("GATE", "STATE", "OBSERVED", "BOUND", "LIMIT"), rows)


def _waiting(predictor: Body) -> str:
    """What it waits for: Ready says so, or CandidateAccepted where Ready is True."""
    status, reason, message = readiness(predictor)
    if reason == NOT_SEEN:
        return ""
    if status == "True":
        accepted = condition(predictor, "CandidateAccepted")
        if not accepted:
            return ""
        reason, message = accepted["reason"], accepted["message"]
    return f"Waiting: {reason}\n{fold(message, '  ')}"


def _aborted(change: Change, predictor: Body) -> str:
    """Why, and what to do about it."""
    old, new = change.before.version, change.after.version
    name, namespace = predictor["metadata"]["name"], predictor["metadata"]["namespace"]
    retry = f"now {change.retry!r}" if change.retry else "now empty"
    lines = [
        f"Aborted: {change.reason}",
        fold(change.message, "  "),
        "What to do:",
        fold(
            f"Put {old} back in Git, or declare another model. To try {new} again, put another "
            f"word into spec.rollout.retry ({retry}).",
            "  ",
        ),
        f"    kubectl riskpredictor rollout undo {name} -n {namespace}",
        f"    kubectl riskpredictor rollout report {name} -n {namespace}",
    ]
    return "\n".join(lines)


def history(changes: Sequence[Change], under_way: Change | None = None) -> str:
    """The changes, the latest first, with the number by which ``report`` takes one."""
    numbered = [(str(number), change) for number, change in enumerate(changes, 1)]
    if under_way:
        numbered = [(NOW, under_way), *numbered]
    rows = [
        (
            number,
            change.after.version,
            change.state if change.ended else change.step,
            age(change.ended or change.started),
            str(change.evidence.pairs) if change.evidence.at else "-",
            change.change_ref or "-",
            change.manager or "-",
            short(change.after.digest) or "-",
        )
        for number, change in numbered
    ]
    return table(("ENTRY", "MODEL", "OUTCOME", "AGE", "PAIRS", "CHANGE", "BY", "DIGEST"), rows)


WATCHED = ("CANDIDATE", "STEP", "SINCE", "PAIRS", "PASSED", "REASON")
"""Columns of a watch."""
_ROOM = (9, 17, 5, 10, 6)


def row(predictor: Body) -> tuple[str, ...]:
    """The cells of a watch."""
    change = model_change.current(predictor)
    _, reason, _ = readiness(predictor)
    if change is None:
        return ("-", "-", "-", "-", "-", reason)
    step = needs(change, predictor["spec"])
    pairs = f"{change.counted} of {step.pairs}" if step else str(change.evidence.pairs)
    since = age(change.step_started)
    return (change.after.version, change.step, since, pairs, _passed(change), reason)


def _passed(change: Change) -> str:
    """How many gates have passed, and whether one has failed."""
    states = [gate.state for gate in change.gates if gate.state != "NotApplicable"]
    failed = states.count("Failed")
    said = f"{states.count('Passed')} of {len(states)}"
    return f"{said}, {failed} failed" if failed else said if states else "-"


def watched(cells: Sequence[str]) -> str:
    """A line of a watch."""
    return align([cells], widths=_ROOM)
