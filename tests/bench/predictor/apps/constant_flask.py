"""A Flask view that returns a constant after reading the body."""

from __future__ import annotations

from flask import Flask, Response, request

app = Flask(__name__)


@app.post("/predict")
def predict() -> Response:
    request.get_data()
    return Response(b'{"risk_level":"Low"}', content_type="application/json")
