"""A BentoML service; runs in an environment of its own."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml  # type: ignore[import-not-found]
import joblib
import numpy as np


@bentoml.service(workers=1)
class Risk:
    def __init__(self) -> None:
        self.pipeline = joblib.load(Path(os.environ["MODEL"]) / "model.joblib")

    @bentoml.api(route="/predict")  # type: ignore[untyped-decorator]
    def predict(self, instances: list[list[float]]) -> list[list[float]]:
        table: list[list[float]] = self.pipeline.predict_proba(np.array(instances)).tolist()
        return table
