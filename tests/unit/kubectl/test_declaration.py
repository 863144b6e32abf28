"""What a model card declares, whatever its format."""

from __future__ import annotations

from typing import Any

import pytest
from unit.kubectl.cards import VITALS, WARD_MODEL

from riskpredictor_kubectl.declaration import read
from riskpredictor_kubectl.errors import PluginError


def test_a_card_of_the_first_format_is_of_the_four_vitals() -> None:
    assert [feature.name for feature in VITALS.features] == [
        "heart_rate", "blood_pressure", "temperature", "oxygen_level",
    ]  # fmt: skip
    assert VITALS.levels == ("Low", "Medium", "High")
    assert VITALS.unit_fields == ["temperature_unit"]
    temperature = VITALS.features[2]
    assert (temperature.units, temperature.span()) == (("F", "C"), "77 to 113 °F")
    assert all(feature.required and feature.is_numeric for feature in VITALS.features)


def test_a_card_of_the_second_format_says_types_units_and_levels() -> None:
    assert WARD_MODEL.levels == ("Stable", "Watch", "Act now", "Call")
    assert WARD_MODEL.unit_fields == ["glucose_unit"]
    assert [(f.type, f.required, f.span()) for f in WARD_MODEL.features] == [
        ("integer", True, "4 to 70 breaths/min"),
        ("number", True, "1 to 60 mmol/L"),
        ("number", False, "0.1 to 30 mmol/L"),
        ("boolean", True, "true or false"),
        ("category", False, "Alert, Voice, Pain"),
    ]
    assert WARD_MODEL.features[1].units == ("mmol/L", "mg/dL")


def test_the_degree_sign_is_no_part_of_a_units_name() -> None:
    row = {"name": "t", "type": "number", "unit": "°C", "units": {"°F": {"scale": 0.5}}}
    assert read({"features": [row]}).features[0].units == ("C", "F")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([], "features is missing"),
        ({"features": {}}, "features is missing"),
        ({"features": [{"name": "a"}, {"title": "b"}]}, r"features\[1\] has no name"),
    ],
)
def test_an_answer_that_is_no_card_is_an_error(answer: Any, said: str) -> None:
    with pytest.raises(PluginError, match=f"GET /model answers no model card: {said}"):
        read(answer)
