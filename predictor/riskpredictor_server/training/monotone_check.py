"""Checks whether a model keeps to the declared direction of each feature's risk, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from riskpredictor_server.model.schema import Feature, Schema, Values, risk_text

Score = Callable[[Sequence[Values]], Sequence[Sequence[float]]]
"""Probabilities per record, in the order of the levels."""

BACKGROUNDS: Final = 40
"""Most rows of other values in which each feature is varied."""
_POINTS: Final = 121
"""Most values of a feature on its way."""
_TOLERANCE: Final = 1e-9


def check_monotone(
    score: Score, schema: Schema, rows: Sequence[Values]
) -> dict[str, dict[str, Any]]:
    """Walk each feature with a declared risk away from where it is normal, all else being equal.

    What is equal are the values of ``rows``, each from another record: what is found gets into the
    card, which is public, and a patient's record must not.
    Holds if P(level or higher) never falls on the way, for every level. Returns by feature
    ``declared``, ``holds`` and ``detail``: what was looked at, or the worst fall with its values.
    A grid proves nothing between its points: for a model that jumps there, "holds" means that no
    fall was found.
    """
    backgrounds = _mixed(rows)
    return {
        feature.name: _check(score, schema, feature, backgrounds)
        for feature in schema.features
        if feature.risk
    }


def _mixed(rows: Sequence[Values]) -> list[Values]:
    """Draw each feature's values by themselves, so that a row is nobody's."""
    rng = np.random.Generator(np.random.PCG64(0))
    columns = [
        [column[i] for i in rng.permutation(len(column))[:BACKGROUNDS]]
        for column in zip(*rows, strict=True)
    ]
    return list(zip(*columns, strict=True))


def _check(
    score: Score, schema: Schema, feature: Feature, backgrounds: Sequence[Values]
) -> dict[str, Any]:
    assert feature.risk  # noqa: S101 - the caller's condition
    at, worst, detail, values = schema.index(feature.name), _TOLERANCE, "", 0
    for walk in _walks(feature):
        values += len(walk)
        rows = [(*row[:at], x, *row[at + 1 :]) for row in backgrounds for x in walk]
        table = score(rows)
        for b, background in enumerate(backgrounds):
            for k in range(1, len(schema.levels)):
                reached = [sum(p[k:]) for p in table[b * len(walk) : (b + 1) * len(walk)]]
                fall, start, end = _worst_fall(reached)
                if fall > worst:
                    worst = fall
                    detail = (
                        f"P({schema.levels[k]}{' or higher' if k < len(schema.levels) - 1 else ''})"
                        f" falls from {reached[start]:.3f} to {reached[end]:.3f} as it goes from"
                        f" {_shown(walk[start])} to {_shown(walk[end])}"
                        f"{_others(schema, background, at)}"
                    )
    held = f"no fall among {values} values in {len(backgrounds)} records"
    return {"declared": risk_text(feature.risk), "holds": not detail, "detail": detail or held}


def _walks(feature: Feature) -> Iterator[list[Any]]:
    """Yield the ways on which risk must not fall: values in their order."""
    risk = feature.risk
    assert risk  # noqa: S101 - the caller's condition
    if not feature.is_numeric:
        yield list(feature.choices if risk.rises else reversed(feature.choices))
    elif risk.band:
        yield _grid(feature, risk.band[1], feature.maximum)
        yield _grid(feature, risk.band[0], feature.minimum)
    else:
        ends = (feature.minimum, feature.maximum)
        yield _grid(feature, *(ends if risk.rises else ends[::-1]))


def _grid(feature: Feature, start: float, end: float) -> list[float]:
    way = [start + (end - start) * i / (_POINTS - 1) for i in range(_POINTS)]
    if feature.type == "integer":
        # A band's edge need not be whole, but a record's value must.
        inside = (x for x in map(round, way) if min(start, end) <= x <= max(start, end))
        return list(dict.fromkeys(inside))
    return way if start != end else [start]


def _worst_fall(reached: Sequence[float]) -> tuple[float, int, int]:
    """The largest fall from an earlier to a later place, and both places."""
    top, worst = 0, (0.0, 0, 0)
    for i, value in enumerate(reached):
        if value > reached[top]:
            top = i
        worst = max(worst, (reached[top] - value, top, i))
    return worst


def _others(schema: Schema, background: Values, at: int) -> str:
    others = ", ".join(
        f"{name} {'left out' if value is None else _shown(value)}"
        for i, (name, value) in enumerate(zip(schema.names, background, strict=True))
        if i != at
    )
    return f", with {others}" if others else ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)
