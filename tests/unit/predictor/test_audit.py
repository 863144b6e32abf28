"""The audit log: which lines it has, and that it holds up no prediction."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import orjson
import pytest
from unit.predictor.support import HEALTHY, SICK, service


def lines(mode: str, body: Any, capfd: pytest.CaptureFixture[str]) -> list[Any]:
    serving = service(audit_log=mode)
    serving.predict(orjson.dumps(body), "application/json", "r-1")
    serving.close()
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


def test_a_pipe_that_nobody_reads_holds_no_prediction_up_and_losses_are_counted() -> None:
    reading, writing = os.pipe()
    kept = os.dup(1)
    os.dup2(writing, 1)
    serving = service(audit_log="on")
    try:
        begun = time.monotonic()
        body = orjson.dumps({"instances": [HEALTHY] * 1000})
        for _ in range(40):
            assert serving.predict(body, "application/json", "r-1").status == 200
        assert time.monotonic() - begun < 20
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(writing)
    assert serving.audit
    lost = serving.audit.lost
    assert 5_000 < lost < 40_000
    assert f"riskpredictor_audit_lost_total {lost}" in serving.exposition().body.decode()
    # Whoever reads at last gets whole lines; the thread's write to the closed pipe just ends.
    assert os.read(reading, 65536).startswith(b'{"audit":"prediction"')
    os.close(reading)
    serving.close()
