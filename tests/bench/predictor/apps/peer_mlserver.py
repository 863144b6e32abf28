"""MLServer with its scikit-learn runtime, one process; runs in an environment of its own."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-mlserver-"))
    port = int(os.environ["PORT"])
    settings = {
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "host": "127.0.0.1",
        "parallel_workers": 0,
    }
    model = {
        "name": "risk",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(Path(os.environ["MODEL"]) / "model.joblib"), "version": "v1"},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", str(folder)])


if __name__ == "__main__":
    main()
