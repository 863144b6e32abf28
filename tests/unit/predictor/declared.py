"""A record of every type of feature, for tests of what is made from a declaration."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from riskpredictor_server.model.declaration import read_schema
from riskpredictor_server.model.schema import Feature, Schema

WARD = read_schema(
    {
        "title": "Measurements",
        "levels": ["Green", "Yellow", "Orange", "Red"],
        "features": [
            {"name": "respiratory_rate", "type": "integer", "unit": "breaths/min", "minimum": 4,
             "maximum": 70, "aliases": ["rr"]},
            {"name": "temperature", "unit": "°F", "minimum": 77, "maximum": 113,
             "units": {"°C": {"scale": 1.8, "offset": 32}}},
            {"name": "lactate", "unit": "mmol/L", "minimum": 0.1, "maximum": 30, "required": False,
             "units": {"mg/dL": {"scale": 0.111}}},
            {"name": "supplemental_oxygen", "type": "boolean"},
            {"name": "consciousness", "type": "category",
             "values": ["Alert", "Voice", "Pain", "Unresponsive"]},
            {"name": "ward", "type": "category", "values": ["A", "B"], "required": False},
        ],
    }
)  # fmt: skip
PATIENT: dict[str, Any] = {
    "respiratory_rate": 16,
    "temperature": 98.6,
    "lactate": 1.1,
    "supplemental_oxygen": False,
    "consciousness": "Alert",
    "ward": "A",
}


def value_of(feature: Feature) -> st.SearchStrategy[Any]:
    """Accepted values of a feature in its own unit; None where it may be left out."""
    made: st.SearchStrategy[Any]
    if feature.type == "number":
        made = st.floats(feature.minimum, feature.maximum)
    elif feature.type == "integer":
        made = st.integers(int(feature.minimum), int(feature.maximum))
    else:
        made = st.sampled_from(feature.choices)
    return made if feature.required else made | st.none()


def values_of(schema: Schema) -> st.SearchStrategy[tuple[Any, ...]]:
    """Checked records."""
    return st.tuples(*map(value_of, schema.features))
