"""A RiskPredictor for people: tree, conditions in words, why it is not ready, last Events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from riskpredictor_kubectl.advice import Finding, findings
from riskpredictor_kubectl.facts import Node, Summary, tree
from riskpredictor_kubectl.family import Family, event_time
from riskpredictor_kubectl.names import Body
from riskpredictor_kubectl.text import GAP, NONE, age, align, columns, fold, table

NARROW = 40
"""With less room than this a message does not stand beside the rest."""

_WORDS = {
    ("Ready", "False"): "what is declared is not what runs; see below",
    ("Autoscaling", "False"): "the number of pods does not follow the load; see below",
    ("Stalled", "True"): "nothing will change until somebody acts",
    ("Reconciling", "True"): "the operator is at work on it",
}
"""Where the operator says what stands below in full."""


ROOM = {"READY": 7, "REASON": 18, "SERVING": 9, "CPU": 14}
"""Widths of what changes, for most values that come."""


class Overview:
    """A row for each RiskPredictor; those that come later stay under the headings of the first."""

    def __init__(self, *, namespaces: bool, wide: bool) -> None:
        self._namespaces, self._wide = namespaces, wide
        self._widths: list[int] = []

    def table(self, rows: Sequence[Summary], *, room: bool = False) -> str:
        """Headings and rows; with room for what later rows may say."""
        header = ["NAME", "READY", "REASON", "MODEL", "SERVING", "PODS", "CPU", "AGE"]
        header = [*(["NAMESPACE"] if self._namespaces else []), *header]
        header += ["SCALING", "URL", "IMAGE"] if self._wide else []
        cells = [self._cells(row) for row in rows]
        lines = [header, *cells]
        self._widths = [
            max(ROOM.get(column[0], 0) * room, *map(len, column))
            for column in zip(*lines, strict=True)
        ]
        return align(lines, widths=self._widths)

    def row(self, row: Summary) -> str:
        """One more."""
        return align([self._cells(row)], widths=self._widths)

    def _cells(self, r: Summary) -> list[str]:
        cells = [r.name, r.ready, r.reason, r.model, r.serving, r.pods, r.cpu, age(r.created)]
        cells = [*([r.namespace] if self._namespaces else []), *cells]
        return [cell or NONE for cell in cells + ([r.scaling, r.url, r.image] * self._wide)]


def describe(family: Family, last_events: int) -> str:
    """The whole text."""
    sections = [_tree(tree(family)), _conditions(family)]
    sections += map(_finding, findings(family.predictor))
    sections.append(_events(family, last_events) if last_events else "")
    return "\n\n".join(filter(None, sections))


def _tree(root: Node) -> str:
    rows = []
    for branch, node in [("", root), *_branches(root)]:
        label = f"{branch}{node.kind}/{node.name}"
        born = age(node.created) if node.created else "-"
        rows.append((label, node.ready or "-", node.status, born, node.detail or "-"))
    return table(("NAME", "READY", "STATUS", "AGE", "DETAIL"), rows)


def _branches(node: Node, stem: str = "") -> Iterator[tuple[str, Node]]:
    """Each node below, with the lines that lead to it."""
    for child in node.children:
        last = child is node.children[-1]
        yield stem + ("└─" if last else "├─"), child
        yield from _branches(child, stem + ("  " if last else "│ "))


def _conditions(family: Family) -> str:
    conditions = (family.predictor.get("status") or {}).get("conditions") or ()
    rows = [
        (
            c["type"], c["status"], c["reason"], age(c["lastTransitionTime"]),
            c["message"] if c["reason"] == "FixedSize"
            else _WORDS.get((c["type"], c["status"]), c["message"]),
        )
        for c in conditions
    ]  # fmt: skip
    if not rows:
        return ""
    return _folded(("CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"), rows)


def _events(family: Family, last: int) -> str:
    rows = [
        (
            age(event_time(e)), e.get("type", ""), e.get("reason", ""),
            _short(e["involvedObject"], family.name), e.get("message") or "-",
        )
        for e in family.events[:last]
    ]  # fmt: skip
    if not rows:
        return "No Events."
    return _folded(("EVENT", "TYPE", "REASON", "OBJECT", "MESSAGE"), rows)


def _short(about: Body, name: str) -> str:
    """Kind and the end of the name: all begin with the RiskPredictor's."""
    kind = str(about.get("kind", ""))
    kind = "HPA" if kind == "HorizontalPodAutoscaler" else kind
    end = str(about.get("name", "")).removeprefix(name).rpartition("-")[2]
    return f"{kind}/{end}" if end else kind


def _folded(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose last column is folded below its heading, or has lines of its own."""
    front = align([header[:-1], *(row[:-1] for row in rows)]).splitlines()
    width = max(map(len, front)) + len(GAP)
    if columns() - width < NARROW:
        texts = ["", *(f"\n{fold(row[-1], '    ')}" for row in rows)]
        return "\n".join(line + text for line, text in zip(front, texts, strict=True))
    return "\n".join(
        fold(text, line.ljust(width), " " * width)
        for line, text in zip(front, [header[-1], *(row[-1] for row in rows)], strict=True)
    )


def _finding(finding: Finding) -> str:
    lines = [f"{finding.title}: {finding.reason}"]
    if finding.meaning and finding.meaning != finding.message:
        lines.append(fold(finding.meaning, "  "))
    lines.append(fold(finding.message, "  "))
    if finding.steps:
        lines += ["What to do:", *(fold(step, "  ") for step in finding.steps)]
    # Never folded: a command is to be copied.
    lines += [f"    {command}" for command in finding.commands]
    return "\n".join(lines)
