"""Recipes: how each model version is trained.

They do not change, a better one gets a new name; v2 was changed once, because it was wrong: far
from normal it took a racing heart for a good sign (decision 0019).
"""

from __future__ import annotations

from dataclasses import dataclass

from riskpredictor_server.training.features import Term


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a trained model, apart from a user's own records."""

    name: str
    summary: str
    seed: int
    acuity: float
    """Multiplies the share of synthetic patients who are not stable."""
    inverse_regularisation: float
    terms: tuple[Term, ...] | None
    """None: chosen from the records and what their schema declares (``design.py``)."""
    monotone: bool = False
    """Whether it is fitted under the constraint of the declared directions (``monotone.py``)."""


# Knots of v1 are the edges of NEWS2's normal bands (96.8 °F is 36.0 °C, 100.4 °F is 38.0 °C).
_NORMAL_BAND = (
    Term("heart_rate", "below", 51),
    Term("heart_rate", "above", 90),
    Term("blood_pressure", "below", 111),
    Term("blood_pressure", "above", 219),
    Term("temperature", "below", 96.8),
    Term("temperature", "above", 100.4),
    Term("oxygen_level", "below", 96),
)
# v2 adds the bands where NEWS2 gives 2 or 3 points, so the slope can change there. Of the heart
# rate that of 3 points: from 110 on alone, too few patients of 1000 have nothing else to tell a
# slope.
_SEVERE_BANDS = (
    Term("heart_rate", "above", 130),
    Term("blood_pressure", "below", 100),
    Term("temperature", "above", 102.2),
    Term("oxygen_level", "below", 93),
    Term("oxygen_level", "below", 92),
)

RECIPES = {
    "v1": Recipe(
        "v1", "general ward; one hinge per side of each normal band", 42, 1.0, 1.0, _NORMAL_BAND
    ),
    "v2": Recipe(
        "v2",
        "general ward, a third more acute patients; further hinges at the severe bands; monotone",
        43,
        1.33,
        3.0,
        _NORMAL_BAND + _SEVERE_BANDS,
        monotone=True,
    ),
}
DECLARED = Recipe(
    "declared",
    "terms by declared risk and quantiles; monotone where risk is declared",
    42,
    1.0,
    3.0,
    None,
    monotone=True,
)
"""The recipe of any schema file."""
DEFAULT_RECIPE = "v2"
"""The recipe of model versions that are not named like one."""
