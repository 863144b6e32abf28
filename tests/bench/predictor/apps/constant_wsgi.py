"""Bare WSGI, answering a constant after reading the body."""

from __future__ import annotations

from typing import Any


def app(environ: Any, start_response: Any) -> list[bytes]:
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"risk_level":"Low"}']
