"""Flask views: each hands its bytes to the Service and its reply to the client."""

from __future__ import annotations

import json

from flask import Blueprint, Response, g, render_template, request

from riskpredictor_server.api.openapi import EXAMPLE, document
from riskpredictor_server.api.problems import json_reply
from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.web.responses import current_service, to_response

pages = Blueprint("pages", __name__)


@pages.get("/")
def index() -> str:
    """The web page."""
    return render_template("index.html", vitals=VITALS, service=current_service())


@pages.post("/predict")
def predict() -> Response:
    """One record or a batch."""
    content_type = request.headers.get("Content-Type", "")
    return to_response(current_service().predict(request.get_data(), content_type, g.request_id))


@pages.get("/health")
def health() -> Response:
    """Liveness."""
    return to_response(current_service().health())


@pages.get("/ready")
def ready() -> Response:
    """Readiness, with the reason when not."""
    return to_response(current_service().ready(g.request_id))


@pages.get("/model")
def model() -> Response:
    """The model card."""
    return to_response(current_service().card(g.request_id))


@pages.get("/metrics")
def metrics() -> Response:
    """Prometheus exposition."""
    return to_response(current_service().exposition())


@pages.get("/openapi.json")
def openapi() -> Response:
    """The API description."""
    return to_response(json_reply(document(current_service().settings)))


@pages.get("/docs")
def docs() -> str:
    """The API description for people; no third party's script, works offline."""
    api = document(current_service().settings)
    return render_template("docs.html", api=api, example=json.dumps(EXAMPLE))
