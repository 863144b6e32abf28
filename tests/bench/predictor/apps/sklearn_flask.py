"""The usual way: scikit-learn in the view, without validation, metrics or explanation."""

from __future__ import annotations

import os
from pathlib import Path

import joblib
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
model = joblib.load(Path(os.environ["MODEL"]) / "model.joblib")
NAMES = ("heart_rate", "blood_pressure", "temperature", "oxygen_level")


@app.post("/predict")
def predict() -> Response:
    record = request.get_json()
    probabilities = model.predict_proba([[record[name] for name in NAMES]])[0]
    named = dict(zip(model.classes_, probabilities.tolist(), strict=True))
    return jsonify(risk_level=max(named, key=lambda level: named[level]), probabilities=named)
