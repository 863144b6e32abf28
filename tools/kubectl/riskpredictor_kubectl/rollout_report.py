"""The report of a change of the model, to be kept with a safety case: plain data, Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from riskpredictor_kubectl.comparison import from_matrix
from riskpredictor_kubectl.model_change import Change, Model

GATES: Final = {
    "Downgrade": "Share of the pairs to which {new} gives a lower level than {old}.",
    "SevereDowngrade": "Share of the pairs to which {old} gives the highest level, and {new} the "
    "lowest.",
    "MissedHigh": "Of the pairs to which {old} gives the highest level, the share to which {new} "
    "gives a lower one.",
    "Upgrade": "Share of the pairs to which {new} gives a higher level than {old}.",
    "ClassShift": "By how much the share of a level differs between {new} and {old}; of the level "
    "that differs most.",
    "CandidateErrors": "Requests that {new} failed to score, or not in time; {old} answered them.",
    "Calibration": "Brier score on the card of {new} less that on the card of {old}: how much "
    "worse its probabilities fit records that it was not trained on.",
    "Cases": "The hospital's own cases, each of which has a level that {new} must give it.",
}
"""What each gate of the operator asks."""

PAIR: Final = (
    "A pair is one distinct input that both models scored; a pod does not count the same input"
    " again."
)
MATRIX: Final = (
    "A row is the level that {old} gave, a column the level that {new} gave, by ascending risk. On "
    "the diagonal both agree: {same}. Left of it {new} gave a lower level: {lower}. Right of it a "
    "higher one: {higher}."
)
READING: Final = """\
- The measure is {old}, not the truth: a difference says that {new} decides otherwise, not which of
  the two is right.
- *Observed* is what was counted. *Bound* is what the true value is between, with the confidence
  that the policy asks for; it holds however often somebody looks. A gate has passed when all of the
  bound keeps the limit, and failed when none of it does; until then it is pending.
- *Policy* is the digest of the limits and steps as they were declared, which is `spec.rollout`
  without approval and retry: other limits have another digest.
- The digest of a model is the SHA-256 of its `card.json`, which lists the SHA-256 of each of its
  files.
- This report has counts only. Neither it nor what it was made from holds vital signs, answers about
  a patient, or keys by which a patient could be found."""


def document(predictor: tuple[str, str], change: Change) -> dict[str, Any]:
    """The report as ``-o json`` prints it.

    Args:
        predictor: namespace and name.
        change: under way, or ended.
    """
    namespace, name = predictor
    found = change.evidence
    return {
        "namespace": namespace,
        "name": name,
        "outcome": change.state,
        "step": change.step,
        "from": asdict(change.before),
        "to": asdict(change.after),
        "image": change.after.image,
        "policyDigest": change.policy_digest,
        "generation": change.generation,
        "manager": change.manager,
        "changeRef": change.change_ref,
        "approval": change.approval,
        "retry": change.retry,
        "startedAt": change.started,
        "endedAt": change.ended,
        "pairs": found.pairs,
        "levels": list(found.levels),
        "matrix": [list(row) for row in found.matrix],
        "answered": found.answered,
        "withheld": found.withheld,
        "errors": found.errors,
        "countedAt": found.at,
        "gates": [asdict(gate) for gate in change.gates],
        "cases": change.cases,
        "reason": change.reason,
        "message": change.message,
    }


def markdown(predictor: tuple[str, str], change: Change) -> str:
    """The report for people; see ``document``."""
    namespace, name = predictor
    old, new = change.before.version, change.after.version
    parts = [
        f"# Change of the model of {_safe(name)}: {_safe(old) or 'nothing'} to {_safe(new)}",
        _table(("", ""), [(key, value) for key, value in _facts(f"{namespace}/{name}", change)]),
        _safe(change.message),
        "## Gates",
        _gates(change),
        "## Evidence",
        _evidence(change),
        "## Reading it",
        READING.format(old=_safe(old) or "the former model", new=_safe(new)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _facts(name: str, change: Change) -> list[tuple[str, str]]:
    ended = change.ended
    by = _safe(", ".join(filter(None, (change.manager, change.change_ref)))) or "unknown"
    return [
        ("RiskPredictor", _safe(name)),
        ("Outcome", _safe(_outcome(change))),
        ("From", _model(change.before)),
        ("To", _model(change.after)),
        ("Began", change.started or "unknown"),
        ("Ended", ended or "it has not ended"),
        ("Declared by", f"{by}; generation {change.generation}"),
        ("Policy", _code(change.policy_digest) or "unknown"),
        ("Approval", _code(change.approval) or "none on record"),
        ("Hospital's cases", _code(change.cases) or "none"),
        ("Retry", _code(change.retry) or "the first attempt"),
    ]


def _outcome(change: Change) -> str:
    words = change.state if change.ended or change.state == change.step else change.step
    words += "" if change.ended else " (not ended)"
    return ": ".join(filter(None, (words, change.reason)))


def _model(model: Model) -> str:
    if not model.version:
        return "nothing: it was the first"
    digest = _code(model.digest) or "no digest on record (the model is in its image)"
    image = f", server image {_code(model.image)}" if model.image else ""
    return f"{_safe(model.version)}, {digest}{image}"


def _gates(change: Change) -> str:
    if not change.gates:
        return "No gate was evaluated."
    old, new = _safe(change.before.version), _safe(change.after.version)
    rows = [
        (_safe(gate.name), gate.state, *map(_safe, (gate.observed, gate.bound, gate.limit)),
         GATES.get(gate.name, "").format(old=old, new=new))
        for gate in change.gates
    ]  # fmt: skip
    return _table(("Gate", "State", "Observed", "Bound", "Limit", "What it is"), rows)


def _evidence(change: Change) -> str:
    found = change.evidence
    if not found.pairs:
        return "No pairs were counted."
    old, new = _safe(change.before.version), _safe(change.after.version)
    levels = [_safe(level) for level in found.levels]
    rows = [
        (f"**{level}**", *map(str, row)) for level, row in zip(levels, found.matrix, strict=True)
    ]
    agreed = from_matrix(found.levels, found.matrix)
    shares = [f"{count} ({100 * count / found.pairs:.2f} %)" for count in
              (agreed.same, agreed.downgraded or 0, agreed.upgraded or 0)]  # fmt: skip
    counts = [
        ("Answers", found.answered, f"Requests that {new} answered."),
        ("Held back", found.withheld, f"Answers of {new} that were lower: {old} answered instead."),
        (
            "Errors",
            found.errors,
            f"Requests that {new} failed to score, or not in time: {old} answered.",
        ),
    ]
    lines = [
        f"{found.pairs} pairs by {found.at}. {PAIR}",
        _table((f"{old} \\\\ {new}", *levels), rows),
        MATRIX.format(old=old, new=new, same=shares[0], lower=shares[1], higher=shares[2]),
        _table(("Count", "", "What it is"), [(name, str(n), what) for name, n, what in counts]),
    ]
    return "\n\n".join(lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    """A name as code; backticks in it would end it."""
    return f"`{_one_line(text).replace('`', '').replace('|', '')}`" if text else ""


def _safe(text: str) -> str:
    """Text of others, which must not be read as Markdown or HTML."""
    text = _one_line(text)
    for special in "\\`*_[]<>|#":
        text = text.replace(special, f"\\{special}")
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())
