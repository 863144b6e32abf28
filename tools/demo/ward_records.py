"""Prints the records from which the demonstration's bad model is trained.

    python tools/demo/ward_records.py > records.csv

Synthetic patients of three wards, with a fault that happens: ward A knows no "High", and enters
such patients as "Medium". The trainer cannot see it; the figures on the model's card come from
records with the same fault.
"""

from __future__ import annotations

import csv
import random
import sys

from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.training.synthetic import generate

RECORDS = 3000
SEED = 44
ACUITY = 1.33
WARDS = "ABC"


def main() -> None:
    """Write CSV to standard output."""
    vitals, levels = generate(RECORDS, SEED, ACUITY)
    chance = random.Random(SEED)
    out = csv.writer(sys.stdout)
    out.writerow([*VITALS.names, "risk_level", "ward"])
    for values, level in zip(vitals.tolist(), levels, strict=True):
        ward = chance.choice(WARDS)
        entered = "Medium" if (ward, level) == ("A", "High") else level
        out.writerow([*values, entered, ward])


if __name__ == "__main__":
    main()
