"""What every model predicts from and to: the four vitals, their units and ranges, the levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RISK_LEVELS: Final = ("Low", "Medium", "High")

Values = tuple[float, float, float, float]
"""One patient's vitals in the order of ``VITALS``; temperature in °F."""


@dataclass(frozen=True)
class Vital:
    """One input. ``minimum`` and ``maximum`` bound what a living patient's monitor can show."""

    name: str
    title: str
    unit: str
    unit_label: str
    minimum: float
    maximum: float
    step: float
    description: str


VITALS: Final = (
    Vital("heart_rate", "Heart rate", "bpm", "bpm", 20, 300, 1, "Heart rate, beats per minute."),
    Vital(
        "blood_pressure",
        "Blood pressure",
        "mmHg",
        "mmHg, systolic",
        40,
        300,
        1,
        "Systolic blood pressure, millimetres of mercury.",
    ),
    Vital("temperature", "Temperature", "°F", "°F", 77, 113, 0.1, "Body temperature (°F)."),
    Vital(
        "oxygen_level",
        "Oxygen level",
        "%",
        "% SpO₂",
        40,
        100,
        1,
        "Peripheral oxygen saturation, SpO2, in percent.",
    ),
)
VITAL_NAMES: Final = tuple(vital.name for vital in VITALS)
