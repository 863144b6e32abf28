"""Generates the schemas of the OpenAPI description from the rules that validate requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from riskpredictor_server.api.records import CELSIUS, PROBLEMS, TEMPERATURE_UNITS
from riskpredictor_server.model.vitals import RISK_LEVELS, VITAL_NAMES, VITALS, Vital

_TEXT: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": "number"}


def schemas(max_batch: int) -> dict[str, Any]:
    """Build the components that paths refer to; a batch has at most ``max_batch`` records."""
    vitals = {vital.name: _vital(vital) for vital in VITALS}
    # The accepted interval of temperatures depends on the unit, so there is one record per unit.
    celsius = vitals | {CELSIUS.name: _vital(CELSIUS)}
    fahrenheit_unit, celsius_unit = TEMPERATURE_UNITS
    return {
        "Record": {
            "oneOf": [
                _object(
                    vitals | {"temperature_unit": {"const": fahrenheit_unit}}, required=VITAL_NAMES
                ),
                _object(celsius | {"temperature_unit": {"const": celsius_unit}}),
            ]
        },
        "Batch": _object(
            {"instances": _array(ref("Record")) | {"minItems": 1, "maxItems": max_batch}}
        ),
        "Prediction": _prediction(),
        "Predictions": _object(
            {"predictions": _array(ref("Prediction")), "model_version": _TEXT, "request_id": _TEXT}
        ),
        "Problem": _problem(),
        "InferError": _infer_error(),
        "FieldError": _field_error(),
        "Warning": _warning(),
    } | _inference()


def _vital(vital: Vital) -> dict[str, Any]:
    return {
        "type": "number",
        "minimum": vital.minimum,
        "maximum": vital.maximum,
        "description": vital.description,
        "x-unit": vital.unit,
    }


def _prediction() -> dict[str, Any]:
    probability = _NUMBER | {"minimum": 0, "maximum": 1}
    share = _NUMBER | {"description": "Log-odds of High against Low; above 0 raises risk."}
    properties = {
        "risk_level": {"enum": list(RISK_LEVELS)},
        "confidence": probability,
        "probabilities": _object(dict.fromkeys(RISK_LEVELS, probability)),
        "contributions": {
            "oneOf": [_object(dict.fromkeys(VITAL_NAMES, share)), {"type": "null"}],
            "description": "null for a model that is not linear.",
        },
        "warnings": _array(ref("Warning"))
        | {"description": "Values outside what the model was trained on."},
        "temperature_unit": {"const": "F", "description": "Unit of temperatures in this answer."},
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


def _field_error() -> dict[str, Any]:
    properties = {
        "field": _text(
            "Name, in a batch with its place: instances[3].heart_rate."
            " Empty for the document itself."
        ),
        "problem": {
            "enum": list(PROBLEMS),
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


def _warning() -> dict[str, Any]:
    span = _object({"minimum": _NUMBER, "maximum": _NUMBER, "unit": _TEXT})
    return _object(
        {
            "field": {"enum": list(VITAL_NAMES)},
            "value": _NUMBER | {"description": "In the unit of trained_on."},
            "trained_on": span | {"description": "What the training records span."},
            "detail": _text("The same for people."),
        }
    )


def _inference() -> dict[str, Any]:
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
                    "description": "binary_data_output, true for binary outputs, and"
                    " temperature_unit.",
                },
            },
            "required": ["inputs"],
            "description": f"One tensor [n, {len(VITAL_NAMES)}], columns in the order"
            f" {', '.join(VITAL_NAMES)}, or as its parameter columns names them; or a tensor [n]"
            " for each, with these names. Temperatures are °F unless the request's parameter"
            ' temperature_unit is "C".',
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
