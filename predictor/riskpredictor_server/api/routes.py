"""The table of API routes. Flask registers all of them; the ASGI application answers the hot ones.

The HTML pages are not in it, see ``web/``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from riskpredictor_server.api import inference_protocol as oip
from riskpredictor_server.api.problems import RETRY, Reply, json_reply, problem
from riskpredictor_server.api.service import Service
from riskpredictor_server.model.guarded_scorer import CandidateError

_MODEL, _VERSION = oip.MODEL_ROUTE, oip.VERSION_ROUTE


class Call(NamedTuple):
    """The parts of a request that a route's function gets."""

    body: bytes
    content_type: str
    request_id: str
    json_length: str = ""
    """The header that announces binary tensors: how much of the body is JSON before them."""
    subject: bytes = b""
    """Value of the header that assigns requests to a candidate, if there is one."""
    name: str = ""
    """Name of a model, from the path, as is the version."""
    version: str | None = None


class Route(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    """In Flask's notation; also the name of the route in metrics."""
    answer: Callable[[Service, Call], Reply]
    hot: bool = False
    """Whether the event loop answers it, without Flask."""

    probe: bool = False
    """Whether it is exempt from admission control."""


def _live_v2(_service: Service, _call: Call) -> Reply:
    return json_reply({"live": True})


def _ready_v2(service: Service, call: Call) -> Reply:
    reply = service.ready(call.request_id)
    return json_reply({"ready": True}) if reply.status == 200 else reply


def _model_file(service: Service, call: Call) -> Reply:
    return service.model_file(call.name, call.request_id)


def _candidate_file(service: Service, call: Call) -> Reply:
    return service.candidate_file(call.name, call.request_id)


def _model_metadata(service: Service, call: Call) -> Reply:
    predictor = service.predictor_of(call.name, call.version, call.request_id)
    if isinstance(predictor, Reply):
        return predictor
    return oip.model_metadata(predictor, call.name, service.versions)


def _model_ready(service: Service, call: Call) -> Reply:
    reply = service.ready(call.request_id)
    if reply.status != 200:
        return reply
    predictor = service.predictor_of(call.name, call.version, call.request_id)
    if isinstance(predictor, Reply):
        return predictor
    return json_reply({"name": call.name, "ready": True})


def _infer(service: Service, call: Call) -> Reply:
    predictor = service.predictor_of(call.name, call.version, call.request_id)
    if isinstance(predictor, Reply):
        return predictor
    try:
        return oip.infer(
            predictor,
            call.name,
            call.body,
            call.json_length,
            call.content_type,
            call.request_id,
            call.subject,
        )
    except CandidateError as error:
        return problem(503, f"{error}; ask for no version", call.request_id, headers=RETRY)


ROUTES = (
    Route(
        "POST",
        "/predict",
        lambda service, call: service.predict(
            call.body, call.content_type, call.request_id, call.subject
        ),
        hot=True,
    ),
    Route("POST", _MODEL + "/infer", _infer, hot=True),
    Route("POST", _VERSION + "/infer", _infer, hot=True),
    Route("GET", "/health", lambda service, _: service.health(), hot=True, probe=True),
    Route(
        "GET", "/ready", lambda service, call: service.ready(call.request_id), hot=True, probe=True
    ),
    Route("GET", "/metrics", lambda service, _: service.exposition(), hot=True, probe=True),
    Route(
        "GET",
        "/rollout",
        lambda service, call: service.rollout_state(call.request_id),
        hot=True,
        probe=True,
    ),
    Route("GET", "/model", lambda service, call: service.card(call.request_id)),
    Route("GET", "/model/files/<name>", _model_file),
    Route("GET", "/model/candidate", lambda service, call: service.candidate_card(call.request_id)),
    Route("GET", "/model/candidate/files/<name>", _candidate_file),
    Route("GET", "/openapi.json", lambda service, call: service.openapi(call.request_id)),
    Route("GET", "/v2", lambda _service, _call: oip.server_metadata()),
    Route("GET", "/v2/health/live", _live_v2),
    Route("GET", "/v2/health/ready", _ready_v2),
    Route("GET", _MODEL, _model_metadata),
    Route("GET", _VERSION, _model_metadata),
    Route("GET", _MODEL + "/ready", _model_ready),
    Route("GET", _VERSION + "/ready", _model_ready),
)

_FIXED = {(r.method, r.path): r for r in ROUTES if r.hot and "<" not in r.path}
_PATTERNS = [
    (r, re.compile(re.sub(r"<(\w+)>", r"(?P<\1>[^/]+)", r.path)))
    for r in ROUTES
    if r.hot and "<" in r.path
]
_NO_ARGUMENTS: dict[str, str] = {}


def hot_route(method: str, path: str) -> tuple[Route | None, dict[str, str]]:
    """Return the hot route of an unescaped path, and its arguments. HEAD is answered like GET."""
    route = _FIXED.get(("GET" if method == "HEAD" else method, path))
    if route is None:
        for candidate, pattern in _PATTERNS:
            if candidate.method == method and (match := pattern.fullmatch(path)):
                return candidate, match.groupdict()
    return route, _NO_ARGUMENTS
