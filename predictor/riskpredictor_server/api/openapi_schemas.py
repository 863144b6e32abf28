"""Generates the schemas of the OpenAPI description from the rules that validate requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from riskpredictor_server.api.records import problems
from riskpredictor_server.model.schema import Feature, Schema, unit_name

_TEXT: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": "number"}


def schemas(schema: Schema, max_batch: int, more: Sequence[str] = ()) -> dict[str, Any]:
    """Build the components that paths refer to; a batch has at most ``max_batch`` records.

    ``more`` are features that only the candidate has: in answers of its own, never in records.
    """
    return {
        "Record": _record(schema),
        "Batch": _object(
            {"instances": _array(ref("Record")) | {"minItems": 1, "maxItems": max_batch}}
        ),
        "Prediction": _prediction(schema, more),
        "Predictions": _object(
            {"predictions": _array(ref("Prediction")), "model_version": _TEXT, "request_id": _TEXT}
        ),
        "Problem": _problem(),
        "InferError": _infer_error(),
        "FieldError": _field_error(schema),
        "Warning": _warning(schema, more),
        "Rollout": _rollout(schema),
    } | _inference(schema)


def _record(schema: Schema) -> dict[str, Any]:
    """Describe a record: a variant for each unit where the accepted interval depends on it."""
    own = {feature.name: _feature(feature) for feature in schema.features}
    required = [feature.name for feature in schema.features if feature.required]
    with_units = [feature for feature in schema.features if feature.units]
    if len(with_units) == 1:
        first, *others = _variants(with_units[0])
        rules = [_object(own | first, required=required)]
        rules += [_object(own | v, required=[*required, with_units[0].unit_field]) for v in others]
        return {"oneOf": rules}
    properties = own | {
        # Their interval is in the variants.
        f.name: {
            "type": f.type if f.required else [f.type, "null"],
            "description": own[f.name]["description"],
        }
        for f in with_units
    }
    properties |= {f.unit_field: {"enum": list(f.unit_names)} for f in with_units}
    rules = [{"oneOf": [{"properties": v} for v in _variants(f)]} for f in with_units]
    for feature, rule in zip(with_units, rules, strict=True):
        for other in rule["oneOf"][1:]:
            other["required"] = [feature.unit_field]
    record = _object(properties, required=required)
    return record | {"allOf": rules} if rules else record


def _variants(feature: Feature) -> list[dict[str, Any]]:
    """Describe a feature and the field of its unit, in each of its units."""
    rules = [feature, *(feature.in_unit(unit) for unit in feature.units)]
    return [
        {feature.name: _feature(rule), feature.unit_field: {"const": unit_name(rule.unit)}}
        for rule in rules
    ]


def _feature(feature: Feature) -> dict[str, Any]:
    described: dict[str, Any] = {"type": feature.type}
    if feature.is_numeric:
        described |= {"minimum": feature.minimum, "maximum": feature.maximum}
    elif feature.type == "category":
        described = {"enum": list(feature.values)}
    if not feature.required:
        described = {"oneOf": [described, {"type": "null"}]}
    described["description"] = feature.description or f"{feature.title}."
    return described | {"x-unit": feature.unit} if feature.unit else described


def _prediction(schema: Schema, more: Sequence[str]) -> dict[str, Any]:
    lowest, highest = schema.levels[0], schema.levels[-1]
    probability = _NUMBER | {"minimum": 0, "maximum": 1}
    share = _NUMBER | {
        "description": f"Log-odds of {highest} against {lowest}; above 0 raises risk."
    }
    shares = _object(dict.fromkeys([*schema.names, *more], share), required=schema.names)
    properties = {
        "risk_level": {"enum": list(schema.levels)},
        "confidence": probability,
        "probabilities": _object(dict.fromkeys(schema.levels, probability)),
        "contributions": {
            "oneOf": [shares, {"type": "null"}],
            "description": "null for a model that is not linear.",
        },
        "warnings": _array(ref("Warning"))
        | {"description": "Values outside what the model was trained on."},
        **{
            f.unit_field: {
                "const": f.unit_names[0],
                "description": f"Unit of {f.title.lower()} in this answer.",
            }
            for f in schema.features
            if f.units
        },
        "model_version": _TEXT,
        "request_id": _text("Absent inside a batch."),
    }
    return _object(properties, required=[name for name in properties if name != "request_id"])


def _problem() -> dict[str, Any]:
    properties = {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "request_id": _TEXT,
        "errors": _array(ref("FieldError")),
        "reason": _text("Why the server is not ready."),
    }
    schema = _object(properties, required=["type", "title", "status", "detail", "request_id"])
    return schema | {"description": "RFC 9457 problem document."}


def _infer_error() -> dict[str, Any]:
    schema = _problem()
    properties = {"error": _text("What is wrong; detail says the same.")} | schema["properties"]
    return _object(properties, required=["error", *schema["required"]]) | {
        "description": "The error object of the Open Inference Protocol, with more about it."
    }


def _field_error(schema: Schema) -> dict[str, Any]:
    properties = {
        "field": _text(
            f"Name, in a batch with its place: instances[3].{schema.names[0]}."
            " Empty for the document itself."
        ),
        "problem": {
            "enum": list(problems(schema)),
            "description": "What is wrong, for programs. Absent if the body is not valid JSON.",
        },
        "detail": _text("The same for people."),
        "value": {
            "type": ["number", "string", "boolean", "null"],
            "description": "As it was sent, shortened if it is long; absent if none was.",
        },
        "minimum": _NUMBER | {"description": "Smallest allowed value."},
        "maximum": _NUMBER | {"description": "Largest allowed value."},
        "unit": _text("Of minimum and maximum."),
        "allowed": _array(_TEXT) | {"description": "Every allowed value, if they are few."},
    }
    return _object(properties, required=["field", "detail"])


def _warning(schema: Schema, more: Sequence[str]) -> dict[str, Any]:
    span = _object({"minimum": _NUMBER, "maximum": _NUMBER, "unit": _TEXT})
    value = _NUMBER | {"description": "In the unit of trained_on."}
    properties = {
        "field": {"enum": [*schema.names, *more]},
        "value": value,
        "trained_on": span | {"description": "What the training records span."},
        "detail": _text("The same for people."),
    }
    optional = bool(more) or any(not feature.required for feature in schema.features)
    if not optional and all(feature.is_numeric for feature in schema.features):
        return _object(properties)
    properties["value"] = {"description": "In the unit of trained_on; null if it was left out."}
    properties["trained_on"] = {
        "oneOf": [span, _object({"values": {"type": "array"}})],
        "description": "What the training records span; absent if the value was left out.",
    }
    if optional:
        properties["filled_with"] = {"description": "What was scored for what was left out."}
    return _object(properties, required=["field", "value", "detail"])


def _rollout(schema: Schema) -> dict[str, Any]:
    """Describe what ``GET /rollout`` tells; see ``rollout.py``."""
    count = {"type": "integer", "minimum": 0}
    level = {"enum": list(schema.levels)}
    size = {"minItems": len(schema.levels), "maxItems": len(schema.levels)}
    named = {"version": _TEXT, "digest": _text("sha256: and the SHA-256 of card.json.")}
    roles = ("stable", "candidate")
    candidate = named | {
        "state": {"enum": ["Comparing", "NotComparable", "Unusable", "SwitchedOff"]},
        "reason": _text("Why it is unusable, for programs; else empty."),
        "message": _text("Why it is not compared, for people; else empty."),
    }
    cases = {
        "digest": _text("Of the file of cases; empty if there is none."),
        "passed": count,
        "failed": _array(_TEXT),
    }
    return _object(
        {
            "instance": _text("Of this process: counts begin with it."),
            "id": _text("Of the roll-out."),
            "percent": _NUMBER | {"description": "Of requests that the candidate answers."},
            "sample": _NUMBER | {"description": "Percent of requests that both models score."},
            "guard": {"enum": ["NeverLower", "None"]},
            "levels": _array(level) | size,
            "stable": _object(named),
            "candidate": _or_null(_object(candidate)),
            "pairs": count | {"description": "Distinct records that both models scored."},
            "matrix": _array(_array(count) | size)
            | size
            | {"description": "Them by level of the stable model, then of the candidate."},
            "answers": _object(dict.fromkeys(roles, count)),
            "withheld": count | {"description": "Records that the guard kept from being lowered."},
            "errors": _object(dict.fromkeys(("raised", "invalid", "slow"), count)),
            "cases": _or_null(_object(cases)),
            "brier": _object(dict.fromkeys(roles, _or_null(_NUMBER))),
        }
    )


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [schema, {"type": "null"}]}


def _inference(schema: Schema) -> dict[str, Any]:
    """Describe requests and responses of the Open Inference Protocol."""
    parameters = {"type": "object", "description": "binary_data_size and columns, for example."}
    tensor = {
        "type": "object",
        "properties": {
            "name": _TEXT,
            "shape": _array({"type": "integer", "minimum": 0}),
            "datatype": _TEXT,
            "parameters": parameters,
            "data": {"type": "array", "description": "Absent from a binary tensor."},
        },
        "required": ["name", "shape", "datatype"],
    }
    return {
        "InferRequest": {
            "type": "object",
            "properties": {
                "id": _TEXT,
                "inputs": _array(tensor) | {"minItems": 1},
                "outputs": _array({"type": "object"}),
                "parameters": {
                    "type": "object",
                    "description": " and".join(
                        ["binary_data_output, true for binary outputs,"]
                        + [f" {f.unit_field}" for f in schema.features if f.units]
                    ).rstrip(",")
                    + ".",
                },
            },
            "required": ["inputs"],
            "description": _tensors(schema),
        },
        "InferResponse": {
            "type": "object",
            "properties": {
                "model_name": _TEXT,
                "model_version": _TEXT,
                "id": _TEXT,
                "parameters": {
                    "type": "object",
                    "description": "columns: the order in which unnamed ones were read.",
                },
                "outputs": _array(tensor),
            },
            "required": ["model_name", "model_version", "outputs"],
        },
    }


def _tensors(schema: Schema) -> str:
    names = ", ".join(schema.names)
    if any(feature.type == "category" for feature in schema.features):
        text = f"A tensor [n] for each of {names}, with these names."
    else:
        text = (
            f"One tensor [n, {len(schema.names)}], columns in the order {names}, or as its"
            " parameter columns names them; or a tensor [n] for each, with these names."
        )
    for feature in schema.features:
        if feature.units:
            others = " or ".join(f'"{name}"' for name in feature.unit_names[1:])
            text += (
                f" {feature.title}s are {feature.unit} unless the request's parameter"
                f" {feature.unit_field} is {others}."
            )
    return text


def _object(properties: dict[str, Any], required: Iterable[str] | None = None) -> dict[str, Any]:
    """Describe an object of no other properties; without ``required`` it must have all of them."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _text(description: str) -> dict[str, Any]:
    return _TEXT | {"description": description}


def ref(name: str) -> dict[str, Any]:
    """Refer to a schema of :func:`schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}
