"""A declaration of records is read, or every fault of it is told with its place."""

from __future__ import annotations

from typing import Any

import pytest

from riskpredictor_server.model.declaration import SchemaError, read_schema
from riskpredictor_server.model.schema import Unit
from riskpredictor_server.model.vitals import VITALS

LACTATE = {"name": "lactate", "type": "number", "unit": "mmol/L", "minimum": 0.1, "maximum": 30}
OXYGEN = {"name": "oxygen", "type": "boolean"}
AVPU = {"name": "consciousness", "type": "category", "values": ["Alert", "Voice", "Pain"]}


def faults(document: Any) -> dict[str, str]:
    with pytest.raises(SchemaError) as caught:
        read_schema(document)
    return {".".join(map(str, path)): text for path, text in caught.value.faults}


def fault_of(**changes: Any) -> dict[str, str]:
    return faults({"features": [LACTATE | changes]})


def test_what_is_declared_is_read() -> None:
    document = {
        "title": "Measurements",
        "levels": ["Green", "Red"],
        "features": [
            LACTATE
            | {
                "required": False,
                "risk": "rises outside 0.5 .. 2",
                "units": {"mg/dL": {"scale": 0.111}},
            },
            OXYGEN | {"risk": "rises"},
            AVPU,
        ],
    }
    schema = read_schema(document)
    lactate, oxygen, avpu = schema.features
    assert schema.levels == ("Green", "Red")
    assert schema.counted == "three measurements"
    assert (lactate.required, lactate.title, lactate.unit_names) == (
        False,
        "Lactate",
        ("mmol/L", "mg/dL"),
    )
    assert lactate.risk
    assert (lactate.risk.rises, lactate.risk.band) == (True, (0.5, 2))
    assert oxygen.choices == (False, True)
    assert avpu.choices == ("Alert", "Voice", "Pain")
    assert schema.fields == ("lactate", "oxygen", "consciousness", "lactate_unit")


def test_the_declaration_of_a_schema_is_read_as_that_schema() -> None:
    assert read_schema(VITALS.declaration()) == VITALS


@pytest.mark.parametrize("band", ["1500000..4000000", "0.00001..0.0004", "-1.5..1234.5678"])
def test_a_band_keeps_its_digits(band: str) -> None:
    """In a card, which must be readable."""
    feature = {"name": "a", "minimum": -10, "maximum": 1e7, "risk": f"rises outside {band}"}
    schema = read_schema({"features": [feature]})
    assert schema.declaration()["features"][0]["risk"] == f"rises outside {band}"
    assert read_schema(schema.declaration()) == schema


@pytest.mark.parametrize(
    ("changes", "place", "text"),
    [
        ({"name": "Lactate"}, "name", "must be lower-case letters, digits and _"),
        ({"name": "risk_level"}, "name", "means something else in requests"),
        ({"name": 5}, "name", "must be lower-case letters"),
        ({"type": "float"}, "type", "must be one of number, integer, boolean, category"),
        ({"minimum": "0"}, "minimum", "must be a number"),
        ({"minimum": True}, "minimum", "must be a number"),
        ({"minimum": float("nan")}, "minimum", "must be a finite number"),
        ({"maximum": 0.1}, "maximum", "must be more than minimum, 0.1"),
        ({"step": 0}, "step", "must be more than 0"),
        ({"type": "integer"}, "minimum", "must be a whole number"),
        ({"type": "integer", "minimum": 1, "maximum": 9.5}, "maximum", "must be a whole number"),
        ({"required": "yes"}, "required", "must be true or false"),
        ({"requierd": True}, "requierd", "unknown; a feature has name, type,"),
        ({"values": ["a", "b"]}, "values", "only a category has values"),
        ({"units": {"mg/dL": 9}}, "units.mg/dL", "must be {scale: S, offset: O}"),
        ({"units": {"mg/dL": {"scale": 0}}}, "units.mg/dL", "must be {scale: S, offset: O}"),
        ({"units": {"mmol/L": {"scale": 1}}}, "units", "must differ"),
        ({"unit": "", "units": {"mg/dL": {"scale": 9}}}, "unit", "missing: units converts to it"),
        ({"risk": "goes up"}, "risk", 'must be "rises", "falls" or "rises outside LOW..HIGH"'),
        ({"risk": "rises outside 2..1"}, "risk", "the band must lie within 0.1 to 30"),
        ({"risk": "rises outside 0..2"}, "risk", "the band must lie within 0.1 to 30"),
        ({"title": "x" * 61}, "title", "at most 60 characters"),
        ({"aliases": ["a", "a"]}, "aliases", "different texts"),
    ],
    ids=str,
)
def test_a_fault_of_a_feature_is_told_with_its_place(
    changes: dict[str, Any], place: str, text: str
) -> None:
    found = fault_of(**changes)
    assert text in found[f"features.0.{place}"]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("document", "place", "text"),
    [
        ([], "", "must be a mapping with features"),
        ({}, "features", "must be a list of 1 to 64 features"),
        ({"features": [LACTATE] * 65}, "features", "must be a list of 1 to 64 features"),
        ({"features": ["age"]}, "features.0", "must be a mapping with name and type"),
        (
            {"features": [LACTATE, LACTATE]},
            "features.1.name",
            "already the name of a field of features[0]",
        ),
        ({"features": [OXYGEN | {"minimum": 0}]}, "features.0.minimum", "a boolean has none"),
        (
            {"features": [AVPU | {"values": ["Alert"]}]},
            "features.0.values",
            "must be 2 to 50 different",
        ),
        (
            {"features": [AVPU | {"risk": "rises outside 1..2"}]},
            "features.0.risk",
            "a category has no band",
        ),
        ({"features": [{"name": "age", "type": "integer"}]}, "features.0.minimum", "missing"),
        ({"features": [OXYGEN], "levels": ["High"]}, "levels", "must be 2 to 10 different names"),
        (
            {"features": [OXYGEN], "levels": ["High", "high"]},
            "levels",
            "must be 2 to 10 different names",
        ),
        ({"features": [OXYGEN], "title": ""}, "title", "must be what the features are"),
    ],
    ids=str,
)
def test_a_fault_of_the_whole_is_told_with_its_place(document: Any, place: str, text: str) -> None:
    assert text in faults(document)[place]


def test_a_unit_of_one_feature_is_no_name_of_another() -> None:
    temperature = VITALS.by_name["temperature"].declaration()
    other = LACTATE | {"name": "temperature_unit"}
    assert "features.1.name" in faults({"features": [temperature, other]})


@pytest.mark.parametrize("celsius", [25, 36.6, 37, 38.9, 45])
def test_a_conversion_is_exact(celsius: float) -> None:
    """As people write it: 1.8 is 9/5, which no binary number is."""
    unit = Unit("°C", 1.8, 32)
    assert unit.to_own(celsius) == celsius * 9 / 5 + 32
    assert unit.from_own(unit.to_own(celsius)) == pytest.approx(celsius, abs=1e-13)
