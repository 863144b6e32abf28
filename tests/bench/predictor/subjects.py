"""The servers to compare: how each is started, and its request."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.predictor import mixed_model
from unit.predictor.support import HEALTHY, PREDICTOR

ENVIRONMENTS = Path.home() / ".cache/riskpredictor/bench"
"""Virtual environments of granian and the peers; README.md tells how to make them."""
APPS = Path(__file__).resolve().parent / "apps"
FLASK = "Flask constant on granian"
MIXED = "riskpredictor, 20 features of every type"
ROW = list(HEALTHY.values())
V2 = {"inputs": [{"name": "vitals", "shape": [1, 4], "datatype": "FP64", "data": ROW}]}


@dataclass(frozen=True)
class Subject:
    """One server. Its command may contain {port}, and {model} for the artifact folder."""

    name: str
    command: tuple[str, ...]
    body: object = field(default_factory=lambda: HEALTHY)
    path: str = "/predict"
    environment: Mapping[str, str] = field(default_factory=dict)
    start_seconds: int = 20

    def argv(self, port: int, model: Path) -> list[str]:
        return [part.format(port=port, model=model) for part in self.command]

    def env(self, port: int, model: Path) -> dict[str, str]:
        path = f"{PREDICTOR}{os.pathsep}{APPS}"
        own = {"PYTHONPATH": path, "MODEL": str(model), "PORT": str(port), **self.environment}
        return {**os.environ, **own}

    def payload(self) -> str:
        return json.dumps(self.body)


def own(python: str) -> tuple[Subject, ...]:
    """Return the product, and uvicorn with an application that does nothing, run by ``python``."""
    uvicorn = (
        python,
        "-m",
        "uvicorn",
        "--no-access-log",
        "--http",
        "httptools",
        "--loop",
        "asyncio",
    )
    constant = ("--lifespan", "off", "--port", "{port}", "constant_asgi:app")
    return (
        Subject("riskpredictor", _serve(python)),
        Subject("bare ASGI constant on uvicorn", (*uvicorn, *constant)),
    )


def beside(python: str, candidate: Path, percents: Sequence[float]) -> tuple[Subject, ...]:
    """Return the product alone, and with a candidate that answers so many percent of requests."""
    serve = _serve(python)
    with_candidate = (
        Subject(
            f"with a candidate at {percent:g} %",
            (*serve, "--candidate", str(candidate), "--candidate-percent", f"{percent:g}"),
        )
        for percent in percents
    )
    return Subject("without a candidate", serve), *with_candidate


def mixed(python: str, folder: Path) -> Subject:
    """Return the product with a model of twenty features of every type, made in ``folder``."""
    model, record = mixed_model.write(folder)
    return Subject(MIXED, _serve(python, str(model)), body=record)


def before(python: str, commit: str, checkout: Path) -> Subject:
    """Return the product as of ``commit``, which is checked out in ``checkout``.

    Its model is of its own training: an older server may not read the files of a newer one.
    """
    environment = {"PYTHONPATH": str(checkout / "predictor")}
    model = checkout / "model-of-bench"
    train = [
        python,
        "-m",
        "riskpredictor_server.train",
        "--model-version",
        "v1",
        "--out",
        str(model),
    ]
    subprocess.run(train, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
    serve = _serve(python, str(model))
    return Subject(f"riskpredictor at {commit}", serve, environment=environment)


def _serve(python: str, model: str = "{model}") -> tuple[str, ...]:
    return (python, "-m", "riskpredictor_server", "--model", model, "--port", "{port}")


def usual() -> tuple[Subject, ...]:
    """Return WSGI applications on granian with one thread, if granian is installed."""
    granian = (
        *(str(ENVIRONMENTS / "granian/bin/python"), "-m", "granian", "--interface", "wsgi"),
        *("--http", "1", "--no-ws", "--blocking-threads", "1", "--port", "{port}"),
    )
    return _installed(
        Subject("bare WSGI constant on granian", (*granian, "constant_wsgi:app")),
        Subject(FLASK, (*granian, "constant_flask:app")),
        Subject("scikit-learn inside Flask on granian", (*granian, "sklearn_flask:app")),
    )


def peers() -> tuple[Subject, ...]:
    """Return the peers that are installed."""
    bento = (str(ENVIRONMENTS / "bentoml/bin/bentoml"), "serve", "peer_bentoml:Risk")
    return _installed(
        Subject(
            "KServe",
            _peer("kserve"),
            {"instances": [ROW]},
            "/v1/models/risk:predict",
            start_seconds=60,
        ),
        Subject(
            "MLServer",
            _peer("mlserver"),
            V2 | {"outputs": [{"name": "predict_proba"}]},
            "/v2/models/risk/infer",
            start_seconds=90,
        ),
        Subject(
            "BentoML",
            (*bento, "--port", "{port}", "--working-dir", str(APPS)),
            {"instances": [ROW]},
            environment={"BENTOML_DO_NOT_TRACK": "True"},
            start_seconds=90,
        ),
    )


def _peer(name: str) -> tuple[str, ...]:
    return (str(ENVIRONMENTS / name / "bin/python"), str(APPS / f"peer_{name}.py"))


def _installed(*subjects: Subject) -> tuple[Subject, ...]:
    return tuple(each for each in subjects if Path(each.command[0]).exists())
