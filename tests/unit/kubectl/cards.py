"""Model cards as predictors answer them at ``GET /model``."""

from __future__ import annotations

import json
from typing import Any

from riskpredictor_kubectl.declaration import read
from support.cluster import ROOT

Card = dict[str, Any]

OLD: Card = json.loads((ROOT / "tests/unit/predictor/format1/card.json").read_text())
"""Of format 1: the four vitals."""

WARD: Card = {
    "format": "riskpredictor-artifact/2",
    "model_version": "w7",
    "levels": ["Stable", "Watch", "Act now", "Call"],
    "features": [
        {"name": "respiratory_rate", "type": "integer", "title": "Respiratory rate",
         "unit": "breaths/min", "minimum": 4, "maximum": 70, "step": 1, "required": True,
         "trained_on": {"minimum": 6, "maximum": 41},
         "baseline": {"edges": [12, 16], "shares": [0.2, 0.5, 0.3]}},
        {"name": "glucose", "type": "number", "title": "Glucose", "unit": "mmol/L",
         "units": {"mg/dL": {"scale": 0.0555, "offset": 0}}, "minimum": 1, "maximum": 60,
         "step": 0.5, "required": True, "trained_on": {"minimum": 2.1, "maximum": 31.4},
         "baseline": {"edges": [4.5, 6.0], "shares": [0.1, 0.6, 0.3]}},
        {"name": "lactate", "type": "number", "title": "Lactate", "unit": "mmol/L", "minimum": 0.1,
         "maximum": 30, "step": 0.1, "required": False, "left_out": 0.75, "fill": 1.2,
         "description": "From the last blood gas.", "trained_on": {"minimum": 0.4, "maximum": 19.9},
         "baseline": {"edges": [1.0], "shares": [0.5, 0.5]}},
        {"name": "supplemental_oxygen", "type": "boolean", "title": "Supplemental oxygen",
         "required": True, "baseline": {"values": [False, True], "shares": [0.9, 0.1]}},
        {"name": "consciousness", "type": "category", "title": "Consciousness", "required": False,
         "values": ["Alert", "Voice", "Pain"], "left_out": 0.0,
         "baseline": {"values": ["Alert", "Voice", "Pain"], "shares": [0.0, 1.0, 0.0]}},
    ],
}  # fmt: skip
"""Of format 2: every type of feature, two units, two that may be left out, four levels."""

VITALS, WARD_MODEL = read(OLD), read(WARD)
"""Their declarations."""
