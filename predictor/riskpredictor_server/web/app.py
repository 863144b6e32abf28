"""The Flask application factory."""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from riskpredictor_server.api.problems import Reply, problem
from riskpredictor_server.api.service import Service
from riskpredictor_server.web.responses import to_response
from riskpredictor_server.web.routes import pages
from riskpredictor_server.web.routes_v2 import v2

log = logging.getLogger("riskpredictor")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_app(service: Service) -> Flask:
    """All routes over one Service. Runs under any WSGI server."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = service.settings.max_body_bytes
    app.extensions["riskpredictor"] = service
    app.register_blueprint(pages)
    app.register_blueprint(v2)

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        g.request_id = service.request_id(request.headers.get("X-Request-Id"))

    @app.after_request
    def finish(response: Response) -> Response:
        return _finish(service, response)

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        return to_response(_problem(service, error))

    return app


def _finish(service: Service, response: Response) -> Response:
    for name, value in service.headers:
        response.headers.setdefault(name, value)
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = CSP
        response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Request-Id"] = g.request_id
    # Only routes of ours become label values: a client must not grow the metrics.
    route = request.url_rule.rule if request.url_rule else "unknown"
    seconds = time.perf_counter() - g.started
    service.observe(route, response.status_code, seconds, g.request_id)
    return response


def _problem(service: Service, error: Exception) -> Reply:
    if not isinstance(error, HTTPException) or error.code is None:
        log.error(
            "%s failed", request.path[:200], exc_info=error, extra={"request_id": g.request_id}
        )
        detail = "the server failed; its log has the reason under this request_id"
        return problem(500, detail, g.request_id)
    details: dict[int, str] = {
        404: f"there is no {request.path[:200]} here; see /openapi.json",
        405: f"{request.method} is not allowed here",
        413: f"the body may have at most {service.settings.max_body_bytes} bytes",
    }
    allow: Any = getattr(error, "valid_methods", None)
    headers = (("Allow", ", ".join(sorted(allow))),) if allow else ()
    detail = details.get(error.code, error.description or error.name)
    return problem(error.code, detail, g.request_id, headers=headers)
