"""Answers, errors and pages of the default model v1, on file since before models declared records.

They are what users of the demonstration's model see, so a change of one is a change for them. To
write them anew, and then look at the difference before you commit it:
PYTHONPATH=predictor:tests python -m unit.predictor.recorded
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from unit.predictor.support import HEALTHY, SICK, artifact

from riskpredictor_server.api.service import Service
from riskpredictor_server.settings import Settings
from riskpredictor_server.web.app import create_app

FILE = Path(__file__).with_suffix(".json")
_HEALTHY = list(HEALTHY.values())
_SICK = list(SICK.values())


def _with(**changes: Any) -> dict[str, Any]:
    return {**HEALTHY, **changes}


def _without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in HEALTHY.items() if name not in names}


def _tensor(rows: list[list[Any]], **more: Any) -> dict[str, Any]:
    data = [value for row in rows for value in row]
    return {"name": "vitals", "shape": [len(rows), 4], "datatype": "FP64", "data": data, **more}


RECORDS: tuple[Any, ...] = (
    HEALTHY,
    SICK,
    _with(heart_rate=150),
    _with(heart_rate=85.5, temperature=37, temperature_unit="C"),
    _with(temperature=98, temperature_unit="F"),
    _with(heart_rate=300, blood_pressure=300, temperature=113, oxygen_level=100),
    _with(heart_rate=20, blood_pressure=40, temperature=77, oxygen_level=40),
    _with(oxygen_level=True),
    _with(oxygen_level=None, heart_rate="85 bpm"),
    _with(oxygen_level=0.97, temperature=37.2),
    _with(temperature=98.6, temperature_unit="C"),
    _with(temperature_unit="K"),
    _with(temperature=[98.6], blood_pressure={"value": 120}),
    _with(blood_pressure=16, heart_rate=1.4),
    _with(heart_rate=10**400, colour="red"),
    _without("heart_rate") | {"pulse": 85},
    _without("temperature") | {"temp": 98.6},
    _without("blood_pressure") | {"systolicBP": 120, "diastolic": 80},
    _without("oxygen_level", "heart_rate"),
    {},
    {"patient": HEALTHY},
    {"rows": [HEALTHY]},
    {"data": _HEALTHY},
    {"inputs": [{"datatype": "FP64"}]},
    _HEALTHY,
    [HEALTHY],
    "{}",
    None,
    3,
    {
        "instances": [
            HEALTHY,
            SICK,
            _with(temperature=37, temperature_unit="C"),
            _with(heart_rate=300),
        ]
    },
    {"instances": [HEALTHY, _with(heart_rate="x"), _without("temperature"), 7]},
    {"instances": []},
    {"instances": {"a": 1}},
    {"instances": [HEALTHY], "more": 1},
)
INFERENCES: tuple[Any, ...] = (
    {"inputs": [_tensor([_HEALTHY, _SICK])]},
    {
        "inputs": [
            _tensor(
                [_HEALTHY],
                parameters={"columns": "heart_rate,blood_pressure,temperature,oxygen_level"},
            )
        ]
    },
    {
        "inputs": [
            _tensor(
                [_HEALTHY[::-1]],
                parameters={"columns": "oxygen_level,temperature,blood_pressure,heart_rate"},
            )
        ]
    },
    {"inputs": [_tensor([_HEALTHY], parameters={"columns": "a,b,c,d"})]},
    {"inputs": [_tensor([[85, 120, 37, 97]])], "parameters": {"temperature_unit": "C"}},
    {"inputs": [_tensor([[85, 120, 37, 97]])]},
    {"inputs": [_tensor([[85, 120, 37, 97]])], "parameters": {"temperature_unit": "K"}},
    {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3]}]},
    {
        "inputs": [
            {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
            for name, value in SICK.items()
        ]
    },
    {
        "inputs": [
            {"name": name, "shape": [1, 1], "datatype": "FP32", "data": [value]}
            for name, value in HEALTHY.items()
        ]
    },
    {
        "inputs": [
            {"name": name, "shape": [1], "datatype": "FP64", "data": [1]}
            for name in ("pulse", "b", "c", "d")
        ]
    },
    {"inputs": [_tensor([_HEALTHY])], "outputs": [{"name": "risk_level"}]},
    {"inputs": [_tensor([_HEALTHY])], "outputs": [{"name": "nothing"}]},
    {"inputs": []},
    {},
)
PAGES = ("/", "/docs", "/openapi.json", "/v2/models/riskpredictor", "/ready")


def answers(model: Path | None = None) -> dict[str, Any]:
    """What the server answers now, by what was asked."""
    service = Service(Settings(model=model or artifact("v1"), pod_name="pod"))
    client = create_app(service).test_client()
    found: dict[str, Any] = {}
    for path, bodies in (("/predict", RECORDS), ("/v2/models/riskpredictor/infer", INFERENCES)):
        for body in bodies:
            reply = client.post(path, json=body, headers={"X-Request-Id": "recorded"})
            asked = f"POST {path} {json.dumps(body)[:200]}"
            assert asked not in found, asked
            found[asked] = {"status": reply.status_code, "body": reply.get_json()}
    for path in PAGES:
        reply = client.get(path, headers={"X-Request-Id": "recorded"})
        body = reply.get_json() if reply.is_json else _lines(reply.get_data(as_text=True))
        found[f"GET {path}"] = {"status": reply.status_code, "body": body}
    counted = client.get("/metrics").get_data(as_text=True).splitlines()
    found["GET /metrics"] = [line for line in counted if re.match("riskpredictor_(pred|rej)", line)]
    return found


def _lines(page: str) -> list[str]:
    """The lines of a page, without what only its template's author sees."""
    return [line.strip() for line in page.splitlines() if line.strip()]


def on_file() -> dict[str, Any]:
    """What it answered when the file was written."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(answers(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
