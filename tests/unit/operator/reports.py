"""What pods answer to ``GET /rollout``."""

from __future__ import annotations

import json
from typing import Any

from unit.operator.builders import Object

ROLLOUT_ID = "0123456789ab"
LEVELS = ("Low", "Medium", "High")
MATRIX = ((600, 4, 0), (3, 150, 2), (0, 1, 52))


def report(
    instance: str = "a1", *, rollout_id: str = ROLLOUT_ID, levels: tuple[str, ...] = LEVELS,
    matrix: tuple[tuple[int, ...], ...] = MATRIX, state: str = "Comparing", **more: Any,
) -> Object:  # fmt: skip
    """The report of a pod that compares v1 and v2."""
    return {
        "instance": instance,
        "id": rollout_id,
        "percent": 10.0,
        "sample": 100.0,
        "guard": "NeverLower",
        "levels": list(levels),
        "stable": {"version": "v1", "digest": "sha256:aa"},
        "candidate": {
            "version": "v2", "digest": "sha256:bb", "state": state, "reason": "", "message": "",
        },
        "pairs": sum(map(sum, matrix)),
        "matrix": [list(row) for row in matrix],
        "answers": {"stable": 700, "candidate": 90},
        "withheld": 3,
        "errors": {"raised": 1, "invalid": 2, "slow": 4},
        "cases": None,
        "brier": {"stable": 0.12, "candidate": None},
        **more,
    }  # fmt: skip


def bytes_of(document: Any) -> bytes:
    """A document as it is sent."""
    return json.dumps(document).encode()
