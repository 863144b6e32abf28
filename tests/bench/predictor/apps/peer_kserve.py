"""KServe's Python server with one model; runs in an environment of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from kserve import Model, ModelServer  # type: ignore[import-not-found]


class Risk(Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__("risk")
        self.pipeline = joblib.load(Path(os.environ["MODEL"]) / "model.joblib")
        self.ready = True

    def predict(self, payload: Any, _headers: Any = None, **_: Any) -> Any:
        return {"predictions": self.pipeline.predict_proba(np.array(payload["instances"])).tolist()}


if __name__ == "__main__":
    ModelServer(http_port=int(os.environ["PORT"]), enable_grpc=False, workers=1).start([Risk()])
