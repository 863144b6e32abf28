"""Between Flask and the Service."""

from __future__ import annotations

from flask import Response, current_app

from riskpredictor_server.api.problems import Reply
from riskpredictor_server.api.service import Service


def to_response(reply: Reply) -> Response:
    """A Reply as Flask's response."""
    response = Response(reply.body, reply.status, content_type=reply.content_type)
    response.headers.extend(reply.headers)
    return response


def current_service() -> Service:
    """The Service of the application that handles this request."""
    service: Service = current_app.extensions["riskpredictor"]
    return service
