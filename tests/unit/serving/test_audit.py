from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from unit.serving.support import HEALTHY, SICK, service


def lines(mode: str, body: Any, capfd: pytest.CaptureFixture[str]) -> list[Any]:
    service(audit_log=mode).predict(orjson.dumps(body), "application/json", "r-1")
    return [json.loads(line) for line in capfd.readouterr().out.splitlines() if "audit" in line]


def test_off_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    service().predict(orjson.dumps(HEALTHY), "application/json", "r-1")
    assert '"audit"' not in capfd.readouterr().out


def test_a_line_per_prediction_without_vitals(capfd: pytest.CaptureFixture[str]) -> None:
    (line,) = lines("on", HEALTHY, capfd)
    assert line["request_id"] == "r-1"
    assert line["model_version"] == "v1"
    assert len(line["digest"]) == 64
    assert line["risk_level"] == "Low"
    assert "vitals" not in line


def test_vitals_if_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    (line,) = lines("vitals", HEALTHY, capfd)
    assert line["vitals"] == HEALTHY


def test_each_row_of_a_batch(capfd: pytest.CaptureFixture[str]) -> None:
    found = lines("on", {"instances": [HEALTHY, SICK]}, capfd)
    assert [(line["row"], line["risk_level"]) for line in found] == [(0, "Low"), (1, "High")]


def test_a_refused_record_is_not_a_prediction(capfd: pytest.CaptureFixture[str]) -> None:
    assert lines("vitals", HEALTHY | {"heart_rate": 1}, capfd) == []
