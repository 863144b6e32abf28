"""MLflow's scoring server, one worker; runs in an environment of its own."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import joblib
import mlflow.sklearn  # type: ignore[import-not-found]


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-mlflow-")) / "model"
    pipeline = joblib.load(Path(os.environ["MODEL"]) / "model.joblib")
    mlflow.sklearn.save_model(
        pipeline, str(folder), pyfunc_predict_fn="predict_proba", serialization_format="pickle"
    )
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder)]
    command += ["--env-manager", "local", "-p", os.environ["PORT"], "-w", "1", "-h", "127.0.0.1"]
    # It starts uvicorn by name.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
