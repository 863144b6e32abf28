"""The Flask application factory."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import HTTPException

from riskpredictor_server.api.content_encoding import decompress
from riskpredictor_server.api.inference_protocol import BINARY_HEADER, EXTENSIONS
from riskpredictor_server.api.openapi import document
from riskpredictor_server.api.problems import RefusedError, Reply, for_path, is_of_protocol, problem
from riskpredictor_server.api.routes import ROUTES, Call, Route
from riskpredictor_server.api.service import Service
from riskpredictor_server.web import reference
from riskpredictor_server.web.form import element_id, form_of, keypad

log = logging.getLogger("riskpredictor")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class _Flask(Flask):
    """Ignores that a client would like another protocol: werkzeug refuses to route websockets."""

    def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer as if the client had not asked."""
        environ.pop("HTTP_UPGRADE", None)
        return super().wsgi_app(environ, start_response)


def create_app(service: Service) -> Flask:
    """Return a Flask application with all routes of a Service, for any WSGI server."""
    app = _Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = service.settings.max_body_bytes
    app.extensions["riskpredictor"] = service
    for route in ROUTES:
        name = f"{route.method} {route.path}".replace(".", "_")
        app.add_url_rule(route.path, name, _view(service, route), methods=[route.method])

    @app.get("/")
    def index() -> str:
        """Render the form for predictions."""
        form = form_of(service.model) if service.model else None
        return render_template(
            "index.html", form=form, service=service, element_id=element_id, keypad=keypad
        )

    @app.get("/docs")
    def docs() -> str:
        """Render the API documentation, without scripts from elsewhere."""
        model = service.model
        api = document(service.settings, model) if model else None
        example = json.dumps(model.examples[0]["record"]) if model else ""
        return render_template(
            "docs.html",
            api=api,
            example=example,
            service=service,
            reference=reference,
        )

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        g.request_id = service.request_id(request.headers.get("X-Request-Id"))

    @app.after_request
    def finish(response: Response) -> Response:
        return _finish(service, response)

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        return _response(_problem(service, error))

    return app


def _view(service: Service, route: Route) -> Any:
    def view(**arguments: str) -> Response:
        headers = request.headers
        encoding = headers.get("Content-Encoding", "")
        body = decompress(request.get_data(), encoding, service.settings.max_body_bytes)
        content_type, json_length = headers.get("Content-Type", ""), headers.get(BINARY_HEADER, "")
        named = service.subject_header
        # As it came: WSGI decodes headers so.
        subject = headers.get(named, "").strip().encode("latin-1") if named else b""
        call = Call(body, content_type, g.request_id, json_length, subject, **arguments)
        return _response(route.answer(service, call))

    return view


def _response(reply: Reply) -> Response:
    reply = for_path(reply, request.path)
    response = Response(reply.body, reply.status, content_type=reply.content_type)
    response.headers.extend(reply.headers)
    return response


def _finish(service: Service, response: Response) -> Response:
    for name, value in service.headers:
        response.headers.setdefault(name, value)
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = CSP
        response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Request-Id"] = g.request_id
    # Label values are known routes only, or clients could add series without end.
    route = request.url_rule.rule if request.url_rule else "unknown"
    seconds = time.perf_counter() - g.started
    service.observe(route, response.status_code, seconds, g.request_id)
    return response


def _problem(service: Service, error: Exception) -> Reply:
    if isinstance(error, RefusedError):
        return problem(error.status, error.detail, g.request_id, headers=error.headers)
    if not isinstance(error, HTTPException) or error.code is None:
        log.error(
            "%s failed", request.path[:200], exc_info=error, extra={"request_id": g.request_id}
        )
        detail = "the server failed; its log has the reason under this request_id"
        return problem(500, detail, g.request_id)
    served = ""
    if is_of_protocol(request.path):
        served = (
            f": the Open Inference Protocol is at /v2, with the extension {EXTENSIONS[0]} alone"
        )
    details: dict[int, str] = {
        404: f"there is no {request.path[:200]} here{served}; see /openapi.json",
        405: f"{request.method} is not allowed here",
        413: f"the body may have at most {service.settings.max_body_bytes} bytes",
    }
    allow: Any = getattr(error, "valid_methods", None)
    headers = (("Allow", ", ".join(sorted(allow))),) if allow else ()
    detail = details.get(error.code, error.description or error.name)
    return problem(error.code, detail, g.request_id, headers=headers)
