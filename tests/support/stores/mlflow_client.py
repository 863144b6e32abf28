"""Registers an artifact in MLflow with its own client, run by the Python of build/stores.

``mlflow_client.py FOLDER NAME run|model ...``: as the files of a run or of a logged model. Writes
number and source of each version.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import mlflow  # type: ignore[import-not-found]
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found]


def main(folder: str, name: str, *kinds: str) -> None:
    """Register it once for each kind; the last version has the alias champion."""
    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = []
    for kind in kinds:
        source, made_by = of_run(folder) if kind == "run" else of_logged_model(client, folder, name)
        made += [(client.create_model_version(name, source, **made_by).version, source)]
    client.set_registered_model_alias(name, "champion", made[-1][0])
    json.dump(made, sys.stdout)


def of_run(folder: str) -> tuple[str, dict[str, str]]:
    """Log the files with a run."""
    with mlflow.start_run() as run:
        mlflow.log_artifacts(folder, "model")
    return f"{run.info.artifact_uri}/model", {"run_id": run.info.run_id}


def of_logged_model(client: Any, folder: str, name: str) -> tuple[str, dict[str, str]]:
    """Make a model of the files."""
    model = client.create_logged_model("0", name)
    client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
    return f"models:/{model.model_id}", {"model_id": model.model_id}


if __name__ == "__main__":
    main(*sys.argv[1:])
