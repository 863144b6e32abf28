"""The text of ``status``: tree, conditions, why it is not ready, last Events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from riskpredictor_kubectl import model_change
from riskpredictor_kubectl.model_change import ABORTED, PROMOTING
from riskpredictor_kubectl.model_source import short
from riskpredictor_kubectl.output import NONE, age, align, fold, folded_table, table
from riskpredictor_kubectl.remedies import Finding, findings
from riskpredictor_kubectl.resources import Resources
from riskpredictor_kubectl.view import Node, Summary, event, tree

_SHORT_MESSAGES = {
    ("Ready", "False"): "what is declared is not what runs; see below",
    ("Autoscaling", "False"): "the number of pods does not follow the load; see below",
    ("Stalled", "True"): "nothing will change until somebody acts",
    ("Reconciling", "True"): "the operator is at work on it",
}
"""In place of the operator's message where a finding below repeats it."""

ROOM = {"READY": 7, "REASON": 18, "SERVING": 9, "CANDIDATE": 9, "STEP": 17, "CPU": 14}
"""Widths of the columns that change in a watch."""


class Overview:
    """A table with a row for each RiskPredictor, to which a watch adds aligned rows."""

    def __init__(self, *, namespaces: bool, wide: bool) -> None:
        self._namespaces, self._wide = namespaces, wide
        self._changes = False
        self._widths: list[int] = []

    def table(self, rows: Sequence[Summary], *, room: bool = False) -> str:
        """Headings and rows; with ``room`` for longer values in later rows."""
        # Only of those who compare models, or may while it is watched.
        self._changes = any(row.progressive or row.step for row in rows)
        trial = ["CANDIDATE", "STEP"] if self._changes else []
        header = ["NAME", "READY", "REASON", "MODEL", "SERVING", *trial, "PODS", "CPU", "AGE"]
        header = [*(["NAMESPACE"] if self._namespaces else []), *header]
        header += ["DIGEST", "SCALING", "URL", "IMAGE"] if self._wide else []
        cells = [self._cells(row) for row in rows]
        lines = [header, *cells]
        self._widths = [
            max(ROOM.get(column[0], 0) * room, *map(len, column))
            for column in zip(*lines, strict=True)
        ]
        return align(lines, widths=self._widths)

    def row(self, row: Summary) -> str:
        """A later row."""
        return align([self._cells(row)], widths=self._widths)

    def _cells(self, r: Summary) -> list[str]:
        cells = [
            r.name,
            r.ready,
            r.reason,
            r.model,
            r.serving,
            *([r.candidate, r.step] if self._changes else []),
            r.ready_of_wanted,
            r.cpu,
            age(r.created),
        ]
        cells = [*([r.namespace] if self._namespaces else []), *cells]
        cells += [short(r.digest), r.scaling, r.url, r.image] if self._wide else []
        return [cell or NONE for cell in cells]


def describe(resources: Resources, last_events: int) -> str:
    """The whole text, with so many Events."""
    sections = [_tree(tree(resources)), _change(resources), _conditions(resources)]
    sections += map(_finding, findings(resources.predictor))
    sections.append(_events(resources, last_events) if last_events else "")
    return "\n\n".join(filter(None, sections))


def _tree(root: Node) -> str:
    rows = []
    for branch, node in [("", root), *_branches(root)]:
        label = f"{branch}{node.kind}/{node.name}"
        born = age(node.created) if node.created else "-"
        rows.append((label, node.ready or "-", node.status, born, node.detail or "-"))
    return table(("NAME", "READY", "STATUS", "AGE", "DETAIL"), rows)


def _branches(node: Node, stem: str = "") -> Iterator[tuple[str, Node]]:
    """Each node below, with the branch to draw before it."""
    for child in node.children:
        last = child is node.children[-1]
        yield stem + ("└─" if last else "├─"), child
        yield from _branches(child, stem + ("  " if last else "│ "))


def _change(resources: Resources) -> str:
    """How far a change of the model is."""
    change = model_change.current(resources.predictor)
    if change is None:
        return ""
    models = f"{change.after.version} on trial beside {change.before.version}"
    said = f"{models}: {change.step} for {age(change.step_started)}, {change.evidence.pairs} pairs"
    if change.state == ABORTED:
        said = f"{change.after.version} was aborted {age(change.step_started)} ago"
    elif change.state == PROMOTING:
        said = f"{change.after.version} takes the place of {change.before.version}"
    where = f"{resources.name} -n {resources.predictor['metadata']['namespace']}"
    return f"Roll-out: {said}\n    kubectl riskpredictor rollout status {where}"


def _conditions(resources: Resources) -> str:
    conditions = (resources.predictor.get("status") or {}).get("conditions") or ()
    rows = [
        (
            c["type"], c["status"], c["reason"], age(c["lastTransitionTime"]),
            c["message"] if c["reason"] == "FixedSize"
            else _SHORT_MESSAGES.get((c["type"], c["status"]), c["message"]),
        )
        for c in conditions
    ]  # fmt: skip
    if not rows:
        return ""
    return folded_table(("CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"), rows)


def _events(resources: Resources, last: int) -> str:
    rows = [
        (age(e.time), e.type, e.reason, _short(e.object, resources.name), e.message or "-")
        for e in map(event, resources.events[:last])
    ]
    if not rows:
        return "No Events."
    return folded_table(("EVENT", "TYPE", "REASON", "OBJECT", "MESSAGE"), rows)


def _short(about: str, name: str) -> str:
    """Kind and end of an object's name, which begins with the RiskPredictor's."""
    kind, _, end = about.partition("/")
    kind = "HPA" if kind == "HorizontalPodAutoscaler" else kind
    end = end.removeprefix(name).rpartition("-")[2]
    return f"{kind}/{end}" if end else kind


def _finding(finding: Finding) -> str:
    lines = [f"{finding.title}: {finding.reason}"]
    if finding.meaning and finding.meaning != finding.message:
        lines.append(fold(finding.meaning, "  "))
    lines.append(fold(finding.message, "  "))
    if finding.steps:
        lines += ["What to do:", *(fold(step, "  ") for step in finding.steps)]
    # Commands are copied, so they are never folded.
    lines += [f"    {command}" for command in finding.commands]
    return "\n".join(lines)
