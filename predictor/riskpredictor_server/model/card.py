"""Checks what serving needs of a model card, and turns cards of format 1 into format 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from riskpredictor_server.model.schema import Feature, Schema, Values
from riskpredictor_server.model.vitals import EXAMPLES, VITALS

ARTIFACT_FORMAT: Final = "riskpredictor-artifact/2"
FORMAT_1: Final = "riskpredictor-artifact/1"


def from_format_1(card: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a card of format 1 what it does not say: the declaration of the four vitals.

    Raises KeyError or TypeError if its features are malformed, or not these.
    """
    rows = {row["name"]: row for row in card["features"]}
    features = [{**rows.pop(feature.name), **feature.declaration()} for feature in VITALS.features]
    if rows:
        raise KeyError(f"unknown feature {next(iter(rows))}")
    return {
        **card,
        "format": ARTIFACT_FORMAT,
        "title": VITALS.title,
        "levels": list(VITALS.levels),
        "features": features,
        "examples": list(EXAMPLES),
    }


def case_values(record: Mapping[str, Any], schema: Schema) -> Values:
    """The values of a golden case or an example, which is in the features' own units."""
    return tuple(record.get(name) for name in schema.names)


def wrong_shape(card: Mapping[str, Any], schema: Schema) -> str:
    """Name the first part of a card that serving needs and cannot use; empty if there is none."""
    kinds = {"model_version": str, "files": dict, "golden_cases": list}
    for name, kind in kinds.items():
        if not isinstance(card.get(name), kind) or not card[name]:
            return f"{name} is missing or empty"
    for feature, row in zip(schema.features, card["features"], strict=True):
        wrong = _wrong_statistics(feature, row)
        if wrong:
            return f"features: {feature.name}: {wrong}"
    for index, case in enumerate(card["golden_cases"]):
        if not isinstance(case, dict) or not isinstance(case.get("name"), str):
            return f"golden_cases[{index}] must be an object with a name"
        wrong = f"golden case {case['name'][:64]!r}: "
        if not _numbers(case.get("probabilities"), len(schema.levels)):
            return wrong + f"probabilities must be {len(schema.levels)} numbers"
        if not _is_record(case.get("input"), schema):
            return wrong + f"input must be values for {', '.join(schema.names)} and nothing else"
    examples = card.get("examples", [])
    if not isinstance(examples, list):
        return "examples must be a list"
    for index, example in enumerate(examples):
        if (
            not isinstance(example, dict)
            or not isinstance(example.get("title"), str)
            or not _is_record(example.get("record"), schema)
        ):
            return f"examples[{index}] must have a title and a record"
    return ""


def _wrong_statistics(feature: Feature, row: Mapping[str, Any]) -> str:
    span, baseline = (row.get(key) for key in ("trained_on", "baseline"))
    if not isinstance(span, dict) or not isinstance(baseline, dict):
        return "trained_on and baseline must be objects"
    fill = row.get("fill")
    # A median of whole numbers may be a half.
    fits = _numbers([fill]) if feature.is_numeric else feature.accepts(fill)
    if fill is not None and not fits:
        return "fill must be a value of it"
    if feature.is_numeric:
        if not _numbers([span.get("minimum"), span.get("maximum")]):
            return "trained_on must have minimum and maximum"
        edges = baseline.get("edges")
        if not _numbers(edges) or not _numbers(baseline.get("shares"), len(edges or ()) + 1):
            return "baseline must have edges and one more shares"
        return ""
    seen, values = span.get("values"), baseline.get("values")
    if not isinstance(seen, list) or not all(feature.accepts(value) for value in seen):
        return "trained_on must list its values"
    if values != list(feature.choices) or not _numbers(baseline.get("shares"), len(values)):
        return "baseline must have every value and as many shares"
    return ""


def _is_record(record: Any, schema: Schema) -> bool:
    """Whether it is an object of the features' values; of numbers, any."""
    if not isinstance(record, dict) or not record.keys() <= set(schema.names):
        return False
    return all(
        (value is None and not feature.required)
        or (_numbers([value]) if feature.is_numeric else feature.accepts(value))
        for feature in schema.features
        for value in (record.get(feature.name),)
    )


def _numbers(value: Any, count: int | None = None) -> bool:
    return (
        isinstance(value, list)
        and all(type(each) in (int, float) for each in value)
        and count in (None, len(value))
    )
