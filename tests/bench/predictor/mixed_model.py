"""Makes a model of twenty features: numbers, integers, booleans, categories, some optional."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from support import foreign_model

LEVELS = ("Low", "Medium", "High")
_TYPES = ("number", "number", "integer", "boolean", "category")
_VALUES = ("a", "b", "c", "d")


def write(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write the artifact; return its folder and a record."""
    chance = random.Random(1)
    features: list[dict[str, Any]] = []
    terms: list[dict[str, Any]] = []
    record: dict[str, Any] = {}
    for number in range(20):
        name, kind = f"feature_{number}", _TYPES[number % len(_TYPES)]
        feature = {"name": name, "type": kind, "required": number % 7 != 6, **_statistics(kind)}
        if not feature["required"]:
            feature |= {"left_out": 0.1, "fill": _of(kind, 100.0, False, "a")}
        features.append(feature)
        record[name] = _of(kind, chance.choice((70, 90, 100, 110, 130)), True, "b")
        terms += [
            {"factors": [{"feature": name, **factor}], "weights": _weights(chance)}
            for factor in _factors(kind)
        ]
    form = {
        "format": "riskpredictor-scorer/2",
        "levels": list(LEVELS),
        "intercepts": [0.0, 0.0, 0.0],
        "fills": {f["name"]: f["fill"] for f in features if not f["required"]},
        "terms": terms,
    }
    examples = [{"title": "Example", "record": record}]
    return foreign_model.write_artifact(folder, features, form, "mixed", examples), record


def _of(kind: str, number: Any, boolean: Any, category: Any) -> Any:
    return {"boolean": boolean, "category": category}.get(kind, number)


def _weights(chance: random.Random) -> list[float]:
    return [chance.uniform(-1, 1) for _ in LEVELS]


def _factors(kind: str) -> list[dict[str, Any]]:
    hinges = [
        {side: knot, "mean": 1.0, "scale": 10.0} for side, knot in (("above", 120), ("below", 80))
    ]
    values = [{"equals": value, "mean": 0.25, "scale": 0.4} for value in _VALUES]
    found: list[dict[str, Any]] = _of(kind, hinges, [{"equals": True, "mean": 0.3}], values)
    return found


def _statistics(kind: str) -> dict[str, Any]:
    if kind in ("number", "integer"):
        edges = [20 * edge for edge in range(1, 10)]
        return {
            "unit": "u", "minimum": 0, "maximum": 200, "step": 1,
            "trained_on": {"minimum": 0, "maximum": 200},
            "mean": 100.0, "standard_deviation": 30.0,
            "baseline": {"edges": edges, "shares": [0.1] * 10},
        }  # fmt: skip
    values: list[Any] = [False, True] if kind == "boolean" else list(_VALUES)
    shares = [1 / len(values)] * len(values)
    declared = {} if kind == "boolean" else {"values": values}
    return {
        **declared,
        "trained_on": {"values": values},
        "baseline": {"values": values, "shares": shares},
    }
