"""With the default model every answer, error and page stays what it is."""

from __future__ import annotations

import math
from typing import Any

from unit.predictor.recorded import answers, on_file


def differences(now: Any, then: Any, path: str = "") -> list[str]:
    """Where two documents differ; numbers may by rounding."""
    if isinstance(now, dict) and isinstance(then, dict) and [*now] == [*then]:
        return [d for key in then for d in differences(now[key], then[key], f"{path}/{key}")]
    if isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        return [d for i, each in enumerate(then) for d in differences(now[i], each, f"{path}/{i}")]
    if (
        isinstance(now, float)
        and isinstance(then, float)
        and math.isclose(now, then, rel_tol=1e-12, abs_tol=1e-13)
    ):
        return []
    return [] if now == then else [f"{path}: {now!r} was {then!r}"]


def test_every_answer_is_what_it_was() -> None:
    """The order of fields too."""
    assert differences(answers(), on_file()) == []
