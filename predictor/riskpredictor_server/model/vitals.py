"""Declares the record of the demonstration: four vitals, and three levels.

It is what artifacts of format 1 predict from, which do not say so themselves, and the default of
training. Nothing else that serves knows these names.
"""

from __future__ import annotations

from typing import Any, Final

from riskpredictor_server.model.schema import Feature, Risk, Schema, Unit

VITALS: Final = Schema(
    (
        Feature(
            "heart_rate",
            title="Heart rate",
            unit="bpm",
            unit_label="bpm",
            minimum=20,
            maximum=300,
            step=1,
            description="Heart rate, beats per minute.",
            aliases=("hr", "pulse", "bpm"),
            risk=Risk(rises=True, band=(51, 90)),
        ),
        Feature(
            "blood_pressure",
            title="Blood pressure",
            unit="mmHg",
            unit_label="mmHg, systolic",
            minimum=40,
            maximum=300,
            step=1,
            description="Systolic blood pressure, millimetres of mercury.",
            aliases=("bp", "sbp", "sys", "systolic"),
            risk=Risk(rises=True, band=(111, 219)),
        ),
        Feature(
            "temperature",
            title="Temperature",
            unit="°F",
            unit_label="°F",
            minimum=77,
            maximum=113,
            description="Body temperature (°F).",
            units=(Unit("°C", 1.8, 32),),
            aliases=("temp",),
            risk=Risk(rises=True, band=(96.8, 100.4)),
        ),
        Feature(
            "oxygen_level",
            title="Oxygen level",
            unit="%",
            unit_label="% SpO₂",
            minimum=40,
            maximum=100,
            step=1,
            description="Peripheral oxygen saturation, SpO2, in percent.",
            aliases=("spo2", "sao2", "o2", "o2sat", "oxygen", "saturation"),
            risk=Risk(rises=False),
        ),
    ),
    title="Vital signs",
)


def _example(title: str, *values: float) -> dict[str, Any]:
    return {"title": title, "record": dict(zip(VITALS.names, values, strict=True))}


EXAMPLES: Final = (
    _example("Healthy adult", 85, 120, 98.6, 97),
    _example("Short of breath", 96, 122, 99.1, 92),
    _example("Fever", 104, 118, 102.4, 95),
    _example("Respiratory failure", 112, 128, 99.5, 86),
    _example("Septic shock", 130, 85, 103.5, 86),
)
"""Patients for the page and the API's description."""
