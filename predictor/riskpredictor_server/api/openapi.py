"""Generates the OpenAPI 3.1 description: the document and its paths.

The schemas that they refer to are in openapi_schemas.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from riskpredictor_server import __version__
from riskpredictor_server.api.inference_protocol import BINARY_HEADER, BINARY_TYPE, example_tensors
from riskpredictor_server.api.openapi_schemas import ref, schemas
from riskpredictor_server.api.problems import JSON, PROBLEM_JSON, is_of_protocol
from riskpredictor_server.model.artifact import Model
from riskpredictor_server.settings import Settings

_OBJECT = {"type": "object"}
_TEXT = {"type": "string"}


def document(settings: Settings, model: Model, candidate: Model | None = None) -> dict[str, Any]:
    """Build the whole description, with the limits of this server and the records of its model.

    ``candidate`` is a model that may answer in its place.
    """
    names = candidate.schema.names if candidate else ()
    more = [name for name in names if name not in model.schema.names]
    example = model.examples[0]["record"]
    paths = _paths(example) | _paths_v2(example_tensors(model.schema, example))
    for path, item in paths.items():
        # OpenAPI cannot list the methods that a path lacks, so those it has describe their 405.
        allowed = ", ".join(method.upper() for method in item)
        for operation in item.values():
            operation["responses"]["405"] = _problem(
                f"Any other method than {allowed} on this path; the header Allow lists them all."
            )
            if is_of_protocol(path):
                _use_protocol_errors(operation["responses"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "RiskPredictor",
            "version": __version__,
            "summary": f"Patient risk from {model.schema.counted}.",
            "description": "Errors are RFC 9457 problem documents that name every bad field;"
            f" below /v2 they are {JSON} with the member error, as its clients want them.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Relative to where this document was read: right behind any prefix of a proxy.
        "servers": [{"url": "./"}],
        "paths": paths,
        "components": {"schemas": schemas(model.schema, settings.max_batch, more)},
    }


def _paths(example: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "/predict": {
            "post": {
                "summary": "Predict the risk of one patient, or of a batch.",
                "operationId": "predict",
                "requestBody": _body(_one_of("Record", "Batch"), example),
                "responses": {
                    "200": _answer(
                        "The prediction, or one per record.", _one_of("Prediction", "Predictions")
                    ),
                    "400": _problem("The body is not one JSON document."),
                    **_body_problems(),
                    "422": _problem("A field is bad, missing or unknown: all are listed."),
                    "503": _problem("Overloaded or not ready: try again after Retry-After."),
                },
            }
        },
        "/health": _get("The process is alive."),
        "/ready": _get("The model is loaded and its golden cases pass."),
        "/model": _get("The model card."),
        "/model/files/{name}": _model_file("The model has no such file."),
        "/model/candidate": _get_candidate(),
        "/model/candidate/files/{name}": _model_file("There is no candidate, or no such file."),
        "/rollout": _get(
            "How the candidate agrees with the model: counts of this process.", ref("Rollout")
        ),
        "/metrics": _get("Metrics in the Prometheus text format.", _TEXT, "text/plain"),
        "/openapi.json": _get("This document."),
        "/docs": _get("This description, for people.", _TEXT, "text/html"),
        "/": _get("The web page.", _TEXT, "text/html"),
    }


def _paths_v2(example: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the Open Inference Protocol, for a model and for one of its versions."""
    paths: dict[str, Any] = {
        "/v2": _get_v2("Server metadata."),
        "/v2/health/live": _get_v2("The process is alive."),
        "/v2/health/ready": _get_v2("The model is ready."),
    }
    for base, names in (
        ("/v2/models/{name}", ["name"]),
        ("/v2/models/{name}/versions/{version}", ["name", "version"]),
    ):
        paths[base] = _get_v2("Model metadata.", names)
        paths[base + "/ready"] = _get_v2("The model is ready.", names)
        paths[base + "/infer"] = {"post": _infer(names, example)}
    return paths


def _infer(names: Sequence[str], example: Mapping[str, Any]) -> dict[str, Any]:
    length = {
        "name": BINARY_HEADER,
        "in": "header",
        "schema": {"type": "integer", "minimum": 1},
        "description": "How many bytes of the body are JSON, if binary tensors follow them.",
    }
    answer = _answer("The outputs.", ref("InferResponse"))
    answer["content"][BINARY_TYPE] = {"schema": _TEXT | {"format": "binary"}}
    return {
        "summary": "Predict by the Open Inference Protocol.",
        "parameters": [*_parameters(names), length],
        "requestBody": _body(ref("InferRequest"), example),
        "responses": {
            "200": answer,
            "400": _problem("Not JSON, or not the tensors that the model wants."),
            "404": _problem("There is no such model or version."),
            **_body_problems(),
            "422": _problem("A value is not allowed."),
            "503": _problem("Overloaded or not ready."),
        },
    }


def _get(summary: str, schema: Any = _OBJECT, media: str = JSON) -> dict[str, Any]:
    responses = {
        "200": _answer(summary, schema, media),
        "503": _problem("The model is not ready; the reason is in the body."),
    }
    return {"get": {"summary": summary, "responses": responses}}


def _get_candidate() -> dict[str, Any]:
    described = _get("The card of the candidate, which is compared with the model.")
    described["get"]["responses"]["404"] = _problem("There is no candidate, or it is not loaded.")
    return described


def _model_file(absent: str) -> dict[str, Any]:
    described = _get("A file of the model, as it was verified.", _TEXT, "application/octet-stream")
    described["get"]["parameters"] = _parameters(["name"])
    described["get"]["responses"]["404"] = _problem(absent)
    return described


def _get_v2(summary: str, names: Sequence[str] = ()) -> dict[str, Any]:
    responses = {"200": _answer(summary, _OBJECT), "503": _problem("The model is not ready.")}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if names:
        operation["parameters"] = _parameters(names)
        responses["404"] = _problem("There is no such model or version.")
    return {"get": operation}


def _parameters(names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]


def _body(schema: Any, example: Any) -> dict[str, Any]:
    return {"required": True, "content": {JSON: {"schema": schema, "example": example}}}


def _answer(description: str, schema: Any, media: str = JSON) -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}


def _problem(description: str) -> dict[str, Any]:
    return _answer(description, ref("Problem"), PROBLEM_JSON)


def _use_protocol_errors(responses: dict[str, Any]) -> None:
    """Describe errors as the Open Inference Protocol has them, not as problem documents."""
    for response in responses.values():
        if PROBLEM_JSON in response["content"]:
            response["content"] = {JSON: {"schema": ref("InferError")}}


def _body_problems() -> dict[str, Any]:
    return {
        "408": _problem("The body did not arrive in time."),
        "413": _problem("The body is too large."),
        "415": _problem("The body is not JSON, or compressed by neither gzip nor deflate."),
    }


def _one_of(*names: str) -> dict[str, Any]:
    return {"oneOf": [ref(name) for name in names]}
