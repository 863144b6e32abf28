"""Flask views of the Open Inference Protocol."""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from riskpredictor_server.api import inference_protocol as oip
from riskpredictor_server.api.problems import json_reply
from riskpredictor_server.web.responses import current_service, to_response

v2 = Blueprint("v2", __name__, url_prefix="/v2")

MODEL, VERSION = (rule.removeprefix("/v2") for rule in (oip.MODEL_ROUTE, oip.VERSION_ROUTE))


@v2.get("")
def server() -> Response:
    """Server metadata."""
    return to_response(oip.server_metadata())


@v2.get("/health/live")
def live() -> Response:
    """Liveness."""
    return to_response(json_reply({"live": True}))


@v2.get("/health/ready")
def ready() -> Response:
    """Readiness."""
    reply = current_service().ready(g.request_id)
    return to_response(json_reply({"ready": True}) if reply.status == 200 else reply)


@v2.get(MODEL)
@v2.get(VERSION)
def metadata(name: str, version: str | None = None) -> Response:
    """Model metadata."""
    service = current_service()
    if service.predictor is None:
        return to_response(service.not_ready(g.request_id))
    absent = service.absent(name, version, g.request_id)
    return to_response(absent or oip.model_metadata(service.predictor, name))


@v2.get(MODEL + "/ready")
@v2.get(VERSION + "/ready")
def model_ready(name: str, version: str | None = None) -> Response:
    """Readiness of the model."""
    service = current_service()
    reply = service.ready(g.request_id)
    if reply.status == 200:
        absent = service.absent(name, version, g.request_id)
        reply = absent or json_reply({"name": name, "ready": True})
    return to_response(reply)


@v2.post(MODEL + "/infer")
@v2.post(VERSION + "/infer")
def infer(name: str, version: str | None = None) -> Response:
    """Predict. The product's own server answers this route without Flask: see front.py."""
    binary = oip.BINARY_HEADER in request.headers
    content_type = request.headers.get("Content-Type", "")
    return to_response(
        current_service().infer(
            name, version, binary, request.get_data(), content_type, g.request_id
        )
    )
