"""Writes synthetic observations of a ward as CSV: seeded, plausible, labelled by a documented rule.

    python observations.py > records.csv

Where the figures come from
- Points: the whole chart of the National Early Warning Score 2 (Royal College of Physicians, 2017):
  respiration, oxygen saturation (scale 1), supplemental oxygen, systolic pressure, pulse,
  consciousness (ACVPU), temperature.
- Levels: its thresholds. High is 7 points or more, Medium 5 or 6, or 3 in a single parameter.
- Lactate: a point above 2 mmol/L, the limit of Sepsis-3 (Singer et al., JAMA 2016), and two above
  4, the limit of earlier sepsis bundles. Age: a point from 75 on. Both are this example's own rule,
  not NEWS2's, so that a model has something to learn from them. So is a non-negative random amount
  for what nobody measured, which makes probabilities mean something.
- Means and spreads of each clinical picture are rounded textbook values for adults. Lactate is
  measured mostly where somebody worries; its absence tells something.
- A patient has one to four observations, alike as those of one person are: name the column
  `patient` with --group. Temperatures are °C, as the column temperature_unit says.

A model trained on them demonstrates the software. It is not a medical device.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass

import numpy as np

HEADER = (
    "patient", "respiratory_rate", "oxygen_saturation", "supplemental_oxygen", "systolic_pressure",
    "pulse", "consciousness", "temperature", "temperature_unit", "age", "lactate", "risk_level",
)  # fmt: skip
ACVPU = ("Alert", "Confusion", "Voice", "Pain", "Unresponsive")

Span = tuple[float, float]


@dataclass(frozen=True)
class Picture:
    """A clinical picture: share of patients; mean and standard deviation of what is measured."""

    share: float
    respiratory_rate: Span
    oxygen_saturation: Span
    systolic_pressure: Span
    pulse: Span
    temperature: Span
    """°C."""
    lactate: Span
    """Of its natural logarithm, in mmol/L."""
    on_oxygen: float
    measured: float
    """Share of observations with lactate."""
    confused: float
    """Share that is not alert."""


PICTURES = (
    Picture(
        0.52, (15.5, 2), (97.4, 1.1), (126, 14), (75, 10), (36.8, 0.3), (0.0, 0.3), 0.03, 0.15, 0.01
    ),
    Picture(
        0.16, (19.5, 3), (95.6, 1.8), (118, 14), (93, 11), (38.4, 0.6), (0.3, 0.4), 0.12, 0.50, 0.04
    ),
    Picture(
        0.12, (26, 4), (90.5, 3.2), (129, 18), (104, 13), (37.4, 0.7), (0.4, 0.4), 0.65, 0.60, 0.10
    ),
    Picture(
        0.10, (24, 4), (93.0, 3.0), (89, 12), (117, 14), (38.3, 1.3), (1.2, 0.5), 0.50, 0.90, 0.25
    ),
    Picture(
        0.05, (11, 3), (94.5, 2.5), (112, 18), (62, 14), (36.2, 0.7), (0.3, 0.4), 0.20, 0.60, 0.65
    ),
    Picture(
        0.05, (16, 3), (96.0, 1.6), (205, 22), (88, 13), (36.8, 0.4), (0.1, 0.3), 0.05, 0.30, 0.08
    ),
)
"""Stable, febrile infection, respiratory failure, sepsis, reduced consciousness, hypertension."""

BANDS = {
    "respiratory_rate": ((8, 11, 20, 24), (3, 1, 0, 2, 3)),
    "oxygen_saturation": ((91, 93, 95), (3, 2, 1, 0)),
    "systolic_pressure": ((90, 100, 110, 219), (3, 2, 1, 0, 3)),
    "pulse": ((40, 50, 90, 110, 130), (3, 1, 0, 1, 2, 3)),
    "temperature": ((35.0, 36.0, 38.0, 39.0), (3, 1, 0, 1, 2)),
}
"""Per parameter the upper edges of the chart's bands, which belong to their band, and the points of
each band; the last band has no upper edge."""

Observation = dict[str, float | str | bool | None]


def points(observation: Observation) -> list[int]:
    """NEWS2 points of each of the seven parameters."""
    found = [
        scale[int(np.searchsorted(edges, float(observation[name] or 0)))]
        for name, (edges, scale) in BANDS.items()
    ]
    found.append(2 if observation["supplemental_oxygen"] else 0)
    found.append(0 if observation["consciousness"] == "Alert" else 3)
    return found


def level(observation: Observation, hidden: float) -> str:
    """Label an observation; ``hidden`` are points for what was not measured."""
    scored = points(observation)
    lactate = float(observation["lactate_known"] or 0)
    total = (
        sum(scored)
        + hidden
        + (lactate > 2)
        + (lactate > 4)
        + (float(observation["age"] or 0) >= 75)
    )
    if total >= 7:
        return "High"
    return "Medium" if total >= 5 or 3 in scored else "Low"


def observe(rng: np.random.Generator, picture: Picture, patient: dict[str, float]) -> Observation:
    """Draw one observation of a patient, whose deviations from the picture last."""

    def draw(name: str, low: float, high: float, digits: int = 0) -> float:
        mean, deviation = getattr(picture, name)
        value = mean + deviation * (0.8 * patient[name] + 0.6 * rng.normal())
        return float(np.round(np.clip(value, low, high), digits))

    observation: Observation = {
        "respiratory_rate": draw("respiratory_rate", 4, 70),
        "oxygen_saturation": draw("oxygen_saturation", 40, 100),
        "supplemental_oxygen": bool(rng.random() < picture.on_oxygen),
        "systolic_pressure": draw("systolic_pressure", 40, 300),
        "pulse": draw("pulse", 20, 300),
        "temperature": draw("temperature", 25, 45, 1),
        "age": patient["age"],
    }
    depth = 1 + min(int(rng.exponential(1.0)), 3)
    observation["consciousness"] = ACVPU[depth if rng.random() < picture.confused else 0]
    lactate = float(np.round(np.clip(np.exp(draw("lactate", -2, 3.3, 2)), 0.1, 30), 1))
    observation["lactate_known"] = lactate
    observation["lactate"] = lactate if rng.random() < picture.measured else None
    return observation


def generate(records: int, seed: int) -> list[Observation]:
    """Generate observations, each with ``patient`` and ``risk_level``."""
    rng = np.random.Generator(np.random.PCG64(seed))
    made: list[Observation] = []
    number = 0
    while len(made) < records:
        number += 1
        picture = PICTURES[rng.choice(len(PICTURES), p=[p.share for p in PICTURES])]
        names = [*BANDS, "lactate"]
        patient = dict(zip(names, rng.normal(size=len(names)).tolist(), strict=True))
        patient["age"] = float(np.round(np.clip(rng.normal(66, 16), 16, 104)))
        for _ in range(int(rng.integers(1, 5))):
            observation = observe(rng, picture, patient)
            hidden = float(rng.gamma(0.3 + 0.1 * sum(points(observation)), 0.4))
            observation["risk_level"] = level(observation, hidden)
            observation["patient"] = f"P{number:05d}"
            made.append(observation)
    return made[:records]


def cell(value: float | str | bool | None) -> str:
    """Write a value as a table has it: true and false, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:g}"


def main() -> None:
    """Write the file to standard output."""
    parser = argparse.ArgumentParser(description="Write synthetic observations of a ward as CSV.")
    parser.add_argument("--records", type=int, default=4000, help="rows (%(default)s)")
    parser.add_argument("--seed", type=int, default=12, help="(%(default)s)")
    args = parser.parse_args()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(HEADER)
    for observation in generate(args.records, args.seed):
        writer.writerow([cell({**observation, "temperature_unit": "C"}[name]) for name in HEADER])


if __name__ == "__main__":
    main()
