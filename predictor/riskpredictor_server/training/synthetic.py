"""Generates synthetic patients: seeded, clinically plausible, labelled by a documented rule.

Where the figures come from
- Resting adults: temperature 98.2 ± 0.7 °F (Mackowiak, Wasserman & Levine, JAMA 1992); the other
  means and spreads are rounded textbook values for adults at rest (60 to 100 bpm, 90 to 140 mmHg,
  SpO2 95 to 100 %).
- Fever and heart rate: about 10 bpm per °C, 5.5 bpm per °F (Liebermeister's rule).
- Shock: heart rate rises as pressure falls (the shock index, Allgöwer & Burri 1967).
- Labels: the NEWS2 points of the four vitals (Royal College of Physicians, National Early Warning
  Score 2, 2017; SpO2 scale 1). NEWS2 also scores respiration, consciousness and oxygen therapy,
  which this model does not see: a non-negative random amount that grows with how ill the patient
  is stands for them, so labels are not a function of the inputs and probabilities mean something.

A model trained on them demonstrates the software. It is not a medical device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from riskpredictor_server.model.vitals import VITALS

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEVER_BPM_PER_F = 5.5
"""Liebermeister's rule, converted from °C."""


@dataclass(frozen=True)
class State:
    """A clinical picture: mean and standard deviation of each vital (bpm, mmHg, °F, %)."""

    name: str
    share: float
    heart_rate: tuple[float, float]
    blood_pressure: tuple[float, float]
    temperature: tuple[float, float]
    oxygen_level: tuple[float, float]
    pressure_slope: float
    """Change of heart rate with systolic pressure, bpm per mmHg; negative in shock."""


STATES = (
    State("stable", 0.50, (75, 9), (124, 13), (98.2, 0.6), (97.6, 1.0), 0.0),
    State("feverish infection", 0.14, (84, 10), (118, 14), (101.2, 1.0), (95.4, 1.8), -0.1),
    State("respiratory failure", 0.12, (104, 14), (128, 18), (99.4, 1.2), (89.0, 3.5), 0.0),
    State("shock or sepsis", 0.12, (112, 14), (89, 12), (101.0, 2.4), (92.5, 3.2), -0.4),
    State("slow heart", 0.05, (43, 6), (108, 20), (97.6, 0.7), (96.0, 1.8), 0.0),
    State("hypothermia", 0.03, (54, 10), (100, 17), (93.6, 1.6), (94.0, 2.4), 0.0),
    State("hypertensive crisis", 0.04, (92, 13), (219, 13), (98.5, 0.6), (95.8, 1.8), 0.0),
)

NEWS2_BANDS = (
    ((40, 50, 90, 110, 130), (3, 1, 0, 1, 2, 3)),
    ((90, 100, 110, 219), (3, 2, 1, 0, 3)),
    ((95.0, 96.8, 100.4, 102.2), (3, 1, 0, 1, 2)),
    ((91, 93, 95), (3, 2, 1, 0)),
)
"""Per vital the upper edges of the RCP chart's bands (°C as °F), which belong to their band, and
the points of each band; the last band has no upper edge."""


def generate(records: int, seed: int, acuity: float = 1.0) -> tuple[NDArray[np.float64], list[str]]:
    """Generate vitals of shape (records, 4), in the order of VITALS, and their labels.

    ``acuity`` multiplies the share of patients who are not stable: a general ward is 1.0.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    shares = np.array([s.share * (1.0 if s.name == "stable" else acuity) for s in STATES])
    states = rng.choice(len(STATES), size=records, p=shares / shares.sum())
    vitals = np.array([_patient(rng, STATES[state]) for state in states])
    points = news2_points(vitals)
    hidden = rng.gamma(shape=0.35 + 0.3 * points.sum(axis=1), scale=0.3)
    return vitals, labels(points, hidden)


def _patient(rng: np.random.Generator, state: State) -> list[float]:
    temperature = rng.normal(*state.temperature)
    pressure = rng.normal(*state.blood_pressure)
    rate = rng.normal(*state.heart_rate)
    rate += FEVER_BPM_PER_F * (temperature - state.temperature[0])
    rate += state.pressure_slope * (pressure - state.blood_pressure[0])
    oxygen = rng.normal(*state.oxygen_level)
    raw = (rate, pressure, temperature, oxygen)
    return [
        float(np.round(np.clip(x, v.minimum, v.maximum), 1 if v.step < 1 else 0))
        for x, v in zip(raw, VITALS.features, strict=True)
    ]


def news2_points(vitals: NDArray[np.float64]) -> NDArray[np.int64]:
    """NEWS2 points of each vital, shape (n, 4), for vitals of the same shape."""
    columns = [
        np.take(points, np.searchsorted(upper_edges, column))
        for column, (upper_edges, points) in zip(vitals.T, NEWS2_BANDS, strict=True)
    ]
    return np.column_stack(columns)


def labels(points: NDArray[np.int64], hidden: NDArray[np.float64]) -> list[str]:
    """Label patients by NEWS2's response thresholds.

    ``points`` has shape (n, 4); ``hidden``, of shape (n,), stands for what NEWS2 scores beyond the
    four vitals.

    High: total (with the hidden part) of 5 or more, the urgent-response threshold. Medium: 3 or
    more, or one vital at 3 points (a "red score"). Low: all others.
    """
    total = points.sum(axis=1) + hidden
    red = (points == 3).any(axis=1)
    return [
        "High" if t >= 5 else "Medium" if t >= 3 or r else "Low"
        for t, r in zip(total, red, strict=True)
    ]
