"""Limits how often a field of a child is restored that somebody else keeps changing.

A mutating webhook or another manager may overrule a field after every repair. Repairing for ever
would be a write war: a generation, a roll-out and new pods each time. So a field is restored a few
times at once, then after growing pauses; and the status says who overrules it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from riskpredictor_operator.core.api import ANNOTATION_HASH
from riskpredictor_operator.core.compare import Difference
from riskpredictor_operator.core.plan import Repair
from riskpredictor_operator.core.refusals import ADMISSION
from riskpredictor_operator.kube import Key, Resource

AT_ONCE = 5
"""Repairs of one field without a pause in between."""
PAUSE_SECONDS = (5.0, 300.0)
"""Bounds of the pause after that; it doubles with every further repair."""
PROBATION_SECONDS = 30.0
"""How long a field must stay as it was restored until it counts as overruled no more."""
FORGET_SECONDS = 600.0
"""When a repair is forgotten; longer than the longest pause, for the war would start anew."""


@dataclass
class Overruled:
    """A field that does not stay as the operator restores it."""

    resource: Resource
    difference: Difference
    """As it was found last."""
    by: str
    """Field manager or ADMISSION; empty as long as that was not looked up."""
    times: int
    """How often it was restored."""
    written: float
    """When it was restored last."""
    found: float = -PROBATION_SECONDS
    """When it was last found different although it could not be restored yet."""

    @property
    def due(self) -> float:
        """When it may be restored again."""
        least, most = PAUSE_SECONDS
        more = self.times - AT_ONCE
        return self.written + (min(most, least * 2.0**more) if more >= 0 else 0.0)


def _place(difference: Difference) -> str:
    """The path by which a field is counted: of items that must go, the list.

    Whoever adds another item each time would never reach the limit otherwise.
    """
    path = difference.path
    return re.sub(r"\[[^]]*\]$", "", path) if difference.wanted is None else path


@dataclass
class _Child:
    digest: str
    """Of the manifest: another one is another cause, which starts without a pause."""
    fields: dict[str, Overruled] = field(default_factory=dict)


@dataclass
class RepairLimiter:
    """Remembers the repairs of the last minutes, by child and field."""

    monotonic: Callable[[], float]
    _children: dict[tuple[Key, Resource], _Child] = field(default_factory=dict, init=False)

    def admit(self, key: Key, repair: Repair) -> bool:
        """Whether a child may be repaired now: one of its fields, at least, is in no pause."""
        fields, now = self._fields(key, repair), self.monotonic()
        paused = {_place(d): d for d in repair.restores if _place(d) in fields}
        paused = {path: d for path, d in paused.items() if now < fields[path].due}
        for path, difference in paused.items():
            fields[path].difference, fields[path].found = difference, now
        return len(paused) < len({_place(each) for each in repair.restores})

    def written(self, key: Key, repair: Repair, left: Iterable[Difference]) -> None:
        """Count a repair.

        Args:
            key: the RiskPredictor.
            repair: what was written.
            left: how the answer of the API server still differs from what is wanted.
        """
        fields, now = self._fields(key, repair), self.monotonic()
        overruled = {_place(difference): difference for difference in left}
        for path, difference in {**{_place(d): d for d in repair.restores}, **overruled}.items():
            known = fields.pop(path, None)
            times = 1 + (known.times if known is not None else 0)
            if path in overruled:
                # To try again at once would have the same answer.
                fields[path] = Overruled(
                    repair.resource, difference, ADMISSION, max(times, AT_ONCE), now, found=now
                )
            elif known is None or known.by != ADMISSION:
                # Right now the field is claimed by the operator itself: the name is kept.
                by, found = ("", -PROBATION_SECONDS) if known is None else (known.by, known.found)
                fields[path] = Overruled(repair.resource, difference, by, times, now, found)

    def overruled(self, key: Key) -> list[Overruled]:
        """The fields of a RiskPredictor's children that somebody keeps changing."""
        now = self.monotonic()
        return [
            each
            for (owner, _), child in self._children.items()
            if owner == key
            for each in child.fields.values()
            if now - each.found < PROBATION_SECONDS
        ]

    def forget(self, key: Key) -> None:
        """Forget a RiskPredictor that is gone."""
        for known in [known for known in self._children if known[0] == key]:
            del self._children[known]

    def _fields(self, key: Key, repair: Repair) -> dict[str, Overruled]:
        digest = repair.manifest["metadata"]["annotations"][ANNOTATION_HASH]
        child = self._children.get((key, repair.resource))
        if child is None or child.digest != digest:
            child = self._children[key, repair.resource] = _Child(digest)
        now = self.monotonic()
        for path in [p for p, f in child.fields.items() if now - f.written > FORGET_SECONDS]:
            del child.fields[path]
        return child.fields
