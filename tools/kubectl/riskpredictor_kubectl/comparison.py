"""Compares two models: what their cards say, and what they answer about the same records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import eq, gt, lt
from typing import Any

from riskpredictor_kubectl import declaration

Card = Mapping[str, Any]
OF_A_LEVEL = ("precision", "recall", "f1")
"""Figures that a card has for each level."""


@dataclass(frozen=True)
class Agreement:
    """Levels of two models about the same records."""

    records: int
    counts: Mapping[tuple[str, str], int]
    """How many records the first model gives one level, and the second the other."""
    same: int
    upgraded: int | None
    """How many the second model finds at a higher risk; None if the models have other levels."""
    downgraded: int | None


def agreement(levels: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Agreement:
    """Compare the levels of two models about the same records.

    Args:
        levels: of both, in ascending order of risk; empty if they have different ones.
        first: the levels of the first model, one for each record.
        second: those of the second.
    """
    counts = Counter(zip(first, second, strict=True))
    same = sum(count for (a, b), count in counts.items() if a == b)
    up = down = None
    if levels:
        rank = {level: index for index, level in enumerate(levels)}
        up = sum(count for (a, b), count in counts.items() if rank[b] > rank[a])
        down = len(first) - same - up
    return Agreement(len(first), counts, same, up, down)


def from_matrix(levels: Sequence[str], matrix: Sequence[Sequence[int]]) -> Agreement:
    """The agreement that pods have counted.

    Args:
        levels: of both models, in ascending order of risk.
        matrix: records by the level of the first model (rows) and of the second (columns).
    """
    counts = {
        (a, b): count
        for a, row in zip(levels, matrix, strict=True)
        for b, count in zip(levels, row, strict=True)
    }
    places = [(i, j, n) for i, row in enumerate(matrix) for j, n in enumerate(row)]
    same, up, down = (sum(n for i, j, n in places if fits(i, j)) for fits in (eq, lt, gt))
    return Agreement(same + up + down, counts, same, up, down)


def figures(card: Card) -> dict[str, float]:
    """The figures of a card that are numbers, by name; those of a level with the level."""
    metrics = card.get("metrics") or {}
    found = {name: value for name, value in metrics.items() if type(value) in (int, float)}
    for name, value in (metrics.get("calibration") or {}).items():
        found |= {f"calibration_{name}": value} if type(value) in (int, float) else {}
    classes = metrics.get("per_class") or {}
    for level in declaration.read(card).levels:
        row = classes.get(level) or {}
        found |= {f"{name} of {level}": row[name] for name in OF_A_LEVEL if name in row}
    return found


def interval(card: Card, figure: str) -> tuple[float, float] | None:
    """The 95 % interval of a figure, if the card has one."""
    intervals = (card.get("metrics") or {}).get("intervals") or {}
    name, _, level = figure.partition(" of ")
    found = intervals.get(name)
    if level:
        found = (found or {}).get(level)
    return (found[0], found[1]) if isinstance(found, list) and len(found) == 2 else None
