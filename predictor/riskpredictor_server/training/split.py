"""Splits records into those that are fitted and those that only evaluate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from riskpredictor_server.model.schema import Values
from riskpredictor_server.training.csv_file import RecordsError
from riskpredictor_server.training.dataset import Dataset

HELD_OUT: Final = 0.25
FOLDS: Final = 5
MIN_GROUPS: Final = 20
"""Fewest groups that can be split: fewer leave five on the side that evaluates."""


@dataclass(frozen=True)
class Part:
    """One side of a split."""

    rows: list[Values]
    labels: list[str]
    groups: list[str] | None


def split(
    rows: Sequence[Values], labels: Sequence[str], groups: Sequence[str] | None, seed: int
) -> tuple[Part, Part]:
    """Return three quarters to fit and a quarter to evaluate, with the levels' shares kept.

    With ``groups`` no group is on both sides, and the shares are kept as far as that goes. Raises
    RecordsError where groups are too few, or leave a side without a level.
    """
    everything = np.arange(len(labels))
    if groups is None:
        sides = train_test_split(everything, test_size=HELD_OUT, stratify=labels, random_state=seed)
    else:
        count = len(set(groups))
        if count < MIN_GROUPS:
            raise RecordsError(
                f"{count} groups: at least {MIN_GROUPS} are needed; is it the right column?"
            )
        folds = StratifiedGroupKFold(round(1 / HELD_OUT), shuffle=True, random_state=seed)
        sides = next(folds.split(everything, labels, groups))
    known, unseen = (_part(rows, labels, groups, side) for side in sides)
    for name, part in (("fitted", known), ("evaluated", unseen)):
        absent = sorted(set(labels) - set(part.labels))
        if absent:
            raise RecordsError(
                f"no record of {', '.join(absent)} among those that are {name}: too few groups have"
                " any; bring records of more groups, or another --seed"
            )
    return known, unseen


def folds_of(part: Part, seed: int) -> Iterator[tuple[Part, Part]]:
    """Yield the folds of a cross-validation, groups kept together."""
    if part.groups is None:
        folds: Any = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    else:
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for sides in folds.split(np.zeros(len(part.labels)), part.labels, part.groups):
        known, unseen = (_part(part.rows, part.labels, part.groups, side) for side in sides)
        yield known, unseen


def _part(
    rows: Sequence[Values], labels: Sequence[str], groups: Sequence[str] | None, side: Any
) -> Part:
    picked = side.tolist()
    return Part(
        [rows[i] for i in picked],
        [labels[i] for i in picked],
        None if groups is None else [groups[i] for i in picked],
    )


def duplicates(rows: Sequence[Values], labels: Sequence[str]) -> tuple[int, int]:
    """Count records that repeat another, and records whose equals in values differ in level."""
    whole = Counter(zip(rows, labels, strict=True))
    levels_of: dict[Values, int] = Counter(values for values, _ in whole)
    conflicting = sum(count for (values, _), count in whole.items() if levels_of[values] > 1)
    return len(rows) - len(whole), conflicting


def doubts(repeated: int, conflicting: int) -> list[str]:
    """Say what :func:`duplicates` counted."""
    doubts = []
    if repeated:
        doubts.append(
            f"{repeated} records repeat another, level included; if a patient has several, name the"
            " column that says whose they are with --group"
        )
    if conflicting:
        doubts.append(f"{conflicting} records have the same values as others of another level")
    return doubts


def about(data: Dataset, repeated: int, conflicting: int) -> dict[str, int]:
    """What the card says of the records besides how many they are."""
    groups = {"groups": len(set(data.groups))} if data.groups else {}
    return {"repeated": repeated, "conflicting": conflicting, **groups}


def shared(known: Part, unseen: Part) -> int:
    """Count the evaluated records whose very values were fitted."""
    seen = set(known.rows)
    return sum(values in seen for values in unseen.rows)
