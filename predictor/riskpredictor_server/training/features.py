"""Turns vitals into model features: how far a vital lies below or above a clinical band.

Risk rises on both sides of a normal band, so a model that is linear in the raw vitals would be
wrong on one side. Models are linear in these hinge terms instead: ``max(0, knot - x)`` (below) and
``max(0, x - knot)`` (above).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from riskpredictor_server.model.vitals import VITALS

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Term:
    """One feature: how far ``vital`` lies on ``side`` of ``knot``, in the vital's unit."""

    vital: str
    side: Literal["below", "above"]
    knot: float

    @property
    def name(self) -> str:
        """The term's name in model cards."""
        return f"{self.vital}_{self.side}_{self.knot:g}"


def expand(vitals: Any, terms: Sequence[Term]) -> NDArray[Any]:
    """Compute features of shape (n, len(terms)) from vitals of shape (n, 4), as in VITALS.

    The first step of the scikit-learn pipeline. model.joblib refers to it and to Term by module
    and name: renaming either makes written ones unreadable and changes the digests of new ones.
    """
    import numpy as np

    table = np.asarray(vitals, dtype=float)
    columns = []
    for term in terms:
        x = table[:, VITALS.index(term.vital)]
        distance = term.knot - x if term.side == "below" else x - term.knot
        columns.append(np.maximum(distance, 0.0))
    return np.column_stack(columns)
