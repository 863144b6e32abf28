"""What is compared: how each server is started and asked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
APPS = HERE / "apps"
PREDICTOR = HERE.parents[2] / "predictor"
FLASK = "Flask constant on granian"
_ASGI = ("--lifespan", "off", "--port", "{port}", "constant_asgi:app")
RECORD = {"heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97}
ROW = list(RECORD.values())
V2 = {"inputs": [{"name": "vitals", "shape": [1, 4], "datatype": "FP64", "data": ROW}]}


@dataclass(frozen=True)
class Subject:
    """One server. ``command`` may hold {port}; {model} is the artifact folder of v1."""

    name: str
    command: tuple[str, ...]
    body: object = field(default_factory=lambda: RECORD)
    path: str = "/predict"
    environment: Mapping[str, str] = field(default_factory=dict)
    start_seconds: int = 20

    def argv(self, port: int, model: Path) -> list[str]:
        return [part.format(port=port, model=model) for part in self.command]

    def env(self, port: int, model: Path) -> dict[str, str]:
        own = {key: value.format(port=port, model=model) for key, value in self.environment.items()}
        path = f"{PREDICTOR}{os.pathsep}{APPS}"
        return {**os.environ, "PYTHONPATH": path, "MODEL": str(model), "PORT": str(port), **own}

    def payload(self) -> str:
        return json.dumps(self.body)


def own(python: str) -> tuple[Subject, ...]:
    """The product, first, and what its server costs as it comes; run by ``python``."""
    uvicorn = (python, "-m", "uvicorn", "--no-access-log", "--http", "httptools", "--loop")
    return (
        Subject("riskpredictor", _serve(python)),
        Subject("bare ASGI constant on uvicorn", (*uvicorn, "asyncio", *_ASGI)),
    )


def before(python: str, commit: str, checkout: Path) -> Subject:
    """The product as it was, from a checkout of that commit."""
    environment = {"PYTHONPATH": str(checkout / "predictor")}
    return Subject(f"riskpredictor at {commit}", _serve(python), environment=environment)


def _serve(python: str) -> tuple[str, ...]:
    return (python, "-m", "riskpredictor_server", "--model", "{model}", "--port", "{port}")


def usual(environments: Path) -> tuple[Subject, ...]:
    """The usual ways, on granian with one thread, if that is installed under ``environments``."""
    python = environments / "granian/bin/python"

    def granian(app: str) -> tuple[str, ...]:
        return (
            *(str(python), "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"),
            *("--blocking-threads", "1", "--port", "{port}", app),
        )

    if not python.exists():
        return ()
    return (
        Subject("bare WSGI constant on granian", granian("constant_wsgi:app")),
        Subject(FLASK, granian("constant_flask:app")),
        Subject("scikit-learn inside Flask on granian", granian("sklearn_flask:app")),
    )


def peers(environments: Path) -> tuple[Subject, ...]:
    """Those of the peers that are installed under ``environments``, each in its own."""
    every = (
        Subject(
            "KServe",
            (str(environments / "kserve/bin/python"), str(APPS / "peer_kserve.py")),
            {"instances": [ROW]},
            "/v1/models/risk:predict",
            start_seconds=60,
        ),
        Subject(
            "MLServer",
            (str(environments / "mlserver/bin/python"), str(APPS / "peer_mlserver.py")),
            V2 | {"outputs": [{"name": "predict_proba"}]},
            "/v2/models/risk/infer",
            start_seconds=90,
        ),
        Subject(
            "BentoML",
            (
                *(str(environments / "bentoml/bin/bentoml"), "serve", "peer_bentoml:Risk"),
                *("--port", "{port}", "--working-dir", str(APPS)),
            ),
            {"instances": [ROW]},
            environment={"BENTOML_DO_NOT_TRACK": "True"},
            start_seconds=90,
        ),
        Subject(
            "MLflow",
            (str(environments / "mlflow/bin/python"), str(APPS / "peer_mlflow.py")),
            {"inputs": [ROW]},
            "/invocations",
            start_seconds=120,
        ),
    )
    return tuple(each for each in every if Path(each.command[0]).exists())
