"""The OpenAPI 3.1 description, generated from the schema that also validates."""

from __future__ import annotations

from typing import Any

from riskpredictor_server import __version__
from riskpredictor_server.api import openapi_v2
from riskpredictor_server.api.problems import PROBLEM_JSON
from riskpredictor_server.api.records import (
    CELSIUS,
    PROBLEMS,
    RISK_LEVELS,
    TEMPERATURE_UNITS,
    VITAL_NAMES,
    VITALS,
    Vital,
)
from riskpredictor_server.settings import Settings

EXAMPLE = {"heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97}


def document(settings: Settings) -> dict[str, Any]:
    """The whole description, limits as this server has them."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "RiskPredictor",
            "version": __version__,
            "summary": "Patient risk from four vitals.",
            "description": "Errors are RFC 9457 problem documents that name every bad field.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": _with_405(_paths() | openapi_v2.paths()),
        "components": {"schemas": _schemas(settings) | openapi_v2.schemas()},
    }


def _with_405(paths: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI has no place for the methods that a path lacks; the ones it has mention them."""
    for item in paths.values():
        allowed = ", ".join(method.upper() for method in item)
        for operation in item.values():
            operation["responses"]["405"] = _problem(
                f"Any other method than {allowed} on this path; the header Allow lists them all."
            )
    return paths


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(description: str, schema: dict[str, Any], media: str = "application/json") -> Any:
    return {"description": description, "content": {media: {"schema": schema}}}


def _problem(description: str) -> Any:
    return _answer(description, _ref("Problem"), PROBLEM_JSON)


def _get(summary: str, schema: dict[str, Any], media: str = "application/json") -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "responses": {
                "200": _answer(summary, schema, media),
                "503": _problem("The model is not ready; the reason is in the body."),
            },
        }
    }


def _paths() -> dict[str, Any]:
    obj = {"type": "object"}
    text = {"type": "string"}
    body = {"oneOf": [_ref("Record"), _ref("Batch")]}
    answer = {"oneOf": [_ref("Prediction"), _ref("Predictions")]}
    return {
        "/predict": {
            "post": {
                "summary": "Predict the risk of one patient, or of a batch.",
                "operationId": "predict",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": body, "example": EXAMPLE}},
                },
                "responses": {
                    "200": _answer("The prediction, or one per record.", answer),
                    "400": _problem("The body is not one JSON document."),
                    "408": _problem("The body did not arrive in time."),
                    "413": _problem("The body is too large."),
                    "415": _problem("The body is not application/json."),
                    "422": _problem("A field is bad, missing or unknown: all are listed."),
                    "503": _problem("Overloaded or not ready: try again after Retry-After."),
                },
            }
        },
        "/health": _get("The process is alive.", obj),
        "/ready": _get("The model is loaded and its golden cases pass.", obj),
        "/model": _get("The model card.", obj),
        "/metrics": _get("Metrics in the Prometheus text format.", text, "text/plain"),
        "/openapi.json": _get("This document.", obj),
        "/docs": _get("This description, for people.", text, "text/html"),
        "/": _get("The web page.", text, "text/html"),
    }


def _schemas(settings: Settings) -> dict[str, Any]:
    vitals = {vital.name: _vital(vital) for vital in VITALS}
    # In °C the accepted values are another interval, so the schema has one record per unit.
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
            {
                "instances": {
                    "type": "array",
                    "items": _ref("Record"),
                    "minItems": 1,
                    "maxItems": settings.max_batch,
                }
            }
        ),
        "Prediction": _prediction(),
        "Predictions": _object(
            {
                "predictions": {"type": "array", "items": _ref("Prediction")},
                "model_version": {"type": "string"},
                "request_id": {"type": "string"},
            }
        ),
        "Problem": _problem_schema(),
        "FieldError": _field_error(),
        "Warning": _warning(),
    }


def _vital(vital: Vital) -> dict[str, Any]:
    return {
        "type": "number",
        "minimum": vital.minimum,
        "maximum": vital.maximum,
        "description": vital.description,
        "x-unit": vital.unit,
    }


def _object(properties: dict[str, Any], required: Any = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


def _prediction() -> dict[str, Any]:
    share = {"type": "number", "description": "Log-odds of High against Low; above 0 raises risk."}
    properties = {
        "risk_level": {"enum": list(RISK_LEVELS)},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "probabilities": _object(
            {n: {"type": "number", "minimum": 0, "maximum": 1} for n in RISK_LEVELS}
        ),
        "contributions": {
            "oneOf": [_object(dict.fromkeys(VITAL_NAMES, share)), {"type": "null"}],
            "description": "null for a model that is not linear.",
        },
        "warnings": {
            "type": "array",
            "items": _ref("Warning"),
            "description": "Values outside what the model was trained on.",
        },
        "temperature_unit": {"const": "F", "description": "Unit of temperatures in this answer."},
        "model_version": {"type": "string"},
        "request_id": {"type": "string", "description": "Absent inside a batch."},
    }
    return _object(properties, required=[name for name in properties if name != "request_id"])


def _problem_schema() -> dict[str, Any]:
    properties = {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": _ref("FieldError")},
        "reason": {"type": "string", "description": "Why the server is not ready."},
        "error": {"type": "string", "description": "detail again, as the /v2 protocol names it."},
    }
    schema = _object(properties, required=["type", "title", "status", "detail", "request_id"])
    return {**schema, "description": "RFC 9457 problem document."}


def _field_error() -> dict[str, Any]:
    number = {"type": "number"}
    properties = {
        "field": {
            "type": "string",
            "description": "Name, in a batch with its place: instances[3].heart_rate."
            " Empty for the document itself.",
        },
        "problem": {
            "enum": list(PROBLEMS),
            "description": "What is wrong, for programs. Absent if the body is not valid JSON.",
        },
        "detail": {"type": "string", "description": "The same for people."},
        "value": {
            "type": ["number", "string", "boolean", "null"],
            "description": "As it was sent, shortened if it is long; absent if none was.",
        },
        "minimum": number | {"description": "Smallest allowed value."},
        "maximum": number | {"description": "Largest allowed value."},
        "unit": {"type": "string", "description": "Of minimum and maximum."},
        "allowed": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Every allowed value, if they are few.",
        },
    }
    return _object(properties, required=["field", "detail"])


def _warning() -> dict[str, Any]:
    span = {
        "minimum": {"type": "number"},
        "maximum": {"type": "number"},
        "unit": {"type": "string"},
    }
    properties = {
        "field": {"enum": list(VITAL_NAMES)},
        "value": {"type": "number", "description": "In the unit of trained_on."},
        "trained_on": {**_object(span), "description": "What the training records span."},
        "detail": {"type": "string", "description": "The same for people."},
    }
    return _object(properties)
