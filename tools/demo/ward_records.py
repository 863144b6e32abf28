"""Prints the records from which the demonstration's bad model is trained.

    python tools/demo/ward_records.py > records.csv

Synthetic patients of a ward with a habit of its own: it enters "High" from 7 points of NEWS2 on,
the threshold of an emergency, where v1 and v2 were taught 5, that of an urgent response. No figure
on the model's card tells: it comes from records with the same habit.
"""

from __future__ import annotations

import csv
import sys

from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.training.synthetic import generate, news2_points

RECORDS = 3000
SEED = 44
ACUITY = 1.33
EMERGENCY = 7
"""Points of NEWS2 (Royal College of Physicians, 2017)."""


def main() -> None:
    """Write CSV to standard output."""
    vitals, levels = generate(RECORDS, SEED, ACUITY)
    out = csv.writer(sys.stdout)
    out.writerow([*VITALS.names, "risk_level"])
    for values, level, points in zip(vitals, levels, news2_points(vitals), strict=True):
        entered = "Medium" if level == "High" and points.sum() < EMERGENCY else level
        out.writerow([*values.tolist(), entered])


if __name__ == "__main__":
    main()
