"""The Open Inference Protocol's part of the OpenAPI description."""

from __future__ import annotations

from typing import Any

from riskpredictor_server.api.problems import PROBLEM_JSON

_OBJECT = {"type": "object"}
_TENSOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string"},
        "data": {"type": "array"},
    },
    "required": ["name", "shape", "datatype", "data"],
}
_EXAMPLE = {
    "inputs": [{"name": "vitals", "shape": [1, 4], "datatype": "FP64", "data": [85, 120, 98.6, 97]}]
}


def schemas() -> dict[str, Any]:
    """Components."""
    return {
        "InferRequest": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "inputs": {"type": "array", "items": _TENSOR, "minItems": 1},
                "outputs": {"type": "array", "items": _OBJECT},
            },
            "required": ["inputs"],
            "description": "One tensor [n, 4] in the order heart_rate, blood_pressure, temperature"
            " (°F), oxygen_level; or four tensors [n] with these names.",
        },
        "InferResponse": {
            "type": "object",
            "properties": {
                "model_name": {"type": "string"},
                "model_version": {"type": "string"},
                "id": {"type": "string"},
                "outputs": {"type": "array", "items": _TENSOR},
            },
            "required": ["model_name", "model_version", "outputs"],
        },
    }


def paths() -> dict[str, Any]:
    """Routes."""
    routes: dict[str, Any] = {
        "/v2": _get("Server metadata."),
        "/v2/health/live": _get("The process is alive."),
        "/v2/health/ready": _get("The model is ready."),
    }
    for base, names in (
        ("/v2/models/{name}", ["name"]),
        ("/v2/models/{name}/versions/{version}", ["name", "version"]),
    ):
        routes[base] = _get("Model metadata.", names)
        routes[base + "/ready"] = _get("The model is ready.", names)
        routes[base + "/infer"] = {"post": _infer(names)}
    return routes


def _answer(description: str, schema: Any, media: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}


def _problem(description: str) -> dict[str, Any]:
    return _answer(description, {"$ref": "#/components/schemas/Problem"}, PROBLEM_JSON)


def _parameters(names: list[str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


def _get(summary: str, names: list[str] | None = None) -> dict[str, Any]:
    responses = {"200": _answer(summary, _OBJECT), "503": _problem("The model is not ready.")}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if names:
        operation["parameters"] = _parameters(names)
        responses["404"] = _problem("There is no such model or version.")
    return {"get": operation}


def _infer(names: list[str]) -> dict[str, Any]:
    body = {"$ref": "#/components/schemas/InferRequest"}
    return {
        "summary": "Predict by the Open Inference Protocol.",
        "parameters": _parameters(names),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "example": _EXAMPLE}},
        },
        "responses": {
            "200": _answer("The outputs.", {"$ref": "#/components/schemas/InferResponse"}),
            "400": _problem("Not JSON, or not the tensors that the model wants."),
            "404": _problem("There is no such model or version."),
            "408": _problem("The body did not arrive in time."),
            "413": _problem("The body is too large."),
            "415": _problem("The body is not application/json."),
            "422": _problem("A value is not allowed."),
            "503": _problem("Overloaded or not ready."),
        },
    }
