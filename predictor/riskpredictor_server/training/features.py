"""Turns records into terms that a linear model weighs: hinges of numbers, indicators of the rest.

Risk rises on both sides of a normal band, so a model that is linear in the raw vitals would be
wrong on one side. Models are linear in these hinge terms instead: ``max(0, at - x)`` (below) and
``max(0, x - at)`` (above).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["value", "above", "below", "equals", "missing"]


@dataclass(frozen=True)
class Term:
    """One column of a model: the value of ``feature``, a hinge at ``at``, or an indicator."""

    feature: str
    kind: Kind
    at: Any = None
    """The knot of a hinge, in the feature's unit, or the value that an indicator is about."""

    @property
    def name(self) -> str:
        """The term's name in model cards."""
        if self.kind == "value":
            return self.feature
        if self.kind == "missing":
            return f"{self.feature}_missing"
        shown = f"{self.at:g}" if self.kind in ("above", "below") else str(self.at).lower()
        return f"{self.feature}_{self.kind}_{shown}"

    @property
    def is_indicator(self) -> bool:
        """Whether it is 0 or 1."""
        return self.kind in ("equals", "missing")

    def factor(self, mean: float, scale: float) -> dict[str, Any]:
        """The term in scorer.json, standardised."""
        at: dict[str, Any] = {}
        if self.kind != "value":
            at = {self.kind: True if self.kind == "missing" else self.at}
        return {"feature": self.feature, **at, "mean": mean, "scale": scale}


def expand(
    rows: Any, terms: Sequence[Term], names: Sequence[str], fills: Mapping[str, Any]
) -> NDArray[Any]:
    """Compute the terms of records: shape (n, len(terms)).

    ``rows`` are n records with values in the order of ``names``; ``fills`` has what is taken for
    None. A step of the scikit-learn pipeline: model.joblib refers to it and to Term by module and
    name, so renaming either makes written ones unreadable.
    """
    import numpy as np

    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    expanded = []
    for term in terms:
        column = columns[term.feature]
        if term.kind == "missing":
            expanded.append(np.array([value is None for value in column], dtype=float))
            continue
        fill = fills.get(term.feature)
        filled = [fill if value is None else value for value in column]
        if term.kind == "equals":
            expanded.append(np.array([value == term.at for value in filled], dtype=float))
            continue
        x = np.array(filled, dtype=float)
        if term.kind == "value":
            expanded.append(x)
        else:
            expanded.append(np.maximum(term.at - x if term.kind == "below" else x - term.at, 0.0))
    return np.column_stack(expanded)
