"""Models that are meant to follow another one: good, too low, damaged, or of another kind.

All are the early-warning model of ``foreign_model`` with some weights or levels changed, and answer
their own golden cases, apart from the one that is made not to.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from riskpredictor_kubectl.loadgen import patients
from support import foreign_model

STABLE, GOOD, UNDER = "v1", "v2", "v2-under"
OTHER_LEVELS, WRONG_CASE, ONE_BYTE = "v2-other-levels", "v2-wrong-case", "v2-one-byte"
EXAMPLES: list[dict[str, Any]] = [
    {"title": "Stable on the ward", "record": dict(foreign_model.WELL)},
    {"title": "Deteriorating", "record": dict(foreign_model.ILL)},
]
WRONG = {"name": "well", "input": foreign_model.WELL, "probabilities": [0.25] * 4}
"""A golden case that none of the models answers."""


def write_all(folder: Path) -> dict[str, Path]:
    """Write every model into a folder of its version; returns them by version.

    Of 1,000 patients ``v2`` gives about 5 a higher level and none a lower one; ``v2-under`` gives
    some 95 a lower one. ``v2-one-byte`` has a scorer that its card does not know.
    """
    forms = {
        STABLE: foreign_model.FORM,
        GOOD: _highest_times(1.02),
        UNDER: _highest_times(0.6),
        OTHER_LEVELS: {**foreign_model.FORM, "levels": ["Green", "Yellow", "Orange", "Red"]},
        WRONG_CASE: foreign_model.FORM,
        ONE_BYTE: _highest_times(1.02),
    }
    for version, form in forms.items():
        more = {"golden_cases": [WRONG]} if version == WRONG_CASE else {}
        foreign_model.write_artifact(
            folder / version, foreign_model.FEATURES, form, version, EXAMPLES, **more
        )
    change_a_byte(folder / ONE_BYTE / "scorer.json")
    return {version: folder / version for version in forms}


def change_a_byte(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def distinct_patients(model: Path, count: int) -> list[dict[str, Any]]:
    """Make up so many different records, distributed as in the card of a model."""
    card = json.loads((model / "card.json").read_bytes())
    made = dict.fromkeys(patients(card, seed=1, count=count + count // 4))
    assert len(made) >= count
    return [json.loads(body) for body in list(made)[:count]]


def _highest_times(factor: float) -> Mapping[str, Any]:
    """The form with other weights of the highest level."""
    form = copy.deepcopy(foreign_model.FORM)
    for term in form["terms"]:
        term["weights"][-1] = round(term["weights"][-1] * factor, 6)
    return form
