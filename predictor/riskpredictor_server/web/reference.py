"""Formats the OpenAPI description for the page that shows it to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from riskpredictor_server.model.schema import number_text

_UNIT = "_unit"


def variants(schema: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The forms that an object can have, each with what tells it from the others: its units."""
    if "oneOf" not in schema:
        return [("", schema)]
    return [(_units(variant["properties"]), variant) for variant in schema["oneOf"]]


def allowed(schema: Mapping[str, Any], name: str) -> str:
    """What an object's schema allows of a field's value: its range, in each unit."""
    field: Mapping[str, Any] = schema["properties"][name]
    rules = [field]
    for rule in schema.get("allOf", ()):
        found = (variant["properties"].get(name, {}) for variant in rule["oneOf"])
        rules += [each for each in found if "const" not in each]
    return " or ".join(span for rule in rules for span in _spans(rule, field.get("x-unit", "")))


def _units(properties: Mapping[str, Mapping[str, Any]]) -> str:
    names = [
        properties[name.removesuffix(_UNIT)]["x-unit"]
        for name, field in properties.items()
        if name.endswith(_UNIT) and "const" in field
    ]
    return f"in {', '.join(names)}" if names else ""


def _spans(rule: Mapping[str, Any], unit: str) -> Iterator[str]:
    """The ranges of a value or of a list, with the value's unit."""
    unit = rule.get("x-unit", unit)
    if "minimum" in rule and "maximum" in rule:
        yield f"{number_text(rule['minimum'])} to {number_text(rule['maximum'])} {unit}".rstrip()
    if "maxItems" in rule:
        yield f"{rule['minItems']} to {rule['maxItems']} items"
    for each in rule.get("oneOf", ()):
        yield from _spans(each, unit)
